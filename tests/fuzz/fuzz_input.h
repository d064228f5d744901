// SPDX-License-Identifier: MIT
// What a fuzz target is: a function over bytes that aborts when an invariant is broken. Input turns the bytes
// into decisions; when they are used up it gives zeros, so that every input is a complete run.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "core/integers.h"

namespace shadowbox::fuzz {

class Input {
 public:
    explicit Input(std::span<const u8> bytes) : bytes_(bytes) {}
    bool empty() const { return at_ == bytes_.size(); }
    u8 byte() { return empty() ? 0 : bytes_[at_++]; }
    u64 number(unsigned size) {
        u64 value = 0;
        for (unsigned i = 0; i < size; ++i) value |= static_cast<u64>(byte()) << (8 * i);
        return value;
    }
    /// In [0, bound), bound > 0.
    u64 below(u64 bound) { return number(bound <= 256 ? 1 : bound <= 65536 ? 2 : 8) % bound; }
    bool flag() { return byte() & 1; }
    std::vector<u8> take(std::size_t most) {
        std::size_t size = std::min(most, bytes_.size() - at_);
        std::vector<u8> taken(bytes_.begin() + static_cast<std::ptrdiff_t>(at_),
                              bytes_.begin() + static_cast<std::ptrdiff_t>(at_ + size));
        at_ += size;
        return taken;
    }
    std::vector<u8> rest() { return take(bytes_.size()); }

 private:
    std::span<const u8> bytes_;
    std::size_t at_ = 0;
};

/// An invariant of a target.
#define FUZZ_CHECK(condition, ...)                                                       \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            std::fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);         \
            std::fprintf(stderr, "%s\n", std::string(fmt::format(__VA_ARGS__)).c_str()); \
            std::abort();                                                                \
        }                                                                                \
    } while (0)

// The targets, one file each (NAME_target.cpp).
void fuzz_decoder(std::span<const u8> bytes);
void fuzz_page_walk(std::span<const u8> bytes);
void fuzz_devices(std::span<const u8> bytes);
void fuzz_boot_files(std::span<const u8> bytes);
void fuzz_config(std::span<const u8> bytes);

}  // namespace shadowbox::fuzz
