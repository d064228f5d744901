// SPDX-License-Identifier: MIT
// Packed integer arithmetic, logic, comparison and shifts of MMX, SSE and SSE2: one line an op, MMX and XMM
// form together
// (the MMX form works in the low half of a vector register). SDM 1 9.4, 11.4.2.
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

SB_SIMD(paddb, _mm_add_epi8(a, b))
SB_SIMD(paddw, _mm_add_epi16(a, b))
SB_SIMD(paddd, _mm_add_epi32(a, b))
SB_SIMD(paddq, _mm_add_epi64(a, b))
SB_SIMD(paddsb, _mm_adds_epi8(a, b))
SB_SIMD(paddsw, _mm_adds_epi16(a, b))
SB_SIMD(paddusb, _mm_adds_epu8(a, b))
SB_SIMD(paddusw, _mm_adds_epu16(a, b))
SB_SIMD(psubb, _mm_sub_epi8(a, b))
SB_SIMD(psubw, _mm_sub_epi16(a, b))
SB_SIMD(psubd, _mm_sub_epi32(a, b))
SB_SIMD(psubq, _mm_sub_epi64(a, b))
SB_SIMD(psubsb, _mm_subs_epi8(a, b))
SB_SIMD(psubsw, _mm_subs_epi16(a, b))
SB_SIMD(psubusb, _mm_subs_epu8(a, b))
SB_SIMD(psubusw, _mm_subs_epu16(a, b))

SB_SIMD(pmullw, _mm_mullo_epi16(a, b))
SB_SIMD(pmulhw, _mm_mulhi_epi16(a, b))
SB_SIMD(pmulhuw, _mm_mulhi_epu16(a, b))
SB_SIMD(pmuludq, _mm_mul_epu32(a, b))
SB_SIMD(pmaddwd, _mm_madd_epi16(a, b))
SB_SIMD(psadbw, _mm_sad_epu8(a, b))
SB_SIMD(pavgb, _mm_avg_epu8(a, b))
SB_SIMD(pavgw, _mm_avg_epu16(a, b))
SB_SIMD(pminub, _mm_min_epu8(a, b))
SB_SIMD(pminsw, _mm_min_epi16(a, b))
SB_SIMD(pmaxub, _mm_max_epu8(a, b))
SB_SIMD(pmaxsw, _mm_max_epi16(a, b))

SB_SIMD(pcmpeqb, _mm_cmpeq_epi8(a, b))
SB_SIMD(pcmpeqw, _mm_cmpeq_epi16(a, b))
SB_SIMD(pcmpeqd, _mm_cmpeq_epi32(a, b))
SB_SIMD(pcmpgtb, _mm_cmpgt_epi8(a, b))
SB_SIMD(pcmpgtw, _mm_cmpgt_epi16(a, b))
SB_SIMD(pcmpgtd, _mm_cmpgt_epi32(a, b))

// The XMM logic ops are sse_and and its kin (sse_float.cpp).
SB_MMX(mmx_pand, _mm_and_si128(a, b))
SB_MMX(mmx_pandn, _mm_andnot_si128(a, b))
SB_MMX(mmx_por, _mm_or_si128(a, b))
SB_MMX(mmx_pxor, _mm_xor_si128(a, b))

// Shifts by a register or memory operand: the count is the low 64 bits, all of them.
SB_SIMD(psllw, _mm_sll_epi16(a, b))
SB_SIMD(pslld, _mm_sll_epi32(a, b))
SB_SIMD(psllq, _mm_sll_epi64(a, b))
SB_SIMD(psrlw, _mm_srl_epi16(a, b))
SB_SIMD(psrld, _mm_srl_epi32(a, b))
SB_SIMD(psrlq, _mm_srl_epi64(a, b))
SB_SIMD(psraw, _mm_sra_epi16(a, b))
SB_SIMD(psrad, _mm_sra_epi32(a, b))

// Shifts by an immediate: ModRM.rm is source and destination.
#define SB_SHIFT_IMMEDIATE(op, intrinsic)                                                         \
    SB_OP(sse_##op##_imm) {                                                                       \
        set_xmm(cpu, insn.rm, intrinsic(xmm(cpu, insn.rm), from_u32(static_cast<u8>(insn.imm)))); \
        return true;                                                                              \
    }                                                                                             \
    SB_OP(mmx_##op##_imm) {                                                                       \
        if (!mmx_ready(cpu)) return false;                                                        \
        mmx_enter(cpu);                                                                           \
        set_mm(cpu, insn.rm, intrinsic(mm(cpu, insn.rm), from_u32(static_cast<u8>(insn.imm))));   \
        return true;                                                                              \
    }
SB_SHIFT_IMMEDIATE(psllw, _mm_sll_epi16)
SB_SHIFT_IMMEDIATE(pslld, _mm_sll_epi32)
SB_SHIFT_IMMEDIATE(psllq, _mm_sll_epi64)
SB_SHIFT_IMMEDIATE(psrlw, _mm_srl_epi16)
SB_SHIFT_IMMEDIATE(psrld, _mm_srl_epi32)
SB_SHIFT_IMMEDIATE(psrlq, _mm_srl_epi64)
SB_SHIFT_IMMEDIATE(psraw, _mm_sra_epi16)
SB_SHIFT_IMMEDIATE(psrad, _mm_sra_epi32)

namespace {

inline u128 whole(Xmm v) { return static_cast<u128>(high64(v)) << 64 | low64(v); }
inline Xmm whole(u128 v) { return from_u64(static_cast<u64>(v >> 64), static_cast<u64>(v)); }

}  // namespace

// Shifts of the whole register by bytes.
SB_OP(sse_pslldq) {
    unsigned count = static_cast<u8>(insn.imm);
    set_xmm(cpu, insn.rm, count > 15 ? _mm_setzero_si128() : whole(whole(xmm(cpu, insn.rm)) << (8 * count)));
    return true;
}
SB_OP(sse_psrldq) {
    unsigned count = static_cast<u8>(insn.imm);
    set_xmm(cpu, insn.rm, count > 15 ? _mm_setzero_si128() : whole(whole(xmm(cpu, insn.rm)) >> (8 * count)));
    return true;
}

SB_OP(sse_pmovmskb) {
    cpu.gpr[insn.reg] = static_cast<u32>(_mm_movemask_epi8(xmm(cpu, insn.rm)));
    return true;
}
SB_OP(mmx_pmovmskb) {
    if (!mmx_ready(cpu)) return false;
    mmx_enter(cpu);
    cpu.gpr[insn.reg] = static_cast<u32>(_mm_movemask_epi8(mm(cpu, insn.rm))) & 0xFF;
    return true;
}

}  // namespace shadowbox
