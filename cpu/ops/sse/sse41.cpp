// SPDX-License-Identifier: MIT
// SSE4.1 and the one packed op of SSE4.2 (PCMPGTQ), made of SSE2 so that every host runs them. Floating
// point of SSE4.1 is in
// sse41_float.cpp, inserts and extracts in sse_shuffle.cpp. SDM 1 12.10.
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

namespace {

inline Xmm select(Xmm mask, Xmm yes, Xmm no) {
    return _mm_or_si128(_mm_and_si128(mask, yes), _mm_andnot_si128(mask, no));
}

/// Whole-element masks of immediate bits.
inline Xmm dword_mask(unsigned bits) {
    const Xmm each = _mm_set_epi32(8, 4, 2, 1);
    return _mm_cmpeq_epi32(_mm_and_si128(_mm_set1_epi32(static_cast<int>(bits)), each), each);
}
inline Xmm word_mask(unsigned bits) {
    const Xmm each = _mm_set_epi16(128, 64, 32, 16, 8, 4, 2, 1);
    return _mm_cmpeq_epi16(_mm_and_si128(_mm_set1_epi16(static_cast<short>(bits)), each), each);
}
inline Xmm qword_mask(unsigned bits) { return from_u64(bits & 2 ? ~u64{0} : 0, bits & 1 ? ~u64{0} : 0); }

/// Whole-element masks of sign bits, as the BLENDV ops take them from XMM0.
inline Xmm byte_signs(Xmm v) { return _mm_cmpgt_epi8(_mm_setzero_si128(), v); }
inline Xmm dword_signs(Xmm v) { return _mm_srai_epi32(v, 31); }
inline Xmm qword_signs(Xmm v) { return _mm_shuffle_epi32(dword_signs(v), 0xF5); }

inline Xmm greater_unsigned_dwords(Xmm a, Xmm b) {
    const Xmm bias = _mm_set1_epi32(static_cast<int>(0x80000000));
    return _mm_cmpgt_epi32(_mm_xor_si128(a, bias), _mm_xor_si128(b, bias));
}
inline Xmm equal_qwords(Xmm a, Xmm b) {
    Xmm halves = _mm_cmpeq_epi32(a, b);
    return _mm_and_si128(halves, _mm_shuffle_epi32(halves, 0xB1));
}
inline Xmm greater_qwords(Xmm a, Xmm b) {
    auto greater = [](u64 x, u64 y) { return static_cast<i64>(x) > static_cast<i64>(y) ? ~u64{0} : 0; };
    return from_u64(greater(high64(a), high64(b)), greater(low64(a), low64(b)));
}
inline Xmm multiply_signed_dwords(Xmm a, Xmm b) {
    auto product = [](u64 x, u64 y) {
        return static_cast<u64>(i64{static_cast<i32>(x)} * static_cast<i32>(y));
    };
    return from_u64(product(high64(a), high64(b)), product(low64(a), low64(b)));
}
inline Xmm multiply_low_dwords(Xmm a, Xmm b) {
    Xmm even = _mm_mul_epu32(a, b), odd = _mm_mul_epu32(_mm_srli_epi64(a, 32), _mm_srli_epi64(b, 32));
    return _mm_unpacklo_epi32(_mm_shuffle_epi32(even, 0x08), _mm_shuffle_epi32(odd, 0x08));
}
/// Signed dwords clamped to 0..65535, then sign-extended from 16 bits, so that PACKSSDW keeps their bits.
inline Xmm clamp_to_words(Xmm v) {
    v = _mm_andnot_si128(_mm_srai_epi32(v, 31), v);
    v = _mm_or_si128(v, _mm_cmpgt_epi32(v, _mm_set1_epi32(0xFFFF)));
    return _mm_srai_epi32(_mm_slli_epi32(v, 16), 16);
}

template <class T>
union Lanes {
    Xmm vector;
    T lane[16 / sizeof(T)];
};
/// PMOVSX and PMOVZX.
template <class To, class From>
inline Xmm extend(Xmm v) {
    Lanes<From> source{v};
    Lanes<To> result;
    for (unsigned i = 0; i < 16 / sizeof(To); ++i) result.lane[i] = static_cast<To>(source.lane[i]);
    return result.vector;
}

/// PHMINPOSUW: the smallest word and its first index.
inline Xmm minimum_position(Xmm v) {
    Lanes<u16> words{v};
    unsigned best = 0;
    for (unsigned i = 1; i < 8; ++i) {
        if (words.lane[i] < words.lane[best]) best = i;
    }
    return from_u64(words.lane[best] | best << 16);
}
/// MPSADBW: eight sums of absolute differences of a four-byte block of b with sliding blocks of a.
inline Xmm multiple_sad(Xmm a, Xmm b, unsigned imm) {
    Lanes<u8> first{a}, second{b};
    Lanes<u16> result;
    unsigned from = imm & 4, block = imm % 4 * 4;
    for (unsigned i = 0; i < 8; ++i) {
        int sum = 0;
        for (unsigned k = 0; k < 4; ++k) {
            int difference = first.lane[from + i + k] - second.lane[block + k];
            sum += difference < 0 ? -difference : difference;
        }
        result.lane[i] = static_cast<u16>(sum);
    }
    return result.vector;
}

}  // namespace

