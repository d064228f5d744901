// SPDX-License-Identifier: MIT
// How VEX-encoded vector ops are made: each is the host's own instruction, its last source read straight from
// the register file or from the guest's page, its result stored as 32 bytes. VEX.128 instructions zero bits
// 255:128 (SDM 1 14.1.2), and so does the host's. Included by cpu/ops/avx*.cpp and fma.cpp; everything here
// needs a host with AVX2 (cpu_model_v3() asks).
//
// Assembly is text with operands by name: %[d] destination, %[a] VEX.vvvv, %[b] ModRM.rm. Registers 0 to 3
// are free. The 256-bit text ends in VZEROUPPER, since the rest of the program is legacy SSE code. No
// alignment is needed (SDM 1 14.9).
#pragma once

#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox::avx {

/// Bytes of an operand of VEX.L's width.
[[gnu::always_inline]] inline unsigned full(const Insn& insn) { return 16u << insn.vex_l; }

/// An operand as assembly reads it: up to 32 bytes at any address.
struct [[gnu::may_alias]] Bytes {
    u8 byte[32];
};

inline const Bytes& bytes_of(const VectorRegister& v) { return reinterpret_cast<const Bytes&>(v); }

/// Where `size` bytes of the operand rm lie: register file, guest page, or `copy`. nullptr: a fault was
/// raised.
[[gnu::always_inline]] inline const Bytes* source(Vcpu& cpu, const Insn& insn, unsigned size, Bytes& copy) {
    if (!insn.mem) return reinterpret_cast<const Bytes*>(&cpu.vec[insn.rm]);
    u64 gva;
    if (!ea(cpu, insn, size, MemoryAccess::kRead, gva)) return nullptr;
    if (const u8* host = cpu.mmu.context()->probe_read(gva, size); __builtin_expect(host != nullptr, 1))
        return reinterpret_cast<const Bytes*>(host);
    return load_slow(cpu, gva, size, &copy) ? &copy : nullptr;
}

/// The low `bytes` of a register to the memory operand.
bool store_low(Vcpu& cpu, const Insn& insn, unsigned bytes, const VectorRegister& value, bool aligned);

/// Writes a register whole: `value`, and zeros above.
[[gnu::always_inline]] inline void set_zero_extended(VectorRegister& to, Xmm value) {
    asm volatile("vmovdqa %1, %%xmm0\n\tvmovdqu %%ymm0, %0" : "=m"(to) : "x"(value) : "xmm0");
}

}  // namespace shadowbox::avx

// --- texts; r is "xmm" or "ymm" ---
#define SB_VEX_2(op, r) op " %[b], %%" r "0\n\t"
#define SB_VEX_3(op, r) "vmovdqu %[a], %%" r "1\n\t" op " %[b], %%" r "1, %%" r "0\n\t"
#define SB_VEX_D(op, r) \
    "vmovdqu %[d], %%" r "0\n\tvmovdqu %[a], %%" r "1\n\t" op " %[b], %%" r "1, %%" r "0\n\t" /* FMA */

// --- statements ---
#define SB_VEX_ASM(text, end, ...)                                         \
    asm volatile(text end                                                  \
                 : [d] "+m"(cpu.vec[insn.reg])                             \
                 : [a] "m"(cpu.vec[insn.vvvv]), [b] "m"(*b), ##__VA_ARGS__ \
                 : "xmm0", "xmm1", "xmm2", "xmm3", "rax", "cc")
#define SB_VEX_STORE "vmovdqu %%ymm0, %[d]\n\t"
#define SB_VEX_128(text, ...) SB_VEX_ASM(text, SB_VEX_STORE, ##__VA_ARGS__)
#define SB_VEX_256(text, ...) SB_VEX_ASM(text, SB_VEX_STORE "vzeroupper", ##__VA_ARGS__)
#define SB_VEX_SOURCE(bytes)                                     \
    avx::Bytes copy;                                             \
    const avx::Bytes* b = avx::source(cpu, insn, (bytes), copy); \
    if (__builtin_expect(!b, 0)) return false

