// SPDX-License-Identifier: MIT
// AVX data movement: whole registers, scalars, halves, broadcasts, 128-bit lanes, VZEROUPPER and VZEROALL.
// Masked moves and gathers are in avx_masked.cpp; stores that only read a register's low part are the SSE
// handlers (sse_move.cpp).
#include "cpu/ops/avx/avx_operand.h"

namespace shadowbox {

namespace avx {

bool store_low(Vcpu& cpu, const Insn& insn, unsigned bytes, const VectorRegister& value, bool aligned) {
    u64 gva;
    if (!ea(cpu, insn, bytes, MemoryAccess::kWrite, gva)) return false;
    if (aligned && (gva & (bytes - 1))) return cpu.raise_gp0();
    u8* host = cpu.mmu.context()->probe_write(gva, bytes);
    if (__builtin_expect(!host, 0)) return store_slow(cpu, gva, bytes, &value);
    auto* to = reinterpret_cast<Bytes*>(host);
    switch (bytes) {  // one store, as atomic as the host's
        case 32:
            asm volatile("vmovdqu %1, %%ymm0\n\tvmovdqu %%ymm0, %0\n\tvzeroupper"
                         : "=m"(*to)
                         : "m"(value)
                         : "xmm0");
            break;
        case 16:
            asm volatile("vmovdqu %1, %%xmm0\n\tvmovdqu %%xmm0, %0"
                         : "=m"(*reinterpret_cast<u8(*)[16]>(to))
                         : "m"(value)
                         : "xmm0");
            break;
        default: guest_store<u64>(host, value.qword[0]); break;
    }
    return true;
}

}  // namespace avx

namespace {

[[gnu::always_inline]] inline void move_register(VectorRegister& to, const avx::Bytes& from, bool wide) {
    if (wide)
        asm volatile("vmovdqu %1, %%ymm0\n\tvmovdqu %%ymm0, %0\n\tvzeroupper"
                     : "=m"(to)
                     : "m"(from)
                     : "xmm0");
    else
        asm volatile("vmovdqu %1, %%xmm0\n\tvmovdqu %%ymm0, %0" : "=m"(to) : "m"(from) : "xmm0");
}

}  // namespace

SB_VEX(avx_movu_load, SB_VEX_2, "vmovdqu")
SB_OP(avx_mova_load) {
    if (insn.mem) {
        u64 gva;
        if (!ea(cpu, insn, avx::full(insn), MemoryAccess::kRead, gva)) return false;
        if (__builtin_expect(gva & (avx::full(insn) - 1), 0)) return cpu.raise_gp0();
    }
    SB_VEX_SOURCE(avx::full(insn));
    move_register(cpu.vec[insn.reg], *b, insn.vex_l);
    return true;
}
SB_OP(avx_movu_store) {
    if (insn.mem) return avx::store_low(cpu, insn, avx::full(insn), cpu.vec[insn.reg], false);
    move_register(cpu.vec[insn.rm], avx::bytes_of(cpu.vec[insn.reg]), insn.vex_l);
    return true;
}
SB_OP(avx_mova_store) {
    if (insn.mem) return avx::store_low(cpu, insn, avx::full(insn), cpu.vec[insn.reg], true);
    move_register(cpu.vec[insn.rm], avx::bytes_of(cpu.vec[insn.reg]), insn.vex_l);
    return true;
}

// Scalars: from memory the rest becomes zero; register forms merge with vvvv, whichever way round they are
// encoded.
SB_VEX_LOW(avx_movss_load, SB_VEX_2, "vmovss", 4)
SB_VEX_LOW(avx_movsd_load, SB_VEX_2, "vmovsd", 8)
#define SB_VEX_MERGE(name, to, low, keep)                                                        \
    SB_OP(name) {                                                                                \
        avx::set_zero_extended(cpu.vec[insn.to], keep(xmm(cpu, insn.vvvv), xmm(cpu, insn.low))); \
        return true;                                                                             \
    }
SB_VEX_MERGE(avx_movss_merge, reg, rm, keep_high96)
SB_VEX_MERGE(avx_movsd_merge, reg, rm, keep_high64)
SB_VEX_MERGE(avx_movss_merge_rm, rm, reg, keep_high96)
SB_VEX_MERGE(avx_movsd_merge_rm, rm, reg, keep_high64)

// Halves. VMOVLHPS is VMOVHPS from a register; VMOVHLPS takes the upper half.
SB_VEX_LOW(avx_movlp_load, SB_VEX_3, "vmovlps", 8)
SB_VEX_LOW(avx_movhp_load, SB_VEX_3, "vmovhps", 8)
SB_OP(avx_movhlps) {
    Xmm b = xmm(cpu, insn.rm);
    avx::set_zero_extended(cpu.vec[insn.reg], keep_high64(xmm(cpu, insn.vvvv), _mm_unpackhi_epi64(b, b)));
    return true;
}
SB_VEX_SIZED(avx_movddup, SB_VEX_2, "vmovddup", insn.vex_l ? 32 : 8)
SB_VEX(avx_movsldup, SB_VEX_2, "vmovsldup")
SB_VEX(avx_movshdup, SB_VEX_2, "vmovshdup")

SB_OP(avx_movd_load) {
    u64 value;
    if (!fetch_integer(cpu, insn, value)) return false;
    avx::set_zero_extended(cpu.vec[insn.reg], from_u64(value));
    return true;
}
SB_VEX_LOW(avx_movq_load, SB_VEX_2, "vmovq", 8)
SB_OP(avx_movq_store) {
    Xmm value = xmm(cpu, insn.reg);
    if (insn.mem) return store_memory<u64>(cpu, insn, low64(value));
    avx::set_zero_extended(cpu.vec[insn.rm], _mm_move_epi64(value));
    return true;
}

SB_VEX_SIZED(avx_broadcastss, SB_VEX_2, "vbroadcastss", 4)
SB_VEX_SIZED(avx_pbroadcastb, SB_VEX_2, "vpbroadcastb", 1)
SB_VEX_SIZED(avx_pbroadcastw, SB_VEX_2, "vpbroadcastw", 2)
SB_VEX_SIZED(avx_pbroadcastd, SB_VEX_2, "vpbroadcastd", 4)
SB_VEX_SIZED(avx_pbroadcastq, SB_VEX_2, "vpbroadcastq", 8)
SB_VEX_WIDE(avx_broadcastsd, SB_VEX_2, "vbroadcastsd", 8)
SB_VEX_WIDE(avx_broadcastf128, SB_VEX_2, "vbroadcastf128", 16)

SB_OP(avx_insert128) {
    SB_VEX_SOURCE(16);
    if (insn.imm & 1)
        SB_VEX_256(SB_VEX_3("vinsertf128 $1,", "ymm"));
    else
        SB_VEX_256(SB_VEX_3("vinsertf128 $0,", "ymm"));
    return true;
}
SB_OP(avx_extract128) {
    VectorRegister half;
    avx::set_zero_extended(half,
                           _mm_load_si128(reinterpret_cast<const Xmm*>(&cpu.vec[insn.reg]) + (insn.imm & 1)));
    if (insn.mem) return avx::store_low(cpu, insn, 16, half, false);
    cpu.vec[insn.rm] = half;
    return true;
}
SB_VEX_IMM_WIDE(avx_perm2f128, SB_VEX_I3, "vperm2f128", 256, insn.imm & 255)

// Outside 64-bit mode only the registers that exist there (SDM 2C VZEROALL).
SB_OP(avx_zeroupper) {
    for (unsigned i = 0; i < (cpu.long64() ? 16 : 8); ++i) cpu.vec[i].qword[2] = cpu.vec[i].qword[3] = 0;
    return true;
}
SB_OP(avx_zeroall) {
    for (unsigned i = 0; i < (cpu.long64() ? 16 : 8); ++i) cpu.vec[i] = {};
    return true;
}

}  // namespace shadowbox
