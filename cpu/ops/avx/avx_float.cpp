// SPDX-License-Identifier: MIT
// AVX floating-point arithmetic, logic, comparison, rounding: the host's instructions under the guest's MXCSR
// (cpu/state/host_fpu.h). Unmasked exceptions come through sse_checked(). SDM 1 14.
#include "cpu/ops/avx/avx_operand.h"

namespace shadowbox {

#define SB_VEX_FLOAT(op)                         \
    SB_VEX(avx_##op##ps, SB_VEX_3, "v" #op "ps") \
    SB_VEX(avx_##op##pd, SB_VEX_3, "v" #op "pd")
#define SB_VEX_SCALARS(op)                              \
    SB_VEX_LOW(avx_##op##ss, SB_VEX_3, "v" #op "ss", 4) \
    SB_VEX_LOW(avx_##op##sd, SB_VEX_3, "v" #op "sd", 8)
#define SB_VEX_FLOAT4(op) SB_VEX_FLOAT(op) SB_VEX_SCALARS(op)

SB_VEX_FLOAT4(add)
SB_VEX_FLOAT4(sub)
SB_VEX_FLOAT4(mul)
SB_VEX_FLOAT4(div)
SB_VEX_FLOAT4(min)
SB_VEX_FLOAT4(max)
SB_VEX_FLOAT(hadd)
SB_VEX_FLOAT(hsub)
SB_VEX_FLOAT(addsub)
SB_VEX(avx_sqrtps, SB_VEX_2, "vsqrtps")
SB_VEX(avx_sqrtpd, SB_VEX_2, "vsqrtpd")
SB_VEX_SCALARS(sqrt)

// The bitwise ops do not look at what the bits mean: PS, PD and integer forms share a handler.
SB_VEX(avx_and, SB_VEX_3, "vpand")
SB_VEX(avx_andn, SB_VEX_3, "vpandn")
SB_VEX(avx_or, SB_VEX_3, "vpor")
SB_VEX(avx_xor, SB_VEX_3, "vpxor")

// 32 predicates; the upper three bits are reserved and ignored (SDM 2A CMPPS).
SB_VEX_IMM(avx_cmpps, SB_VEX_I3, "vcmpps", 32, insn.imm & 31)
SB_VEX_IMM(avx_cmppd, SB_VEX_I3, "vcmppd", 32, insn.imm & 31)
SB_VEX_IMM_SCALAR(avx_cmpss, "vcmpss", 32, insn.imm & 31, "vmovss", 4)
SB_VEX_IMM_SCALAR(avx_cmpsd, "vcmpsd", 32, insn.imm & 31, "vmovsd", 8)
SB_VEX_IMM(avx_roundps, SB_VEX_I2, "vroundps", 16, insn.imm & 15)
SB_VEX_IMM(avx_roundpd, SB_VEX_I2, "vroundpd", 16, insn.imm & 15)
SB_VEX_IMM_SCALAR(avx_roundss, "vroundss", 16, insn.imm & 15, "vmovss", 4)
SB_VEX_IMM_SCALAR(avx_roundsd, "vroundsd", 16, insn.imm & 15, "vmovsd", 8)
SB_VEX_IMM(avx_dpps, SB_VEX_I3, "vdpps", 256, insn.imm & 255)
SB_VEX_IMM_LOW(avx_dppd, SB_VEX_I3, "vdppd", 64, insn.imm & 63)

// Approximations (sse_float.cpp has the reason), 16 bytes at a time.
#define SB_VEX_APPROXIMATE(op, function)                                                                    \
    SB_OP(avx_##op##ps) {                                                                                   \
        SB_VEX_SOURCE(avx::full(insn));                                                                     \
        Xmm low = _mm_loadu_si128(reinterpret_cast<const Xmm*>(b));                                         \
        Xmm high = insn.vex_l ? _mm_loadu_si128(reinterpret_cast<const Xmm*>(b) + 1) : _mm_setzero_si128(); \
        Xmm* to = reinterpret_cast<Xmm*>(&cpu.vec[insn.reg]);                                               \
        _mm_store_si128(to, function(low));                                                                 \
        _mm_store_si128(to + 1, insn.vex_l ? function(high) : high);                                        \
        return true;                                                                                        \
    }                                                                                                       \
    SB_OP(avx_##op##ss) {                                                                                   \
        Xmm b;                                                                                              \
        if (!fetch32(cpu, insn, b)) return false;                                                           \
        avx::set_zero_extended(cpu.vec[insn.reg], keep_high96(xmm(cpu, insn.vvvv), function(b)));           \
        return true;                                                                                        \
    }
SB_VEX_APPROXIMATE(rcp, approximate_reciprocals)
SB_VEX_APPROXIMATE(rsqrt, approximate_reciprocal_roots)

// Sign masks to a general register; ZF and CF of a test.
#define SB_VEX_SIGNS(name, op)                                                   \
    SB_OP(name) {                                                                \
        u32 mask;                                                                \
        if (insn.vex_l)                                                          \
            asm volatile("vmovdqu %1, %%ymm0\n\t" op " %%ymm0, %0\n\tvzeroupper" \
                         : "=r"(mask)                                            \
                         : "m"(cpu.vec[insn.rm])                                 \
                         : "xmm0");                                              \
        else                                                                     \
            asm volatile("vmovdqu %1, %%xmm0\n\t" op " %%xmm0, %0"               \
                         : "=r"(mask)                                            \
                         : "m"(cpu.vec[insn.rm])                                 \
                         : "xmm0");                                              \
        cpu.gpr[insn.reg] = mask;                                                \
        return true;                                                             \
    }
SB_VEX_SIGNS(avx_movmskps, "vmovmskps")
SB_VEX_SIGNS(avx_movmskpd, "vmovmskpd")
SB_VEX_SIGNS(avx_pmovmskb, "vpmovmskb")

#define SB_VEX_TEST(name, op)                                                    \
    SB_OP(name) {                                                                \
        SB_VEX_SOURCE(avx::full(insn));                                          \
        bool zero, carry;                                                        \
        if (insn.vex_l)                                                          \
            asm volatile("vmovdqu %2, %%ymm0\n\t" op " %3, %%ymm0\n\tvzeroupper" \
                         : "=@ccz"(zero), "=@ccc"(carry)                         \
                         : "m"(cpu.vec[insn.reg]), "m"(*b)                       \
                         : "xmm0");                                              \
        else                                                                     \
            asm volatile("vmovdqu %2, %%xmm0\n\t" op " %3, %%xmm0"               \
                         : "=@ccz"(zero), "=@ccc"(carry)                         \
                         : "m"(cpu.vec[insn.reg]), "m"(*b)                       \
                         : "xmm0");                                              \
        cpu.flags.set((zero ? rflags::kZF : 0) | (carry ? rflags::kCF : 0));     \
        return true;                                                             \
    }
SB_VEX_TEST(avx_testps, "vtestps")
SB_VEX_TEST(avx_testpd, "vtestpd")
SB_VEX_TEST(avx_ptest, "vptest")

}  // namespace shadowbox