// --- whole ops, one line each ---
/// `shape` is one of the texts above; both widths, the memory operand `bytes` long.
#define SB_VEX_SIZED(name, shape, op, bytes) \
    SB_OP(name) {                            \
        SB_VEX_SOURCE(bytes);                \
        if (insn.vex_l)                      \
            SB_VEX_256(shape(op, "ymm"));    \
        else                                 \
            SB_VEX_128(shape(op, "xmm"));    \
        return true;                         \
    }
#define SB_VEX(name, shape, op) SB_VEX_SIZED(name, shape, op, avx::full(insn))
/// 128-bit and scalar ops.
#define SB_VEX_LOW(name, shape, op, bytes) \
    SB_OP(name) {                          \
        SB_VEX_SOURCE(bytes);              \
        SB_VEX_128(shape(op, "xmm"));      \
        return true;                       \
    }
/// 256-bit ops.
#define SB_VEX_WIDE(name, shape, op, bytes) \
    SB_OP(name) {                           \
        SB_VEX_SOURCE(bytes);               \
        SB_VEX_256(shape(op, "ymm"));       \
        return true;                        \
    }

// --- immediates, known only at run time: a table of the instruction with each value, 16 bytes an entry, and
// a jump into it ---
/// `operands` follow the immediate; %k[imm] is the entry's number, below `count`.
#define SB_VEX_TABLE(op, count, operands)                                                               \
    "lea 1f(%%rip), %%rax\n\tadd %q[imm], %%rax\n\tjmp *%%rax\n\t.p2align 4\n1:\n\t.set sb_immediate, " \
    "0\n\t.rept " #count "\n\t" op " $sb_immediate, " operands                                          \
    "\n\tjmp 2f\n\t.p2align 4\n\t.set sb_immediate, sb_immediate + 1\n\t.endr\n2:\n\t"
#define SB_VEX_ENTRY(value) [imm] "r"(static_cast<u64>(value) * 16)
#define SB_VEX_I2(op, count, r) "vmovdqu %[b], %%" r "1\n\t" SB_VEX_TABLE(op, count, "%%" r "1, %%" r "0")
#define SB_VEX_I3(op, count, r)                    \
    "vmovdqu %[b], %%" r "2\n\tvmovdqu %[a], %%" r \
    "1\n\t" SB_VEX_TABLE(op, count, "%%" r "2, %%" r "1, %%" r "0")
/// Scalars: `load` reads the narrow source.
#define SB_VEX_IS(op, count, load) \
    load " %[b], %%xmm2\n\tvmovdqu %[a], %%xmm1\n\t" SB_VEX_TABLE(op, count, "%%xmm2, %%xmm1, %%xmm0")

/// `value` is the table's index made of the immediate.
#define SB_VEX_IMM(name, shape, op, count, value)                     \
    SB_OP(name) {                                                     \
        SB_VEX_SOURCE(avx::full(insn));                               \
        if (insn.vex_l)                                               \
            SB_VEX_256(shape(op, count, "ymm"), SB_VEX_ENTRY(value)); \
        else                                                          \
            SB_VEX_128(shape(op, count, "xmm"), SB_VEX_ENTRY(value)); \
        return true;                                                  \
    }
#define SB_VEX_IMM_LOW(name, shape, op, count, value)             \
    SB_OP(name) {                                                 \
        SB_VEX_SOURCE(16);                                        \
        SB_VEX_128(shape(op, count, "xmm"), SB_VEX_ENTRY(value)); \
        return true;                                              \
    }
#define SB_VEX_IMM_WIDE(name, shape, op, count, value)            \
    SB_OP(name) {                                                 \
        SB_VEX_SOURCE(32);                                        \
        SB_VEX_256(shape(op, count, "ymm"), SB_VEX_ENTRY(value)); \
        return true;                                              \
    }
#define SB_VEX_IMM_SCALAR(name, op, count, value, load, bytes)       \
    SB_OP(name) {                                                    \
        SB_VEX_SOURCE(bytes);                                        \
        SB_VEX_128(SB_VEX_IS(op, count, load), SB_VEX_ENTRY(value)); \
        return true;                                                 \
    }
