// SPDX-License-Identifier: MIT
// SSE, SSE2 and SSE3 floating-point arithmetic, logic and comparison. Rounding, DAZ, FTZ and the sticky
// flags are the host's
// (cpu/state/host_fpu.h); unmasked exceptions come through sse_checked(). SDM 1 10 and 11; no conversions, no
// moves.
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

#define SB_SSE4(op)                                          \
    SB_SSE(sse_##op##ps, fetch128<true>, host::op##ps(a, b)) \
    SB_SSE(sse_##op##pd, fetch128<true>, host::op##pd(a, b)) \
    SB_SSE(sse_##op##ss, fetch32, host::op##ss(a, b))        \
    SB_SSE(sse_##op##sd, fetch64, host::op##sd(a, b))

SB_SSE4(add)
SB_SSE4(sub)
SB_SSE4(mul)
SB_SSE4(div)
SB_SSE4(min)
SB_SSE4(max)
SB_SSE4(sqrt)

// The bitwise ops do not look at what the bits mean: PS and PD share a handler.
SB_SSE(sse_and, fetch128<true>, _mm_and_si128(a, b))
SB_SSE(sse_andn, fetch128<true>, _mm_andnot_si128(a, b))
SB_SSE(sse_or, fetch128<true>, _mm_or_si128(a, b))
SB_SSE(sse_xor, fetch128<true>, _mm_xor_si128(a, b))

namespace {

#define SB_SHUFFLE_PS(a, b, imm) \
    _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), imm))
#define SB_SHUFFLE_PD(a, b, imm) \
    _mm_castpd_si128(_mm_shuffle_pd(_mm_castsi128_pd(a), _mm_castsi128_pd(b), imm))

/// Elements 0, 2 (even) and 1, 3 (odd) of both operands: what horizontal operations add.
inline Xmm even_ps(Xmm a, Xmm b) { return SB_SHUFFLE_PS(a, b, 0x88); }
inline Xmm odd_ps(Xmm a, Xmm b) { return SB_SHUFFLE_PS(a, b, 0xDD); }
inline Xmm even_pd(Xmm a, Xmm b) { return SB_SHUFFLE_PD(a, b, 0); }
inline Xmm odd_pd(Xmm a, Xmm b) { return SB_SHUFFLE_PD(a, b, 3); }

/// ADDSUB: subtract in even elements, add in odd ones. Each element is calculated once with its own
/// operation: a masked-out
/// lane holds 0 + 0, which raises nothing.
inline Xmm addsub_ps(Xmm a, Xmm b) {
    const Xmm odd = _mm_set_epi32(-1, 0, -1, 0);
    Xmm sum = host::addps(_mm_and_si128(odd, a), _mm_and_si128(odd, b));
    Xmm difference = host::subps(_mm_andnot_si128(odd, a), _mm_andnot_si128(odd, b));
    return _mm_or_si128(_mm_and_si128(odd, sum), _mm_andnot_si128(odd, difference));
}
inline Xmm addsub_pd(Xmm a, Xmm b) {
    const Xmm high = _mm_set_epi64x(-1, 0);
    Xmm sum = host::addpd(_mm_and_si128(high, a), _mm_and_si128(high, b));
    return keep_high64(sum, host::subsd(a, b));
}

}  // namespace

SB_SSE(sse_haddps, fetch128<true>, host::addps(even_ps(a, b), odd_ps(a, b)))
SB_SSE(sse_haddpd, fetch128<true>, host::addpd(even_pd(a, b), odd_pd(a, b)))
SB_SSE(sse_hsubps, fetch128<true>, host::subps(even_ps(a, b), odd_ps(a, b)))
SB_SSE(sse_hsubpd, fetch128<true>, host::subpd(even_pd(a, b), odd_pd(a, b)))
SB_SSE(sse_addsubps, fetch128<true>, addsub_ps(a, b))
SB_SSE(sse_addsubpd, fetch128<true>, addsub_pd(a, b))

// CMPccPS etc.: the predicate is imm8[2:0]; legacy encodings ignore the rest (SDM 2A CMPPS).
#define SB_CMP(op, fetch)                             \
    SB_PATHS(sse_##op) {                              \
        Xmm b;                                        \
        if (!fetch(cpu, insn, b, path)) return false; \
        Xmm a = xmm(cpu, insn.reg);                   \
        switch (insn.imm & 7) {                       \
            case 0: a = host::op<0>(a, b); break;     \
            case 1: a = host::op<1>(a, b); break;     \
            case 2: a = host::op<2>(a, b); break;     \
            case 3: a = host::op<3>(a, b); break;     \
            case 4: a = host::op<4>(a, b); break;     \
            case 5: a = host::op<5>(a, b); break;     \
            case 6: a = host::op<6>(a, b); break;     \
            default: a = host::op<7>(a, b); break;    \
        }                                             \
        set_xmm(cpu, insn.reg, a);                    \
        return true;                                  \
    }
SB_CMP(cmpps, fetch128<true>)
SB_CMP(cmppd, fetch128<true>)
SB_CMP(cmpss, fetch32)
SB_CMP(cmpsd, fetch64)

#define SB_COMI(op, fetch)                                                                             \
    SB_PATHS(sse_##op) {                                                                               \
        Xmm b;                                                                                         \
        if (!fetch(cpu, insn, b, path)) return false;                                                  \
        host::CompareFlags r = host::op(xmm(cpu, insn.reg), b);                                        \
        cpu.flags.set((r.zf ? rflags::kZF : 0) | (r.pf ? rflags::kPF : 0) | (r.cf ? rflags::kCF : 0)); \
        return true;                                                                                   \
    }
SB_COMI(comiss, fetch32)
SB_COMI(ucomiss, fetch32)
SB_COMI(comisd, fetch64)
SB_COMI(ucomisd, fetch64)

SB_OP(sse_movmskps) {
    cpu.gpr[insn.reg] = static_cast<u32>(_mm_movemask_ps(_mm_castsi128_ps(xmm(cpu, insn.rm))));
    return true;
}
SB_OP(sse_movmskpd) {
    cpu.gpr[insn.reg] = static_cast<u32>(_mm_movemask_pd(_mm_castsi128_pd(xmm(cpu, insn.rm))));
    return true;
}

namespace {

/// RCPPS and RSQRTPS leave 1.5 * 2^-12 relative error to the implementation (SDM 2B). Ours is the exact
/// value rounded to
/// 12 fraction bits, ties up, in integer arithmetic: the same on every host, and no exception flags.
/// Denormal sources count
/// as zero, tiny results become zero, whatever DAZ and FTZ say.
constexpr u32 kSingleInfinity = 0x7F800000, kSingleQuiet = 0x00400000, kSingleIndefinite = 0xFFC00000;

u32 reciprocal(u32 x) {
    u32 sign = x & 0x80000000, exponent = x >> 23 & 0xFF, fraction = x & 0x7FFFFF;
    if (exponent == 0xFF) return fraction ? x | kSingleQuiet : sign;
    if (exponent == 0) return sign | kSingleInfinity;
    u32 mantissa = fraction | 0x800000;
    // 2^37 / mantissa is in (2^13, 2^14]: one more bit than kept.
    u32 quotient = static_cast<u32>((u64{1} << 37) / mantissa);
    quotient = (quotient + 1) >> 1;  // 2^12 < quotient <= 2^13, the value 1/m in units of 2^-13
    int result_exponent = 253 - static_cast<int>(exponent);
    if (quotient == 0x2000) {
        quotient >>= 1;
        ++result_exponent;
    }
    if (result_exponent <= 0) return sign;
    return sign | static_cast<u32>(result_exponent) << 23 | (quotient & 0xFFF) << 11;
}

u64 integer_root(u64 value) {
    u64 root = 0;
    for (u64 bit = u64{1} << 31; bit; bit >>= 1) {
        if ((root | bit) * (root | bit) <= value) root |= bit;
    }
    return root;
}

u32 reciprocal_root(u32 x) {
    u32 sign = x & 0x80000000, exponent = x >> 23 & 0xFF, fraction = x & 0x7FFFFF;
    if (exponent == 0xFF && fraction) return x | kSingleQuiet;
    if (exponent == 0) return sign | kSingleInfinity;
    if (sign) return kSingleIndefinite;
    if (exponent == 0xFF) return 0;
    // x = m * 2^(2k), m in [1, 4): 1/sqrt(x) = 2^-k / sqrt(m), which is in (0.5, 1] * 2^-k.
    int unbiased = static_cast<int>(exponent) - 127;
    u64 mantissa = fraction | 0x800000;  // 2^23
    if (unbiased & 1) mantissa <<= 1, --unbiased;
    int k = unbiased / 2;
    // root = floor(2^14 / sqrt(m)), m = mantissa / 2^23: square is 2^28 * 2^23 / mantissa.
    u64 root = integer_root((u64{1} << 51) / mantissa);
    u32 rounded = static_cast<u32>((root + 1) >> 1);  // in units of 2^-13
    int result_exponent = 126 - k;
    if (rounded == 0x2000) {
        rounded >>= 1;
        ++result_exponent;
    }
    return static_cast<u32>(result_exponent) << 23 | (rounded & 0xFFF) << 11;
}

template <u32 (*function)(u32)>
inline Xmm each_single(Xmm v) {
    u64 low = low64(v), high = high64(v);
    auto both = [](u64 pair) {
        return function(static_cast<u32>(pair)) | static_cast<u64>(function(static_cast<u32>(pair >> 32)))
                                                      << 32;
    };
    return from_u64(both(high), both(low));
}

}  // namespace

Xmm approximate_reciprocals(Xmm v) { return each_single<reciprocal>(v); }
Xmm approximate_reciprocal_roots(Xmm v) { return each_single<reciprocal_root>(v); }

SB_SSE(sse_rcpps, fetch128<true>, each_single<reciprocal>(b))
SB_SSE(sse_rsqrtps, fetch128<true>, each_single<reciprocal_root>(b))
SB_SSE(sse_rcpss, fetch32, keep_high96(a, from_u32(reciprocal(low32(b)))))
SB_SSE(sse_rsqrtss, fetch32, keep_high96(a, from_u32(reciprocal_root(low32(b)))))

}  // namespace shadowbox
