// SPDX-License-Identifier: MIT
// PUSH, POP, PUSHA, POPA, ENTER, LEAVE. Segment-register and flag forms are in system_*.cpp.
#include "cpu/ops/general/branch.h"
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

const Insn* push64_register(Vcpu& cpu, const Insn* insn) {
    u64 rsp = cpu.gpr[kRsp] - 8;
    if (!store<u64>(cpu, rsp, cpu.gpr[insn->rm])) SB_FAILED(cpu, insn);
    cpu.gpr[kRsp] = rsp;
    SB_NEXT(cpu, insn);
}
const Insn* pop64_register(Vcpu& cpu, const Insn* insn) {
    u64 value;
    if (!load<u64>(cpu, cpu.gpr[kRsp], value)) SB_FAILED(cpu, insn);
    cpu.gpr[kRsp] += 8;
    cpu.gpr[insn->rm] = value;  // POP RSP: the value read wins
    SB_NEXT(cpu, insn);
}
const Insn* push64_immediate(Vcpu& cpu, const Insn* insn) {
    u64 rsp = cpu.gpr[kRsp] - 8;
    if (!store<u64>(cpu, rsp, static_cast<u64>(static_cast<i64>(insn->imm)))) SB_FAILED(cpu, insn);
    cpu.gpr[kRsp] = rsp;
    SB_NEXT(cpu, insn);
}

bool is_immediate(Operand operand) { return operand == Operand::Ibs || operand == Operand::Iz; }

SB_OP(push_any) {
    u64 value;
    unsigned size = 1u << insn.osize;
    if (is_immediate(kOpcodeRows[insn.row].operands[0])) {
        value = static_cast<u64>(static_cast<i64>(insn.imm));
    } else if (insn.mem) {
        u16 low;
        u32 wide;
        if (insn.osize == 1) {
            if (!load_ea<u16>(cpu, insn, low)) return false;
            value = low;
        } else if (insn.osize == 2) {
            if (!load_ea<u32>(cpu, insn, wide)) return false;
            value = wide;
        } else if (!load_ea<u64>(cpu, insn, value))
            return false;
    } else {
        value = cpu.gpr[insn.rm];
    }
    return push_segmented(cpu, value, size);
}

SB_OP(pop_any) {
    u64 value, rsp = cpu.gpr[kRsp];
    unsigned size = 1u << insn.osize;
    if (!pop_segmented(cpu, value, size)) return false;
    bool done = true;
    if (insn.mem) {  // the address is computed with rSP after the pop (SDM 2B POP)
        if (insn.osize == 1)
            done = store_ea<u16>(cpu, insn, static_cast<u16>(value));
        else if (insn.osize == 2)
            done = store_ea<u32>(cpu, insn, static_cast<u32>(value));
        else
            done = store_ea<u64>(cpu, insn, value);
    } else if (insn.osize == 1) {
        cpu.set_reg<u16>(insn.rm, static_cast<u16>(value));
    } else {
        cpu.gpr[insn.rm] = value;
    }
    if (!done) cpu.gpr[kRsp] = rsp;
    return done;
}

}  // namespace

Handler select_push(Insn& insn, bool) {
    if (kOpcodeRows[insn.row].operands[0] == Operand::Zv) insn.rm = insn.reg;
    if (insn.osize == 3 && is_immediate(kOpcodeRows[insn.row].operands[0])) return push64_immediate;
    if (insn.osize == 3 && !insn.mem) return push64_register;
    return push_any;
}
Handler select_pop(Insn& insn, bool) {
    if (kOpcodeRows[insn.row].operands[0] == Operand::Zv) insn.rm = insn.reg;
    return insn.osize == 3 && !insn.mem ? pop64_register : pop_any;
}

SB_OP(op_pusha) {
    u64 old = cpu.gpr[kRsp];
    unsigned size = 1u << insn.osize;
    // A fault in the middle leaves what was pushed below the stack pointer; CR2 is the word that failed.
    for (unsigned n = 0; n < 8; ++n) {
        if (!push_segmented(cpu, n == kRsp ? old : cpu.gpr[n], size)) {
            cpu.gpr[kRsp] = old;
            return false;
        }
    }
    return true;
}
SB_OP(op_popa) {
    u64 old = cpu.gpr[kRsp], values[8];
    unsigned size = 1u << insn.osize;
    for (int n = 7; n >= 0; --n) {
        if (!pop_segmented(cpu, values[n], size)) {
            cpu.gpr[kRsp] = old;
            return false;
        }
    }
    for (unsigned n = 0; n < 8; ++n) {
        if (n == kRsp) continue;
        if (size == 2)
            cpu.set_reg<u16>(n, static_cast<u16>(values[n]));
        else
            cpu.gpr[n] = static_cast<u32>(values[n]);
    }
    return true;
}

SB_OP(op_enter) {  // SDM 2A ENTER
    unsigned size = 1u << insn.osize, level = static_cast<unsigned>(insn.imm) >> 16 & 31;
    u64 allocate = static_cast<u16>(insn.imm), old = cpu.gpr[kRsp], frame = cpu.gpr[kRbp];
    if (!push_segmented(cpu, frame, size)) return false;
    u64 frame_pointer = cpu.gpr[kRsp];
    auto fail = [&] {
        cpu.gpr[kRsp] = old;
        return false;
    };
    for (unsigned i = 1; i < level; ++i) {
        frame -= size;
        u64 gva, value = 0;
        if (!segment_address(cpu, kSs, stack_offset(cpu, frame), size, MemoryAccess::kRead, gva) ||
            !load_bytes(cpu, gva, size, &value))
            return fail();
        if (!push_segmented(cpu, value, size)) return fail();
    }
    if (level > 0 && !push_segmented(cpu, frame_pointer, size)) return fail();
    add_to_stack_pointer(cpu, -static_cast<i64>(allocate));
    u64 gva;  // the new top of stack must be writable
    if (!segment_address(cpu, kSs, stack_offset(cpu, cpu.gpr[kRsp]), size, MemoryAccess::kWrite, gva) ||
        !probe_write(cpu, gva, size))
        return fail();
    if (insn.osize == 3)
        cpu.gpr[kRbp] = frame_pointer;
    else if (insn.osize == 2)
        cpu.gpr[kRbp] = cpu.long64() ? frame_pointer : static_cast<u32>(frame_pointer);
    else
        cpu.set_reg<u16>(kRbp, static_cast<u16>(frame_pointer));
    return true;
}

SB_OP(op_leave) {
    u64 old = cpu.gpr[kRsp], value;
    if (cpu.long64())
        cpu.gpr[kRsp] = cpu.gpr[kRbp];
    else if (cpu.mode & mode_bits::kStack32)
        cpu.gpr[kRsp] = static_cast<u32>(cpu.gpr[kRbp]);
    else
        cpu.set_reg<u16>(kRsp, static_cast<u16>(cpu.gpr[kRbp]));
    if (!pop_segmented(cpu, value, 1u << insn.osize)) {
        cpu.gpr[kRsp] = old;
        return false;
    }
    if (insn.osize == 1)
        cpu.set_reg<u16>(kRbp, static_cast<u16>(value));
    else
        cpu.gpr[kRbp] = value;
    return true;
}

}  // namespace shadowbox
