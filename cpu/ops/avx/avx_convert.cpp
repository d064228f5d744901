// SPDX-License-Identifier: MIT
// AVX and F16C conversions. What goes to a general register and leaves vectors alone is the SSE handler
// (sse_convert.cpp).
#include "cpu/ops/avx/avx_operand.h"

namespace shadowbox {

SB_VEX(avx_cvtdq2ps, SB_VEX_2, "vcvtdq2ps")
SB_VEX(avx_cvtps2dq, SB_VEX_2, "vcvtps2dq")
SB_VEX(avx_cvttps2dq, SB_VEX_2, "vcvttps2dq")
SB_VEX_SIZED(avx_cvtps2pd, SB_VEX_2, "vcvtps2pd", avx::full(insn) / 2)
SB_VEX_SIZED(avx_cvtdq2pd, SB_VEX_2, "vcvtdq2pd", avx::full(insn) / 2)
SB_VEX_SIZED(avx_cvtph2ps, SB_VEX_2, "vcvtph2ps", avx::full(insn) / 2)
SB_VEX_LOW(avx_cvtss2sd, SB_VEX_3, "vcvtss2sd", 4)
SB_VEX_LOW(avx_cvtsd2ss, SB_VEX_3, "vcvtsd2ss", 8)

// Narrowing: the destination is an XMM register for both widths, so the mnemonic must tell the source's.
#define SB_VEX_NARROW(op)                             \
    SB_OP(avx_##op) {                                 \
        SB_VEX_SOURCE(avx::full(insn));               \
        if (insn.vex_l)                               \
            SB_VEX_256("v" #op "y %[b], %%xmm0\n\t"); \
        else                                          \
            SB_VEX_128("v" #op "x %[b], %%xmm0\n\t"); \
        return true;                                  \
    }
SB_VEX_NARROW(cvtpd2ps)
SB_VEX_NARROW(cvtpd2dq)
SB_VEX_NARROW(cvttpd2dq)

#define SB_VEX_FROM_INTEGER(op)                                                     \
    SB_OP(avx_##op) {                                                               \
        u64 value;                                                                  \
        if (!fetch_integer(cpu, insn, value)) return false;                         \
        Xmm a = xmm(cpu, insn.vvvv);                                                \
        a = insn.rex_w ? host::op(a, value) : host::op(a, static_cast<u32>(value)); \
        avx::set_zero_extended(cpu.vec[insn.reg], a);                               \
        return true;                                                                \
    }
SB_VEX_FROM_INTEGER(cvtsi2ss)
SB_VEX_FROM_INTEGER(cvtsi2sd)

namespace {

constexpr u32 kUnderflow = 0x10;

/// An unmasked underflow is raised for a tiny result even if it is exact (SDM 1 4.9.1.5).
bool tiny_half(const VectorRegister& halves, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        if (!(halves.word[i] & 0x7C00) && (halves.word[i] & 0x3FF)) return true;
    }
    return false;
}

/// imm8[2] takes the rounding mode from MXCSR, else imm8[1:0] is it. FTZ has no say, DAZ has (SDM 2A
/// VCVTPS2PH).
void to_halves(const Vcpu& cpu, const Insn& insn, VectorRegister& result) {
    u64 entry = static_cast<u64>(insn.imm & 7) * 16;
    if (insn.vex_l)
        asm volatile("vmovdqu %[s], %%ymm1\n\t" SB_VEX_TABLE(
                         "vcvtps2ph", 8, "%%ymm1, %%xmm0") "vmovdqu %%ymm0, %[d]\n\tvzeroupper"
                     : [d] "=m"(result)
                     : [s] "m"(cpu.vec[insn.reg]), [imm] "r"(entry)
                     : "xmm0", "xmm1", "rax", "cc");
    else
        asm volatile(
            "vmovdqu %[s], %%xmm1\n\t" SB_VEX_TABLE("vcvtps2ph", 8, "%%xmm1, %%xmm0") "vmovdqu %%ymm0, %[d]"
            : [d] "=m"(result)
            : [s] "m"(cpu.vec[insn.reg]), [imm] "r"(entry)
            : "xmm0", "xmm1", "rax", "cc");
}

}  // namespace

/// Its destination may be memory, so under sse_checked() nothing may be stored before the exceptions are
/// known; a page fault of the store comes before them.
SB_OP(avx_cvtps2ph) {
    bool checked = cpu.mode & mode_bits::kSseUnmasked;
    if (checked && insn.mem) {
        u64 gva;
        if (!ea(cpu, insn, avx::full(insn) / 2, MemoryAccess::kWrite, gva) ||
            !probe_write(cpu, gva, avx::full(insn) / 2))
            return false;
    }
    VectorRegister result;
    u32 before = host::mxcsr();
    to_halves(cpu, insn, result);
    if (checked) {
        u32 unmasked = ~(cpu.mxcsr >> 7) & host::kMxcsrFlags, flags = host::mxcsr() & host::kMxcsrFlags;
        bool underflow = (unmasked & kUnderflow) && tiny_half(result, 4u << insn.vex_l);
        if (underflow) host::set_mxcsr(host::mxcsr() | kUnderflow);
        if (underflow || (flags & unmasked))
            return true;  // sse_checked() raises it; a register destination is not read
    }
    if (insn.mem) {
        if (avx::store_low(cpu, insn, avx::full(insn) / 2, result, false)) return true;
        host::set_mxcsr(before);  // a fault of the store leaves MXCSR alone
        return false;
    }
    cpu.vec[insn.rm] = result;
    return true;
}

}  // namespace shadowbox
