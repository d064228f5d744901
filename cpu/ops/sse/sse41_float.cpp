// SPDX-License-Identifier: MIT
// ROUNDxx and DPPx of SSE4.1. Rounding is done on the bits, since its mode is an immediate and every host
// must agree;
// it raises only Invalid (signalling NaN) and Precision (SDM 2B ROUNDPD).
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

namespace {

constexpr u32 kInvalid = 1, kPrecision = 0x20, kDaz = 0x40;

template <class T>
struct Format;
template <>
struct Format<u32> {
    static constexpr unsigned kFraction = 23, kBias = 127, kSpecial = 0xFF;
};
template <>
struct Format<u64> {
    static constexpr unsigned kFraction = 52, kBias = 1023, kSpecial = 0x7FF;
};

/// Whether rounding away from zero is due, for a magnitude whose lost part compares as told with one half.
constexpr bool rounds_up(unsigned mode, bool negative, bool odd, int against_half) {
    switch (mode) {
        case 0: return against_half > 0 || (against_half == 0 && odd);
        case 1: return negative;
        case 2: return !negative;
        default: return false;
    }
}

/// `x` rounded to an integral value; `mode` as MXCSR.RC.
template <class T>
T round_integral(T x, unsigned mode, bool daz, u32& flags) {
    using F = Format<T>;
    constexpr T kSign = T{1} << (sizeof(T) * 8 - 1), kFractionMask = (T{1} << F::kFraction) - 1;
    unsigned exponent = static_cast<unsigned>((x & ~kSign) >> F::kFraction);
    if (exponent == F::kSpecial) {
        T quiet = T{1} << (F::kFraction - 1);
        if ((x & kFractionMask) && !(x & quiet)) flags |= kInvalid;
        return x & kFractionMask ? x | quiet : x;
    }
    if (!(x & ~kSign) || (exponent == 0 && daz)) return x & kSign;
    if (exponent >= F::kBias + F::kFraction) return x;
    bool negative = x & kSign;
    if (exponent < F::kBias) {  // below 1: zero or one
        flags |= kPrecision;
        int half = exponent < F::kBias - 1 ? -1 : (x & kFractionMask) ? 1 : 0;
        T one = T{F::kBias} << F::kFraction;
        return (x & kSign) | (rounds_up(mode, negative, false, half) ? one : 0);
    }
    unsigned lost_bits = F::kBias + F::kFraction - exponent;
    T unit = T{1} << lost_bits, lost = x & (unit - 1), half = unit >> 1;
    if (!lost) return x;
    flags |= kPrecision;
    bool odd = lost_bits == F::kFraction
                   ? true
                   : (x & unit) != 0;  // the hidden bit is the unit when exponent == bias
    x -= lost;
    if (rounds_up(mode, negative, odd, lost > half ? 1 : lost == half ? 0 : -1))
        x += unit;  // carries into the exponent
    return x;
}

template <class T>
Xmm round_lanes(const Vcpu& cpu, Xmm v, unsigned imm, unsigned lanes) {
    union {
        Xmm vector;
        T lane[16 / sizeof(T)];
    } value{v};
    unsigned mode = imm & 4 ? cpu.mxcsr >> 13 & 3 : imm & 3;
    u32 flags = 0;
    for (unsigned i = 0; i < lanes; ++i)
        value.lane[i] = round_integral<T>(value.lane[i], mode, cpu.mxcsr & kDaz, flags);
    if (imm & 8) flags &= ~kPrecision;
    if (flags) host::set_mxcsr(host::mxcsr() | flags);
    return value.vector;
}

/// Dot products: lanes not selected count as +0 and raise nothing. The order of additions is the manual's
/// (SDM 2A DPPS).
inline Xmm lane_mask_ps(unsigned bits) {
    const Xmm each = _mm_set_epi32(8, 4, 2, 1);
    return _mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(static_cast<int>(bits)), each), each);
}
inline Xmm lane_mask_pd(unsigned bits) { return from_u64(bits & 2 ? ~u64{0} : 0, bits & 1 ? ~u64{0} : 0); }

inline Xmm dot_ps(Xmm a, Xmm b, unsigned imm) {
    Xmm use = lane_mask_ps(imm >> 4);
    Xmm products = host::mulps(_mm_and_si128(a, use), _mm_and_si128(b, use));
    Xmm pairs = host::addps(products, _mm_shuffle_epi32(products, 0xB1));
    Xmm sum = host::addps(pairs, _mm_shuffle_epi32(pairs, 0x4E));
    return _mm_and_si128(_mm_shuffle_epi32(sum, 0), lane_mask_ps(imm));
}
inline Xmm dot_pd(Xmm a, Xmm b, unsigned imm) {
    Xmm use = lane_mask_pd(imm >> 4);
    Xmm products = host::mulpd(_mm_and_si128(a, use), _mm_and_si128(b, use));
    Xmm sum = host::addsd(products, _mm_unpackhi_epi64(products, products));
    return _mm_and_si128(_mm_unpacklo_epi64(sum, sum), lane_mask_pd(imm));
}

}  // namespace

SB_SSE(sse_roundps, fetch128<true>, round_lanes<u32>(cpu, b, static_cast<u8>(insn.imm), 4))
SB_SSE(sse_roundpd, fetch128<true>, round_lanes<u64>(cpu, b, static_cast<u8>(insn.imm), 2))
SB_SSE(sse_roundss, fetch32, keep_high96(a, round_lanes<u32>(cpu, b, static_cast<u8>(insn.imm), 1)))
SB_SSE(sse_roundsd, fetch64, keep_high64(a, round_lanes<u64>(cpu, b, static_cast<u8>(insn.imm), 1)))
SB_SSE(sse_dpps, fetch128<true>, dot_ps(a, b, static_cast<u8>(insn.imm)))
SB_SSE(sse_dppd, fetch128<true>, dot_pd(a, b, static_cast<u8>(insn.imm)))

}  // namespace shadowbox
