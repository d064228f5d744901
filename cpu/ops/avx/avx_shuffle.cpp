// SPDX-License-Identifier: MIT
// AVX and AVX2 shuffles, permutations, blends, single elements; VPCMPxSTRM. Ops that move the same bits share
// a handler whatever the elements are called: VPSHUFD is VPERMILPS, VPBLENDD is VBLENDPS.
#include "cpu/ops/avx/avx_operand.h"
#include "cpu/ops/sse/vector_elements.h"

namespace shadowbox {

SB_VEX_IMM(avx_shufps, SB_VEX_I3, "vshufps", 256, insn.imm & 255)
SB_VEX_IMM(avx_shufpd, SB_VEX_I3, "vshufpd", 16, insn.imm & 15)
SB_VEX_IMM(avx_permilps_imm, SB_VEX_I2, "vpermilps", 256, insn.imm & 255)
SB_VEX_IMM(avx_permilpd_imm, SB_VEX_I2, "vpermilpd", 16, insn.imm & 15)
SB_VEX_IMM(avx_pshufhw, SB_VEX_I2, "vpshufhw", 256, insn.imm & 255)
SB_VEX_IMM(avx_pshuflw, SB_VEX_I2, "vpshuflw", 256, insn.imm & 255)
SB_VEX(avx_permilps, SB_VEX_3, "vpermilps")
SB_VEX(avx_permilpd, SB_VEX_3, "vpermilpd")
SB_VEX_WIDE(avx_permd, SB_VEX_3, "vpermd", 32)
SB_VEX_IMM_WIDE(avx_permq, SB_VEX_I2, "vpermq", 256, insn.imm & 255)
SB_VEX_IMM(avx_palignr, SB_VEX_I3, "vpalignr", 33, std::min(insn.imm & 255, 32))  // from 32 on all zeros
SB_VEX_IMM(avx_mpsadbw, SB_VEX_I3, "vmpsadbw", 64, insn.imm & 63)

SB_VEX_IMM(avx_blendps, SB_VEX_I3, "vblendps", 256, insn.imm & 255)
SB_VEX_IMM(avx_blendpd, SB_VEX_I3, "vblendpd", 16, insn.imm & 15)
SB_VEX_IMM(avx_pblendw, SB_VEX_I3, "vpblendw", 256, insn.imm & 255)
#define SB_VEX_BLEND(op, r) \
    "vmovdqu %[mask], %%" r "3\n\tvmovdqu %[a], %%" r "1\n\t" op " %%" r "3, %[b], %%" r "1, %%" r "0\n\t"
#define SB_VEX_BLEND_VARIABLE(name, op)                            \
    SB_OP(name) {                                                  \
        SB_VEX_SOURCE(avx::full(insn));                            \
        const VectorRegister& mask = cpu.vec[insn.imm >> 4];       \
        if (insn.vex_l)                                            \
            SB_VEX_256(SB_VEX_BLEND(op, "ymm"), [mask] "m"(mask)); \
        else                                                       \
            SB_VEX_128(SB_VEX_BLEND(op, "xmm"), [mask] "m"(mask)); \
        return true;                                               \
    }
SB_VEX_BLEND_VARIABLE(avx_blendvps, "vblendvps")
SB_VEX_BLEND_VARIABLE(avx_blendvpd, "vblendvpd")
SB_VEX_BLEND_VARIABLE(avx_pblendvb, "vpblendvb")

#define SB_VEX_INSERT(name, type, element, mask)                  \
    SB_OP(name) {                                                 \
        type value;                                               \
        if (!fetch_element<type>(cpu, insn, value)) return false; \
        Elements result{xmm(cpu, insn.vvvv)};                     \
        result.element[insn.imm & (mask)] = value;                \
        avx::set_zero_extended(cpu.vec[insn.reg], result.vector); \
        return true;                                              \
    }
SB_VEX_INSERT(avx_pinsrb, u8, byte, 15)
SB_VEX_INSERT(avx_pinsrw, u16, word, 7)
SB_OP(avx_pinsrdq) {
    u64 value;
    if (!fetch_integer(cpu, insn, value)) return false;
    Elements result{xmm(cpu, insn.vvvv)};
    if (insn.rex_w)
        result.qword[insn.imm & 1] = value;
    else
        result.dword[insn.imm & 3] = static_cast<u32>(value);
    avx::set_zero_extended(cpu.vec[insn.reg], result.vector);
    return true;
}
SB_OP(avx_insertps) {
    Xmm b;
    if (!fetch32(cpu, insn, b)) return false;
    avx::set_zero_extended(cpu.vec[insn.reg], insert_single(insn, xmm(cpu, insn.vvvv), b));
    return true;
}

// The mask goes to XMM0, whose upper half the VEX forms clear.
SB_OP(avx_pcmpestrm) {
    if (!compare_strings_to_mask(cpu, insn, true)) return false;
    cpu.vec[0].qword[2] = cpu.vec[0].qword[3] = 0;
    return true;
}
SB_OP(avx_pcmpistrm) {
    if (!compare_strings_to_mask(cpu, insn, false)) return false;
    cpu.vec[0].qword[2] = cpu.vec[0].qword[3] = 0;
    return true;
}

}  // namespace shadowbox
