// SPDX-License-Identifier: MIT
// Random numbers of one test case, biased to what breaks processors. The same (seed, case) gives the same
// numbers for ever.
#pragma once

#include <cstring>

#include "core/integers.h"

namespace shadowbox::compare {

class RandomSource {
 public:
    RandomSource(u64 seed, u64 number)
        : state_(seed * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03 + 1) {}
    /// Goes on where a source of that state was.
    static RandomSource at(u64 state) {
        RandomSource source(0, 0);
        source.state_ = state;
        return source;
    }
    u64 state() const { return state_; }
    u64 operator()() {  // splitmix64
        u64 z = state_ += 0x9E3779B97F4A7C15;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        return z ^ z >> 31;
    }
    u64 below(u64 n) { return (*this)() % n; }
    bool chance(unsigned percent) { return below(100) < percent; }

    /// An integer operand of any width.
    u64 integer() {
        static constexpr u64 kEdges[] = {0,
                                         1,
                                         2,
                                         0x7F,
                                         0x80,
                                         0xFF,
                                         0x7FFF,
                                         0x8000,
                                         0xFFFF,
                                         0x7FFFFFFF,
                                         0x80000000,
                                         0xFFFFFFFF,
                                         0x100000000,
                                         0x7FFFFFFFFFFFFFFF,
                                         0x8000000000000000,
                                         ~u64{0},
                                         ~u64{1},
                                         0x5555555555555555,
                                         0xAAAAAAAAAAAAAAAA};
        switch (below(5)) {
            case 0: return kEdges[below(sizeof kEdges / 8)];
            case 1: return below(100) - 50;
            case 2: return (*this)() >> below(64);
            case 3: return u64{1} << below(64);
            default: return (*this)();
        }
    }
    u32 single() {
        static constexpr u32 kSpecial[] = {0,          0x80000000, 0x3F800000, 0xBF800000, 0x7F800000,
                                           0xFF800000, 0x7FC00001, 0x7F800001, 0xFFC00000, 0xFF812345,
                                           1,          0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x3F000000,
                                           0x40200000, 0x4B000001, 0x4F000000, 0xDF000000};
        switch (below(4)) {
            case 0: return kSpecial[below(sizeof kSpecial / 4)];
            case 1: return static_cast<u32>((*this)());
            default: return static_cast<u32>(((*this)() & 0x807FFFFF) | (100 + below(56)) << 23);
        }
    }
    u64 real() {
        static constexpr u64 kSpecial[] = {0,
                                           1ull << 63,
                                           0x3FF0000000000000,
                                           0xBFF0000000000000,
                                           0x7FF0000000000000,
                                           0xFFF0000000000000,
                                           0x7FF8000000000001,
                                           0x7FF0000000000001,
                                           1,
                                           0x800FFFFFFFFFFFFF,
                                           0x0010000000000000,
                                           0x7FEFFFFFFFFFFFFF,
                                           0x3FE0000000000000,
                                           0x4004000000000000,
                                           0x41E0000000000000,
                                           0xC3E0000000000000,
                                           0x3690000000000001};
        switch (below(4)) {
            case 0: return kSpecial[below(sizeof kSpecial / 8)];
            case 1: return (*this)();
            default: return ((*this)() & 0x800FFFFFFFFFFFFF) | (980 + below(100)) << 52;
        }
    }
    /// 10 bytes.
    void extended(u8* to) {
        static constexpr u64 kSignificands[] = {
            0, 1, 0x8000000000000000, 0xC000000000000000, 0x8000000000000001, ~0ull, 0x7FFFFFFFFFFFFFFF};
        static constexpr u16 kExponents[] = {0, 1, 0x7FFF, 0x7FFE, 0x3FFF, 0x403E, 0x3FFE, 0x401E, 0x3FBE};
        u64 significand = (*this)();
        u16 sign_exponent = static_cast<u16>((*this)());
        switch (below(4)) {
            case 0:
                significand = kSignificands[below(7)];
                sign_exponent = static_cast<u16>(kExponents[below(9)] | (sign_exponent & 0x8000));
                break;
            case 1: break;
            default:
                significand |= 1ull << 63;
                sign_exponent = static_cast<u16>((0x3FFF - 20 + below(84)) | (sign_exponent & 0x8000));
        }
        memcpy(to, &significand, 8);
        memcpy(to + 8, &sign_exponent, 2);
    }
    /// Vector contents, `size` a multiple of 8.
    void vector(u8* to, unsigned size) {
        u64 kind = below(5);
        for (unsigned at = 0; at < size; at += 8) {
            u64 value = kind == 0   ? single() | static_cast<u64>(single()) << 32
                        : kind == 1 ? real()
                        : kind == 2 ? below(70)
                        : kind == 3 ? integer()
                                    : (*this)();
            memcpy(to + at, &value, 8);
        }
    }

 private:
    u64 state_;
};

}  // namespace shadowbox::compare
