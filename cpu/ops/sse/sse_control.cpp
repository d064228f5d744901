// SPDX-License-Identifier: MIT
// MXCSR: its loads and stores, its meeting with the host's, and the run of one instruction under unmasked
// SIMD floating-point
// exceptions (SDM 1 11.5). The decoder puts sse_checked() in a row's place while the guest has unmasked any.
#include "cpu/ops/pseudo.h"
#include "cpu/ops/sse/sse_operand.h"

#include "cpu/decode/opcode_row.h"

namespace shadowbox {

constexpr u32 kMxcsrReserved = 0xFFFF0000;

void Vcpu::sync_mxcsr() { mxcsr |= host::mxcsr() & host::kMxcsrFlags; }

void Vcpu::load_mxcsr(u32 value) {
    bool masks_changed = ((value ^ mxcsr) & host::kMxcsrMasks) != 0;
    mxcsr = value;
    host::set_mxcsr(value | host::kMxcsrMasks);
    if (masks_changed) update_mode();
}

SB_END(sse_ldmxcsr) {
    u32 value;
    if (!load_memory<u32>(cpu, insn, value)) return false;
    if (value & kMxcsrReserved) return cpu.raise_gp0();
    cpu.load_mxcsr(value);
    return true;
}
SB_OP(sse_stmxcsr) {
    cpu.sync_mxcsr();
    return store_memory<u32>(cpu, insn, cpu.mxcsr);
}

namespace {

constexpr u32 kInvalid = 1, kDenormal = 2, kDivide = 4, kUnderflow = 0x10,
              kBeforeComputation = kInvalid | kDenormal | kDivide;

/// An unmasked underflow is raised for a tiny result even if it is exact, which the masked flag does not
/// show (SDM 1 4.9.1.5).
/// So look for denormal results of the operations that can produce tiny ones.
bool tiny_result(const OpcodeRow& row, const Insn& insn, const VectorRegister& result) {
    bool f3 = row.prefix == OpPrefix::PF3, f2 = row.prefix == OpPrefix::PF2,
         p66 = row.prefix == OpPrefix::P66;
    bool wide = f2 || p66, scalar = f2 || f3;
    if (row.feature == OpFeature::Fma)
        wide = row.attributes & aW1, scalar = (row.opcode & 9) == 9;
    else
        switch (row.map == OpMap::M0F ? row.opcode : 0) {
            case 0x58:
            case 0x59:
            case 0x5C:
            case 0x5E: break;
            case 0x5A:  // only the narrowing conversions
                if (!f2 && !p66) return false;
                wide = false;
                break;  // (the upper half of VCVTPD2PS's result is zero, so counting it too does no harm)
            case 0x7C:
            case 0x7D:
            case 0xD0: wide = p66, scalar = false; break;
            default: return false;
        }
    unsigned lanes = scalar ? 1 : (wide ? 2u : 4u) << insn.vex_l;
    for (unsigned i = 0; i < lanes; ++i) {
        if (wide && !(result.qword[i] >> 52 & 0x7FF) && result.qword[i] << 1) return true;
        if (!wide && !(result.dword[i] >> 23 & 0xFF) && result.dword[i] << 1) return true;
    }
    return false;
}

/// One instruction cut out of its block: a block of its own, so that leave_at() counts nothing.
struct Alone {
    alignas(Block) u8 header[sizeof(Block)];
    Insn cells[2];
};

/// False: a fault of the operand or #XM was raised, nothing changed. Not inlined: its frame must be gone
/// before the jump to
/// the next handler.
[[gnu::noinline]] bool run_checked(Vcpu& cpu, const Insn* insn) {
    const OpcodeRow& row = kOpcodeRows[insn->row];
    const Block* block = cpu.block;
    VectorRegister old_vector = cpu.vec[insn->reg & 15];
    u64 old_gpr = cpu.gpr[insn->reg & 15];
    LazyFlags old_flags = cpu.flags;
    X87State old_x87 = cpu.x87;

    Alone alone;
    Block* copy = new (alone.header) Block;
    copy->rip = block->rip, copy->mode = block->mode, copy->ppn = block->ppn;
    copy->insn_count = 0, copy->cells = 0, copy->cost = 0;
    alone.cells[0] = *insn;
    alone.cells[0].handler = row.handler ? row.handler : row.select(alone.cells[0], false);
    alone.cells[1].handler = op_stop;

    // FTZ counts only while underflow is masked (SDM 1 10.2.3.3).
    u32 control = cpu.mxcsr & ~host::kMxcsrFlags;
    if (!(control & kUnderflow << 7)) control &= ~u32{0x8000};
    cpu.sync_mxcsr();
    host::set_mxcsr(control | host::kMxcsrMasks);
    cpu.block = copy;
    cpu.exit = ExitReason::kNone;
    cpu.fault = Fault{};
    u64 rip = cpu.rip;
    alone.cells[0].handler(cpu, alone.cells);
    cpu.block = block;
    u32 flags = host::mxcsr() & host::kMxcsrFlags;
    host::set_mxcsr(cpu.mxcsr | host::kMxcsrMasks);
    if (cpu.exit != ExitReason::kNone) return false;  // the operand's access faulted or waits
    cpu.rip = rip;

    u32 unmasked = ~(cpu.mxcsr >> 7) & host::kMxcsrFlags;
    if ((unmasked & kUnderflow) && tiny_result(row, *insn, cpu.vec[insn->reg & 15])) flags |= kUnderflow;
    if (flags & unmasked & kBeforeComputation) flags &= kBeforeComputation;
    cpu.mxcsr |= flags;
    host::set_mxcsr(cpu.mxcsr | host::kMxcsrMasks);
    if (flags & unmasked) {
        cpu.vec[insn->reg & 15] = old_vector;
        cpu.gpr[insn->reg & 15] = old_gpr;
        cpu.flags = old_flags;
        cpu.x87 = old_x87;
        return cpu.raise(cpu.cr4 & cr4::kOSXMMEXCPT ? Vector::kXM : Vector::kUD);
    }
    return true;
}

}  // namespace

const Insn* sse_checked(Vcpu& cpu, const Insn* insn) {
    if (!run_checked(cpu, insn)) return leave_at(cpu, insn);
    SB_GOTO(cpu, insn + 1);
}

}  // namespace shadowbox
