// SPDX-License-Identifier: MIT
// AVX and AVX2 packed integers: arithmetic, comparison, packing, extension, shifts, AES; one line an op.
#include "cpu/ops/avx/avx_operand.h"

// A table, one line an op.
// clang-format off
namespace shadowbox {

#define SB_VEX_P(op) SB_VEX(avx_##op, SB_VEX_3, "v" #op)
SB_VEX_P(paddb) SB_VEX_P(paddw) SB_VEX_P(paddd) SB_VEX_P(paddq)
SB_VEX_P(paddsb) SB_VEX_P(paddsw) SB_VEX_P(paddusb) SB_VEX_P(paddusw)
SB_VEX_P(psubb) SB_VEX_P(psubw) SB_VEX_P(psubd) SB_VEX_P(psubq)
SB_VEX_P(psubsb) SB_VEX_P(psubsw) SB_VEX_P(psubusb) SB_VEX_P(psubusw)
SB_VEX_P(pmullw) SB_VEX_P(pmulhw) SB_VEX_P(pmulhuw) SB_VEX_P(pmulhrsw)
SB_VEX_P(pmulld) SB_VEX_P(pmuldq) SB_VEX_P(pmuludq) SB_VEX_P(pmaddwd)
SB_VEX_P(pmaddubsw) SB_VEX_P(psadbw) SB_VEX_P(pavgb) SB_VEX_P(pavgw)
SB_VEX_P(pminub) SB_VEX_P(pminuw) SB_VEX_P(pminud) SB_VEX_P(pminsb) SB_VEX_P(pminsw) SB_VEX_P(pminsd)
SB_VEX_P(pmaxub) SB_VEX_P(pmaxuw) SB_VEX_P(pmaxud) SB_VEX_P(pmaxsb) SB_VEX_P(pmaxsw) SB_VEX_P(pmaxsd)
SB_VEX_P(pcmpeqb) SB_VEX_P(pcmpeqw) SB_VEX_P(pcmpeqd) SB_VEX_P(pcmpeqq)
SB_VEX_P(pcmpgtb) SB_VEX_P(pcmpgtw) SB_VEX_P(pcmpgtd) SB_VEX_P(pcmpgtq)
SB_VEX_P(phaddw) SB_VEX_P(phaddd) SB_VEX_P(phaddsw) SB_VEX_P(phsubw) SB_VEX_P(phsubd) SB_VEX_P(phsubsw)
SB_VEX_P(psignb) SB_VEX_P(psignw) SB_VEX_P(psignd)
SB_VEX_P(packsswb) SB_VEX_P(packssdw) SB_VEX_P(packuswb) SB_VEX_P(packusdw)
SB_VEX_P(punpcklbw) SB_VEX_P(punpcklwd) SB_VEX_P(punpckldq) SB_VEX_P(punpcklqdq)
SB_VEX_P(punpckhbw) SB_VEX_P(punpckhwd) SB_VEX_P(punpckhdq) SB_VEX_P(punpckhqdq)
SB_VEX_P(pshufb)
SB_VEX_P(psrlvd) SB_VEX_P(psrlvq) SB_VEX_P(psravd) SB_VEX_P(psllvd) SB_VEX_P(psllvq)

SB_VEX(avx_pabsb, SB_VEX_2, "vpabsb")
SB_VEX(avx_pabsw, SB_VEX_2, "vpabsw")
SB_VEX(avx_pabsd, SB_VEX_2, "vpabsd")
#define SB_VEX_EXTEND(kind, part) SB_VEX_SIZED(avx_pmov##kind, SB_VEX_2, "vpmov" #kind, avx::full(insn) / part)
SB_VEX_EXTEND(sxbw, 2) SB_VEX_EXTEND(sxbd, 4) SB_VEX_EXTEND(sxbq, 8) SB_VEX_EXTEND(sxwd, 2) SB_VEX_EXTEND(sxwq, 4) SB_VEX_EXTEND(sxdq, 2)
SB_VEX_EXTEND(zxbw, 2) SB_VEX_EXTEND(zxbd, 4) SB_VEX_EXTEND(zxbq, 8) SB_VEX_EXTEND(zxwd, 2) SB_VEX_EXTEND(zxwq, 4) SB_VEX_EXTEND(zxdq, 2)
SB_VEX_LOW(avx_phminposuw, SB_VEX_2, "vphminposuw", 16)

// Shifts: the count is the low 64 bits of a 128-bit operand, or an immediate, which goes through a register here.
#define SB_VEX_SHIFT_IMMEDIATE(r, op) \
    "vmovd %k[count], %%xmm2\n\tvmovdqu %[b], %%" r "1\n\t" op " %%xmm2, %%" r "1, %%" r "0\n\tvmovdqu %%ymm0, %[d]\n\t"
#define SB_VEX_SHIFT(op)                                                                                                   \
    SB_VEX_SIZED(avx_##op, SB_VEX_3, "v" #op, 16)                                                                          \
    SB_OP(avx_##op##_imm) {                                                                                                \
        u32 count = static_cast<u8>(insn.imm);                                                                             \
        if (insn.vex_l)                                                                                                    \
            asm volatile(SB_VEX_SHIFT_IMMEDIATE("ymm", "v" #op) "vzeroupper" : [d] "=m"(cpu.vec[insn.vvvv])                \
                         : [b] "m"(cpu.vec[insn.rm]), [count] "r"(count) : "xmm0", "xmm1", "xmm2");                        \
        else                                                                                                               \
            asm volatile(SB_VEX_SHIFT_IMMEDIATE("xmm", "v" #op) : [d] "=m"(cpu.vec[insn.vvvv])                             \
                         : [b] "m"(cpu.vec[insn.rm]), [count] "r"(count) : "xmm0", "xmm1", "xmm2");                        \
        return true;                                                                                                       \
    }
SB_VEX_SHIFT(psllw) SB_VEX_SHIFT(pslld) SB_VEX_SHIFT(psllq)
SB_VEX_SHIFT(psrlw) SB_VEX_SHIFT(psrld) SB_VEX_SHIFT(psrlq)
SB_VEX_SHIFT(psraw) SB_VEX_SHIFT(psrad)

// Byte shifts within each 16 bytes; counts above 15 give zero.
#define SB_VEX_BYTE_SHIFT(op)                                                                                              \
    SB_OP(avx_##op) {                                                                                                      \
        u64 count = std::min<u64>(static_cast<u8>(insn.imm), 16) * 16;                                                     \
        if (insn.vex_l)                                                                                                    \
            asm volatile(SB_VEX_I2("v" #op, 17, "ymm") "vmovdqu %%ymm0, %[d]\n\tvzeroupper" : [d] "=m"(cpu.vec[insn.vvvv]) \
                         : [b] "m"(cpu.vec[insn.rm]), [imm] "r"(count) : "xmm0", "xmm1", "rax", "cc");                     \
        else                                                                                                               \
            asm volatile(SB_VEX_I2("v" #op, 17, "xmm") "vmovdqu %%ymm0, %[d]" : [d] "=m"(cpu.vec[insn.vvvv])               \
                         : [b] "m"(cpu.vec[insn.rm]), [imm] "r"(count) : "xmm0", "xmm1", "rax", "cc");                     \
        return true;                                                                                                       \
    }
SB_VEX_BYTE_SHIFT(pslldq)
SB_VEX_BYTE_SHIFT(psrldq)

SB_VEX_LOW(avx_aesenc, SB_VEX_3, "vaesenc", 16)
SB_VEX_LOW(avx_aesenclast, SB_VEX_3, "vaesenclast", 16)
SB_VEX_LOW(avx_aesdec, SB_VEX_3, "vaesdec", 16)
SB_VEX_LOW(avx_aesdeclast, SB_VEX_3, "vaesdeclast", 16)
SB_VEX_LOW(avx_aesimc, SB_VEX_2, "vaesimc", 16)
SB_VEX_IMM_LOW(avx_aeskeygenassist, SB_VEX_I2, "vaeskeygenassist", 256, insn.imm & 255)
SB_VEX_IMM_LOW(avx_pclmulqdq, SB_VEX_I3, "vpclmulqdq", 18, insn.imm & 17)

}  // namespace shadowbox
