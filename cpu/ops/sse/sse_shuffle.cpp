// SPDX-License-Identifier: MIT
// Shuffles, unpacks, packs, inserts and extracts of MMX, SSE and SSE2. The immediate is known only at run
// time, so elements
// are picked by loads from the register file and joined in general registers.
#include "cpu/ops/sse/vector_elements.h"

namespace shadowbox {

SB_SSE(sse_punpcklbw, fetch128<true>, _mm_unpacklo_epi8(a, b))
SB_SSE(sse_punpcklwd, fetch128<true>, _mm_unpacklo_epi16(a, b))
SB_SSE(sse_punpckldq, fetch128<true>, _mm_unpacklo_epi32(a, b))   // and UNPCKLPS
SB_SSE(sse_punpcklqdq, fetch128<true>, _mm_unpacklo_epi64(a, b))  // and UNPCKLPD
SB_SSE(sse_punpckhbw, fetch128<true>, _mm_unpackhi_epi8(a, b))
SB_SSE(sse_punpckhwd, fetch128<true>, _mm_unpackhi_epi16(a, b))
SB_SSE(sse_punpckhdq, fetch128<true>, _mm_unpackhi_epi32(a, b))   // and UNPCKHPS
SB_SSE(sse_punpckhqdq, fetch128<true>, _mm_unpackhi_epi64(a, b))  // and UNPCKHPD
SB_SSE(sse_packsswb, fetch128<true>, _mm_packs_epi16(a, b))
SB_SSE(sse_packssdw, fetch128<true>, _mm_packs_epi32(a, b))
SB_SSE(sse_packuswb, fetch128<true>, _mm_packus_epi16(a, b))

namespace {

inline Xmm high_half(Xmm v) { return _mm_unpackhi_epi64(v, v); }
/// Both MMX operands side by side.
inline Xmm side_by_side(Xmm a, Xmm b) { return _mm_unpacklo_epi64(a, b); }

}  // namespace

// The low unpacks read only 32 bits of memory (SDM 2B PUNPCKLBW), which matters at the end of a page.
#define SB_MMX_UNPACK_LOW(name, intrinsic)                      \
    SB_OP(name) {                                               \
        Xmm b;                                                  \
        if (!mmx_ready(cpu)) return false;                      \
        if (!insn.mem)                                          \
            b = mm(cpu, insn.rm);                               \
        else if (!fetch32(cpu, insn, b))                        \
            return false;                                       \
        mmx_enter(cpu);                                         \
        set_mm(cpu, insn.reg, intrinsic(mm(cpu, insn.reg), b)); \
        return true;                                            \
    }
SB_MMX_UNPACK_LOW(mmx_punpcklbw, _mm_unpacklo_epi8)
SB_MMX_UNPACK_LOW(mmx_punpcklwd, _mm_unpacklo_epi16)
SB_MMX_UNPACK_LOW(mmx_punpckldq, _mm_unpacklo_epi32)
SB_MMX(mmx_punpckhbw, high_half(_mm_unpacklo_epi8(a, b)))
SB_MMX(mmx_punpckhwd, high_half(_mm_unpacklo_epi16(a, b)))
SB_MMX(mmx_punpckhdq, high_half(_mm_unpacklo_epi32(a, b)))
SB_MMX(mmx_packsswb, _mm_packs_epi16(side_by_side(a, b), a))
SB_MMX(mmx_packssdw, _mm_packs_epi32(side_by_side(a, b), a))
SB_MMX(mmx_packuswb, _mm_packus_epi16(side_by_side(a, b), a))

namespace {

inline u64 dword_pair(const u32* a, const u32* b, unsigned pick) {
    return a[pick & 3] | static_cast<u64>(b[pick >> 2 & 3]) << 32;
}
/// Four 16-bit elements of one half.
inline u64 shuffle_words(u64 words, unsigned pick) {
    auto word = [words](unsigned n) { return words >> (16 * (n & 3)) & 0xFFFF; };
    return word(pick) | word(pick >> 2) << 16 | word(pick >> 4) << 32 | word(pick >> 6) << 48;
}
inline unsigned immediate(const Insn& insn) { return static_cast<u8>(insn.imm); }

inline Xmm shuffle_dwords(Xmm a, Xmm b, unsigned pick) {
    Elements low{a}, high{b};
    return from_u64(dword_pair(high.dword, high.dword, pick >> 4), dword_pair(low.dword, low.dword, pick));
}
inline Xmm shuffle_qwords(Xmm a, Xmm b, unsigned pick) {
    Elements low{a}, high{b};
    return from_u64(high.qword[pick >> 1 & 1], low.qword[pick & 1]);
}

}  // namespace

SB_SSE(sse_shufps, fetch128<true>, shuffle_dwords(a, b, immediate(insn)))
SB_SSE(sse_shufpd, fetch128<true>, shuffle_qwords(a, b, immediate(insn)))
SB_SSE(sse_pshufd, fetch128<true>, shuffle_dwords(b, b, immediate(insn)))
SB_SSE(sse_pshuflw, fetch128<true>, from_u64(high64(b), shuffle_words(low64(b), immediate(insn))))
SB_SSE(sse_pshufhw, fetch128<true>, from_u64(shuffle_words(high64(b), immediate(insn)), low64(b)))
SB_MMX(mmx_pshufw, from_u64(shuffle_words(low64(b), immediate(insn))))

// Inserts and extracts write or read one element of the register file.
#define SB_INSERT(name, type, element, mask)                      \
    SB_OP(name) {                                                 \
        type value;                                               \
        if (!fetch_element<type>(cpu, insn, value)) return false; \
        cpu.vec[insn.reg].element[insn.imm & (mask)] = value;     \
        return true;                                              \
    }
#define SB_EXTRACT(name, type, element, mask)                      \
    SB_OP(name) {                                                  \
        type value = cpu.vec[insn.reg].element[insn.imm & (mask)]; \
        if (insn.mem) return store_memory<type>(cpu, insn, value); \
        cpu.gpr[insn.rm] = value;                                  \
        return true;                                               \
    }
SB_INSERT(sse_pinsrb, u8, byte, 15)
SB_INSERT(sse_pinsrw, u16, word, 7)
SB_EXTRACT(sse_pextrb, u8, byte, 15)
SB_EXTRACT(sse_pextrw_store, u16, word, 7)
SB_EXTRACT(sse_extractps, u32, dword, 3)

// REX.W chooses between the 32- and the 64-bit form.
SB_OP(sse_pinsrdq) {
    u64 value;
    if (!fetch_integer(cpu, insn, value)) return false;
    if (insn.rex_w)
        cpu.vec[insn.reg].qword[insn.imm & 1] = value;
    else
        cpu.vec[insn.reg].dword[insn.imm & 3] = static_cast<u32>(value);
    return true;
}
SB_OP(sse_pextrdq) {
    u64 value = insn.rex_w ? cpu.vec[insn.reg].qword[insn.imm & 1] : cpu.vec[insn.reg].dword[insn.imm & 3];
    if (insn.mem)
        return insn.rex_w ? store_memory<u64>(cpu, insn, value)
                          : store_memory<u32>(cpu, insn, static_cast<u32>(value));
    cpu.gpr[insn.rm] = value;
    return true;
}
SB_OP(sse_insertps) {
    Xmm b;
    if (!fetch32(cpu, insn, b)) return false;
    set_xmm(cpu, insn.reg, insert_single(insn, xmm(cpu, insn.reg), b));
    return true;
}

SB_OP(sse_pextrw) {
    cpu.gpr[insn.reg] = cpu.vec[insn.rm].word[insn.imm & 7];
    return true;
}
SB_OP(mmx_pextrw) {
    if (!mmx_ready(cpu)) return false;
    mmx_enter(cpu);
    cpu.gpr[insn.reg] = static_cast<u16>(low64(mm(cpu, insn.rm)) >> (16 * (insn.imm & 3)));
    return true;
}
SB_OP(mmx_pinsrw) {
    u16 value;
    if (!mmx_ready(cpu) || !fetch_element<u16>(cpu, insn, value)) return false;
    mmx_enter(cpu);
    unsigned shift = 16 * (insn.imm & 3);
    u64 old = low64(mm(cpu, insn.reg));
    set_mm(cpu, insn.reg, from_u64((old & ~(u64{0xFFFF} << shift)) | static_cast<u64>(value) << shift));
    return true;
}

}  // namespace shadowbox