SB_SSE(sse_pblendvb, fetch128<true>, select(byte_signs(xmm(cpu, 0)), b, a))
SB_SSE(sse_blendvps, fetch128<true>, select(dword_signs(xmm(cpu, 0)), b, a))
SB_SSE(sse_blendvpd, fetch128<true>, select(qword_signs(xmm(cpu, 0)), b, a))
SB_SSE(sse_pblendw, fetch128<true>, select(word_mask(static_cast<u8>(insn.imm)), b, a))
SB_SSE(sse_blendps, fetch128<true>, select(dword_mask(static_cast<u8>(insn.imm)), b, a))
SB_SSE(sse_blendpd, fetch128<true>, select(qword_mask(static_cast<u8>(insn.imm)), b, a))

SB_SSE(sse_pcmpeqq, fetch128<true>, equal_qwords(a, b))
SB_SSE(sse_pcmpgtq, fetch128<true>, greater_qwords(a, b))
SB_SSE(sse_packusdw, fetch128<true>, _mm_packs_epi32(clamp_to_words(a), clamp_to_words(b)))
SB_SSE(sse_pmuldq, fetch128<true>, multiply_signed_dwords(a, b))
SB_SSE(sse_pmulld, fetch128<true>, multiply_low_dwords(a, b))
SB_SSE(sse_pminsb, fetch128<true>, select(_mm_cmpgt_epi8(a, b), b, a))
SB_SSE(sse_pmaxsb, fetch128<true>, select(_mm_cmpgt_epi8(a, b), a, b))
SB_SSE(sse_pminuw, fetch128<true>, _mm_sub_epi16(a, _mm_subs_epu16(a, b)))
SB_SSE(sse_pmaxuw, fetch128<true>, _mm_add_epi16(b, _mm_subs_epu16(a, b)))
SB_SSE(sse_pminsd, fetch128<true>, select(_mm_cmpgt_epi32(a, b), b, a))
SB_SSE(sse_pmaxsd, fetch128<true>, select(_mm_cmpgt_epi32(a, b), a, b))
SB_SSE(sse_pminud, fetch128<true>, select(greater_unsigned_dwords(a, b), b, a))
SB_SSE(sse_pmaxud, fetch128<true>, select(greater_unsigned_dwords(a, b), a, b))
SB_SSE(sse_phminposuw, fetch128<true>, minimum_position(b))
SB_SSE(sse_mpsadbw, fetch128<true>, multiple_sad(a, b, static_cast<u8>(insn.imm)))

SB_SSE(sse_pmovsxbw, fetch64, (extend<i16, i8>(b)))
SB_SSE(sse_pmovsxbd, fetch32, (extend<i32, i8>(b)))
SB_SSE(sse_pmovsxbq, fetch_narrow<u16>, (extend<i64, i8>(b)))
SB_SSE(sse_pmovsxwd, fetch64, (extend<i32, i16>(b)))
SB_SSE(sse_pmovsxwq, fetch32, (extend<i64, i16>(b)))
SB_SSE(sse_pmovsxdq, fetch64, (extend<i64, i32>(b)))
SB_SSE(sse_pmovzxbw, fetch64, (extend<u16, u8>(b)))
SB_SSE(sse_pmovzxbd, fetch32, (extend<u32, u8>(b)))
SB_SSE(sse_pmovzxbq, fetch_narrow<u16>, (extend<u64, u8>(b)))
SB_SSE(sse_pmovzxwd, fetch64, (extend<u32, u16>(b)))
SB_SSE(sse_pmovzxwq, fetch32, (extend<u64, u16>(b)))
SB_SSE(sse_pmovzxdq, fetch64, (extend<u64, u32>(b)))

SB_OP(sse_ptest) {
    Xmm b;
    if (!fetch128<true>(cpu, insn, b)) return false;
    Xmm a = xmm(cpu, insn.reg);
    Xmm both = _mm_and_si128(a, b), only_b = _mm_andnot_si128(a, b);
    bool zero = !(low64(both) | high64(both)), carry = !(low64(only_b) | high64(only_b));
    cpu.flags.set((zero ? rflags::kZF : 0) | (carry ? rflags::kCF : 0));
    return true;
}

}  // namespace shadowbox
