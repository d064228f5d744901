// SPDX-License-Identifier: MIT
// The one pseudo-random generator (xoshiro256**, seeded by splitmix64): same seed, same numbers, on
// every host. For tests, RDRAND under icount, virtio-rng under icount, UUIDs.
#pragma once

#include "core/integers.h"

namespace shadowbox {

class SeededRandom {
 public:
    explicit SeededRandom(u64 seed) {
        for (u64& word : state_) {
            seed += 0x9E3779B97F4A7C15ull;
            u64 z = seed;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
            word = z ^ (z >> 31);
        }
    }
    u64 next() {
        u64 result = rotl(state_[1] * 5, 7) * 9, t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotl(state_[3], 45);
        return result;
    }
    /// Uniform in [0, bound), bound > 0.
    u64 below(u64 bound) { return static_cast<u64>((static_cast<u128>(next()) * bound) >> 64); }
    bool one_in(u64 n) { return below(n) == 0; }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(state_);
    }

 private:
    static u64 rotl(u64 x, int k) { return (x << k) | (x >> (64 - k)); }
    u64 state_[4];
};

}  // namespace shadowbox
