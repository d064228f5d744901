// SPDX-License-Identifier: MIT
// SSSE3, MMX and XMM forms, made of SSE2 so that every host runs them; only PSHUFB, which is hot, asks for
// the host's own.
// SDM 1 12.6.
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

namespace {

inline Xmm abs_dwords(Xmm v) {
    Xmm negative = _mm_srai_epi32(v, 31);
    return _mm_sub_epi32(_mm_xor_si128(v, negative), negative);
}
/// a where b is positive, -a where negative, 0 where zero.
inline Xmm sign_bytes(Xmm a, Xmm b) {
    Xmm zero = _mm_setzero_si128(), negative = _mm_cmpgt_epi8(zero, b);
    return _mm_andnot_si128(_mm_cmpeq_epi8(b, zero), _mm_sub_epi8(_mm_xor_si128(a, negative), negative));
}
inline Xmm sign_words(Xmm a, Xmm b) {
    Xmm zero = _mm_setzero_si128(), negative = _mm_srai_epi16(b, 15);
    return _mm_andnot_si128(_mm_cmpeq_epi16(b, zero), _mm_sub_epi16(_mm_xor_si128(a, negative), negative));
}
inline Xmm sign_dwords(Xmm a, Xmm b) {
    Xmm zero = _mm_setzero_si128(), negative = _mm_srai_epi32(b, 31);
    return _mm_andnot_si128(_mm_cmpeq_epi32(b, zero), _mm_sub_epi32(_mm_xor_si128(a, negative), negative));
}

/// The low words of all dwords, sign-extended; packing them again cannot saturate.
inline Xmm low_words(Xmm v) { return _mm_srai_epi32(_mm_slli_epi32(v, 16), 16); }
inline Xmm even_words(Xmm a, Xmm b) { return _mm_packs_epi32(low_words(a), low_words(b)); }
inline Xmm odd_words(Xmm a, Xmm b) { return _mm_packs_epi32(_mm_srai_epi32(a, 16), _mm_srai_epi32(b, 16)); }
inline Xmm even_dwords(Xmm a, Xmm b) {
    return _mm_unpacklo_epi64(_mm_shuffle_epi32(a, 0x88), _mm_shuffle_epi32(b, 0x88));
}
inline Xmm odd_dwords(Xmm a, Xmm b) {
    return _mm_unpacklo_epi64(_mm_shuffle_epi32(a, 0xDD), _mm_shuffle_epi32(b, 0xDD));
}
/// MMX operands side by side, so that the 128-bit picking finds [a, b] in its low half.
inline Xmm join(Xmm a, Xmm b) { return _mm_unpacklo_epi64(a, b); }

inline Xmm multiply_add_unsigned(Xmm a, Xmm b) {
    Xmm even =
        _mm_mullo_epi16(_mm_and_si128(a, _mm_set1_epi16(0xFF)), _mm_srai_epi16(_mm_slli_epi16(b, 8), 8));
    Xmm odd = _mm_mullo_epi16(_mm_srli_epi16(a, 8), _mm_srai_epi16(b, 8));
    return _mm_adds_epi16(even, odd);
}
inline Xmm round_products(Xmm products) {
    return low_words(_mm_srai_epi32(_mm_add_epi32(_mm_srai_epi32(products, 14), _mm_set1_epi32(1)), 1));
}
inline Xmm multiply_high_rounded(Xmm a, Xmm b) {
    Xmm low = _mm_mullo_epi16(a, b), high = _mm_mulhi_epi16(a, b);
    return _mm_packs_epi32(round_products(_mm_unpacklo_epi16(low, high)),
                           round_products(_mm_unpackhi_epi16(low, high)));
}

union Bytes {
    Xmm vector;
    u8 byte[16];
};

inline Xmm align_right(Xmm high, Xmm low, unsigned count) {
    if (count >= 32) return _mm_setzero_si128();
    u64 words[6] = {low64(low), high64(low), low64(high), high64(high), 0, 0};
    unsigned first = count / 8, shift = count % 8 * 8;
    auto word = [&](unsigned n) {
        return shift ? words[n] >> shift | (n < 5 ? words[n + 1] << (64 - shift) : 0) : words[n];
    };
    return from_u64(word(first + 1), word(first));
}

}  // namespace

Xmm shuffle_bytes_portable(Xmm a, Xmm control) {
    Bytes source{a}, pick{control}, result;
    for (unsigned i = 0; i < 16; ++i)
        result.byte[i] = pick.byte[i] & 0x80 ? 0 : source.byte[pick.byte[i] & 15];
    return result.vector;
}

namespace {

inline Xmm shuffle_bytes(Xmm a, Xmm control) {
    return __builtin_expect(kHostFeatures.ssse3, 1) ? host::pshufb(a, control)
                                                    : shuffle_bytes_portable(a, control);
}

}  // namespace

SB_SSE(sse_pshufb, fetch128<true>, shuffle_bytes(a, b))
SB_MMX(mmx_pshufb, shuffle_bytes(a, _mm_and_si128(b, _mm_set1_epi8(static_cast<char>(0x87)))))
SB_SIMD(pabsb, _mm_min_epu8(b, _mm_sub_epi8(_mm_setzero_si128(), b)))
SB_SIMD(pabsw, _mm_max_epi16(b, _mm_sub_epi16(_mm_setzero_si128(), b)))
SB_SIMD(pabsd, abs_dwords(b))
SB_SIMD(psignb, sign_bytes(a, b))
SB_SIMD(psignw, sign_words(a, b))
SB_SIMD(psignd, sign_dwords(a, b))
SB_SIMD(pmaddubsw, multiply_add_unsigned(a, b))
SB_SIMD(pmulhrsw, multiply_high_rounded(a, b))

#define SB_HORIZONTAL(op, combine, kind)                                           \
    SB_SSE(sse_##op, fetch128<true>, combine(even_##kind(a, b), odd_##kind(a, b))) \
    SB_MMX(mmx_##op, combine(even_##kind(join(a, b), a), odd_##kind(join(a, b), a)))
SB_HORIZONTAL(phaddw, _mm_add_epi16, words)
SB_HORIZONTAL(phaddd, _mm_add_epi32, dwords)
SB_HORIZONTAL(phaddsw, _mm_adds_epi16, words)
SB_HORIZONTAL(phsubw, _mm_sub_epi16, words)
SB_HORIZONTAL(phsubd, _mm_sub_epi32, dwords)
SB_HORIZONTAL(phsubsw, _mm_subs_epi16, words)

SB_SSE(sse_palignr, fetch128<true>, align_right(a, b, static_cast<u8>(insn.imm)))
// Joined, the two 8-byte operands are one 16-byte value: shift zeros in above it.
SB_MMX(mmx_palignr, align_right(_mm_setzero_si128(), join(b, a), static_cast<u8>(insn.imm)))

}  // namespace shadowbox
