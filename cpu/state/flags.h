// SPDX-License-Identifier: MIT
// Lazy arithmetic flags, the only way ops touch CF PF AF ZF SF OF. Two words describe all six:
//   result  the operation's result, sign-extended to 64 bits: ZF = (result == 0), SF = its sign, PF = its low
//   byte aux     bit 31 the carry out of the top bit (CF), bit 30 the carry into it (OF = bit 31 ^ bit 30),
//   bit 3 the carry
//           out of bit 3 (AF); bits 32-39 are XORed into the parity byte and bit 40 into SF, so that POPF can
//           set any mix.
// One store of a zero-extended 32-bit aux clears the corrections.
#pragma once

#include <type_traits>

#include "cpu/state/registers.h"

namespace shadowbox {

struct LazyFlags {
    i64 result = 1;
    u64 aux = 0;

    bool cf() const { return aux >> 31 & 1; }
    bool of() const { return (aux >> 31 ^ aux >> 30) & 1; }
    bool zf() const { return result == 0; }
    bool sf() const { return (static_cast<u64>(result) >> 63 ^ aux >> 40) & 1; }
    bool af() const { return aux >> 3 & 1; }
    bool pf() const {
        return !__builtin_parity(static_cast<unsigned>((static_cast<u64>(result) ^ aux >> 32) & 0xFF));
    }

    u64 value() const {
        return (cf() ? rflags::kCF : 0) | (pf() ? rflags::kPF : 0) | (af() ? rflags::kAF : 0) |
               (zf() ? rflags::kZF : 0) | (sf() ? rflags::kSF : 0) | (of() ? rflags::kOF : 0);
    }
    /// Sets all six from RFLAGS bits.
    void set(u64 bits) {
        bool zero = bits & rflags::kZF, sign = bits & rflags::kSF, parity = bits & rflags::kPF;
        // ZF: result 0 (parity of 0 is even, sign 0). Not ZF: result 256 (low byte 0, sign 0). Then correct
        // PF and SF.
        result = zero ? 0 : 256;
        bool carry = bits & rflags::kCF, overflow = bits & rflags::kOF;
        aux = (static_cast<u64>(carry) << 31) | (static_cast<u64>(carry != overflow) << 30) |
              (bits & rflags::kAF ? 8u : 0u) | (static_cast<u64>(!parity) << 32) |
              (static_cast<u64>(sign) << 40);
    }
    /// Replaces the flags in `mask` by those in `bits`.
    void update(u64 mask, u64 bits) { set((value() & ~mask) | (bits & mask)); }
    void set_cf(bool carry) {  // OF must stay: flip the carry-in bit along
        u64 flip = (aux >> 31 & 1) != carry ? 0xC0000000u : 0;
        aux ^= flip;
    }

    template <class T>
    static i64 extend(T value) {
        return static_cast<std::make_signed_t<T>>(value);
    }

    /// Carry vector of an addition or subtraction (bit n = carry out of bit n) folded into aux.
    template <class T>
    static u32 fold(T carries) {
        constexpr unsigned bits = sizeof(T) * 8;
        if constexpr (bits == 64)
            return static_cast<u32>(carries >> 32 & 0xC0000000u) | static_cast<u32>(carries & 8);
        else if constexpr (bits == 32)
            return carries & 0xC0000008u;
        else
            return static_cast<u32>(carries) >> (bits - 2) << 30 | (carries & 8u);
    }
    template <class T>
    void add(T a, T b, T r) {
        result = extend(r);
        aux = fold<T>(static_cast<T>((a & b) | ((a | b) & ~r)));
    }
    template <class T>
    void sub(T a, T b, T r) {
        result = extend(r);
        aux = fold<T>(static_cast<T>((~a & b) | ((~a | b) & r)));
    }
    template <class T>
    void logic(T r) {
        result = extend(r);
        aux = 0;
    }

    /// Condition code 0 to 15 (low bit negates), SDM 1 appendix B.
    bool condition(unsigned code) const {
        bool value;
        switch (code >> 1 & 7) {
            case 0: value = of(); break;
            case 1: value = cf(); break;
            case 2: value = zf(); break;
            case 3: value = cf() || zf(); break;
            case 4: value = sf(); break;
            case 5: value = pf(); break;
            case 6: value = sf() != of(); break;
            default: value = zf() || sf() != of(); break;
        }
        return value != static_cast<bool>(code & 1);
    }
};

}  // namespace shadowbox
