// SPDX-License-Identifier: MIT
// What host_compare runs on both sides: a short instruction sequence with its start state, and what came of
// it. Plain data, since it crosses a shared mapping to the sandboxed worker. Linear addresses are the same on
// both sides and lie below 4 GiB, so that 64-bit and compatibility mode share them.
#pragma once

#include <cstring>

#include "core/integers.h"

namespace shadowbox::compare {

// The linear layout. Everything else is unmapped.
constexpr u64 kLow = 0x8000, kLowSize = 0x1000;  ///< for 16-bit addressing; only if the host lets us map it
constexpr u64 kCode = 0x10000000, kCodeSize = 0x2000;  ///< read and execute
constexpr u64 kData = 0x20000000, kDataSize = 0x2000;  ///< read and write, no execute
constexpr u64 kReadOnly = 0x20002000, kReadOnlySize = 0x1000;
constexpr u64 kStack = 0x30000000, kStackSize = 0x1000;
/// The writable pages behind each other: low, data, stack. Compared after each run.
constexpr u64 kImageSize = kLowSize + kDataSize + kStackSize;

constexpr unsigned kMaxInsns = 4, kMaxPatches = 8, kMaxCode = 160;

/// Offset of a writable linear address in the image, or -1.
inline i64 image_offset(u64 linear) {
    if (linear - kLow < kLowSize) return static_cast<i64>(linear - kLow);
    if (linear - kData < kDataSize) return static_cast<i64>(linear - kData + kLowSize);
    if (linear - kStack < kStackSize) return static_cast<i64>(linear - kStack + kLowSize + kDataSize);
    return -1;
}

struct MachineState {
    alignas(64) u8 fx[512] = {};  ///< FXSAVE image; instruction and data pointers and opcode are not used
    u8 ymm_high[256] = {};        ///< bits 255:128 of YMM0 to YMM15
    u64 gpr[16] = {};
    u64 rip = 0, flags = 2;
    u16 cs = 0;
};

struct Patch {
    u64 linear;
    u8 size;
    u8 bytes[32];
};

struct TestCase {
    bool mode32 = false;
    u64 state_seed = 0;  ///< start_state.h
    u64 memory_seed = 0;
    MachineState start;
    unsigned code_offset = 0, code_size = 0;  ///< within the code pages; the rest of them is HLT
    u8 code[kMaxCode] = {};
    unsigned insns = 0;
    u16 row[kMaxInsns] = {};
    unsigned starts[kMaxInsns + 1] = {};  ///< code offsets of the instructions and of the end
    u32 undefined[kMaxInsns + 1] = {};    ///< flags undefined before instruction n
    bool long_code = false;               ///< a program, not a sequence: a larger budget
    unsigned patches = 0;
    Patch patch[kMaxPatches] = {};
};

/// How a run ended: always by an exception (HLT at CPL 3 is #GP).
struct Outcome {
    enum Kind : u8 { kException, kSystemCall, kEndless, kDied, kOddExit };
    Kind kind = kDied;
    u8 vector = 0;
    u32 error = 0;
    u64 cr2 = 0;  ///< #PF only
    MachineState end;
    u8 image[kImageSize];
};

/// The image before the run: numbers, reals and pointers, the same for the same seed.
inline void fill_image(u64 seed, u8* image, u64 size) {
    static constexpr u64 kSpecial[] = {0,
                                       1,
                                       ~u64{0},
                                       0x8000000000000000,
                                       0x7FFFFFFFFFFFFFFF,
                                       0x3FF0000000000000,
                                       0xBFF0000000000000,
                                       0x7FF0000000000000,
                                       0x7FF8000000000001,
                                       0x7FF0000000000001,
                                       0x3F8000007F800000,
                                       0x807FFFFF7FC00001,
                                       0x0000000180000000,
                                       0x4000C00000000000,
                                       0x8080808080808080,
                                       0x7F7F7F7F7F7F7F7F,
                                       0x3FFF3FFF3FFF3FFF,
                                       0x00000000FFFFFFFF};
    u64 x = seed | 1;
    for (u64 at = 0; at < size; at += 8) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        u64 value = x * 0x2545F4914F6CDD1D;
        switch (x >> 60) {
            case 0:
            case 1:
            case 2: value = kSpecial[(x >> 32) % (sizeof kSpecial / 8)]; break;
            case 3: value = (value & 0x800FFFFFFFFFFFFF) | (1000 + (x >> 40) % 60) << 52; break;
            case 4:
                value = (value & 0x807FFFFF807FFFFF) | (110 + (x >> 40) % 50) << 23 |
                        (110 + (x >> 48) % 50) << 55;
                break;
            case 5: value &= 0xFF; break;
            default: break;
        }
        __builtin_memcpy(image + at, &value, 8);
    }
}
/// The bytes of the read-only page.
inline void fill_read_only(u8* page) { fill_image(0x5EED0F4EAD0417, page, kReadOnlySize); }
inline void apply_patches(const TestCase& c, u8* image) {
    for (unsigned i = 0; i < c.patches; ++i) {
        i64 at = image_offset(c.patch[i].linear);
        if (at < 0 || static_cast<u64>(at) + c.patch[i].size > kImageSize) continue;
        for (unsigned n = 0; n < c.patch[i].size; ++n) image[static_cast<u64>(at) + n] = c.patch[i].bytes[n];
    }
}

}  // namespace shadowbox::compare
