// SPDX-License-Identifier: MIT
// Near transfers: Jcc, JMP, CALL, RET, LOOP, JRCXZ. Direct targets on the same page are linked block to
// block; other pages go through the code TLB, so that a link never outlives its mapping.
#include "cpu/ops/general/branch.h"

#include "cpu/ops/operand_forms.h"

namespace shadowbox {

Block* resolve_link(Vcpu& cpu, u64 target, unsigned slot) {
    cpu.rip = target;
    if (cpu.in_cell) {  // no block is entered, let alone made, while emitted code waits for this instruction
        cpu.exit = ExitReason::kNone;
        return nullptr;
    }
    Block* from = const_cast<Block*>(cpu.block);
    const u64 generation = cpu.blocks->generation();
    Block* to = cpu.blocks->probe(cpu, target);
    if (!to) to = cpu.blocks->find(cpu);
    // find() may have evicted `from`, or made a block that is not kept. What lies behind a crossing
    // instruction is on another page, which may move (block_placement.cpp), although follow_link() takes it
    // for the same.
    if (to && cpu.blocks->generation() == generation && !to->crosses() && !from->crosses() &&
        from->ppn != kInvalidPpn.value && to->ppn != kInvalidPpn.value)
        from->link[slot] = to;
    return to;
}

namespace {

template <bool SamePage>
const Insn* jcc_handler(Vcpu& cpu, const Insn* insn) {
    if (cpu.flags.condition(insn->opcode & 15)) SB_GO_ON(cpu, take_branch<SamePage>(cpu, insn));
    SB_GO_ON(cpu, fall_through(cpu, insn));
}
template <bool SamePage>
const Insn* jmp_handler(Vcpu& cpu, const Insn* insn) {
    SB_GO_ON(cpu, take_branch<SamePage>(cpu, insn));
}

/// Pushes `value` (2, 4 or 8 bytes) on the stack of the current mode.
template <class T>
[[gnu::always_inline]] inline bool push(Vcpu& cpu, T value) {
    if (__builtin_expect(cpu.mode & mode_bits::kLong64, 1)) {
        u64 rsp = cpu.gpr[kRsp] - sizeof(T);
        if (!store<T>(cpu, rsp, value)) return stack_failed(cpu);
        cpu.gpr[kRsp] = rsp;
        return true;
    }
    return push_segmented(cpu, value, sizeof(T));
}
template <class T>
[[gnu::always_inline]] inline bool pop(Vcpu& cpu, T& value) {
    if (__builtin_expect(cpu.mode & mode_bits::kLong64, 1)) {
        if (!load<T>(cpu, cpu.gpr[kRsp], value)) return stack_failed(cpu);
        cpu.gpr[kRsp] += sizeof(T);
        return true;
    }
    u64 wide;
    if (!pop_segmented(cpu, wide, sizeof(T))) return false;
    value = static_cast<T>(wide);
    return true;
}

template <bool SamePage>
const Insn* call64(Vcpu& cpu, const Insn* insn) {
    u64 rsp = cpu.gpr[kRsp] - 8;
    if (!store<u64>(cpu, rsp, rip_of(cpu, insn) + insn->length)) {
        stack_failed(cpu);
        SB_FAILED(cpu, insn);
    }
    cpu.gpr[kRsp] = rsp;
    SB_GO_ON(cpu, take_branch<SamePage>(cpu, insn));
}
const Insn* call_legacy(Vcpu& cpu, const Insn* insn) {
    u64 target = static_cast<u64>(insn->disp), back = next_rip(cpu, insn);
    if (target > cpu.seg[kCs].limit) {
        cpu.raise(Vector::kGP, 0);
        SB_FAILED(cpu, insn);
    }
    if (!push_segmented(cpu, back, 1u << insn->osize)) SB_FAILED(cpu, insn);
    SB_GO_ON(cpu, take_branch<false>(cpu, insn));
}
const Insn* ret64(Vcpu& cpu, const Insn* insn) {
    u64 target;
    if (!load<u64>(cpu, cpu.gpr[kRsp], target)) SB_FAILED(cpu, insn);
    if (__builtin_expect(!is_canonical(target, cpu.cr4), 0)) {
        cpu.raise(Vector::kGP, 0);
        SB_FAILED(cpu, insn);
    }
    cpu.gpr[kRsp] += 8 + static_cast<u64>(insn->imm);
    SB_GO_ON(cpu, go_indirect(cpu, target));
}
const Insn* ret_legacy(Vcpu& cpu, const Insn* insn) {
    u64 target, rsp = cpu.gpr[kRsp];
    if (!pop_segmented(cpu, target, 1u << insn->osize)) SB_FAILED(cpu, insn);
    if (!long_target_ok(cpu, target)) {
        cpu.gpr[kRsp] = rsp;
        SB_FAILED(cpu, insn);
    }
    add_to_stack_pointer(cpu, insn->imm);
    SB_GO_ON(cpu, go_indirect(cpu, target));
}

template <bool Memory, bool Call>
const Insn* indirect64(Vcpu& cpu, const Insn* insn) {
    u64 target;
    if constexpr (Memory) {
        if (!load_ea<u64>(cpu, *insn, target)) SB_FAILED(cpu, insn);
    } else {
        target = cpu.gpr[insn->rm];
    }
    if (__builtin_expect(!is_canonical(target, cpu.cr4), 0)) {
        cpu.raise(Vector::kGP, 0);
        SB_FAILED(cpu, insn);
    }
    if constexpr (Call) {
        u64 rsp = cpu.gpr[kRsp] - 8;
        if (!store<u64>(cpu, rsp, rip_of(cpu, insn) + insn->length)) {
            stack_failed(cpu);
            SB_FAILED(cpu, insn);
        }
        cpu.gpr[kRsp] = rsp;
    }
    SB_GO_ON(cpu, go_indirect(cpu, target));
}
template <bool Call>
const Insn* indirect_legacy(Vcpu& cpu, const Insn* insn) {
    u64 target = 0;
    bool narrow = insn->osize == 1;
    if (insn->mem) {
        u16 low;
        u32 wide;
        if (narrow ? !load_ea<u16>(cpu, *insn, low) : !load_ea<u32>(cpu, *insn, wide)) SB_FAILED(cpu, insn);
        target = narrow ? low : wide;
    } else {
        target = narrow ? get<u16>(cpu, insn->rm) : get<u32>(cpu, insn->rm);
    }
    if (!long_target_ok(cpu, target)) SB_FAILED(cpu, insn);
    if (Call && !push_segmented(cpu, next_rip(cpu, insn), 1u << insn->osize)) SB_FAILED(cpu, insn);
    SB_GO_ON(cpu, go_indirect(cpu, target));
}

}  // namespace

Handler select_jcc(Insn& insn, bool) { return insn.same_page ? jcc_handler<true> : jcc_handler<false>; }
Handler select_jmp(Insn& insn, bool) {
    const OpcodeRow& row = kOpcodeRows[insn.row];
    if (has_relative_target(row)) return insn.same_page ? jmp_handler<true> : jmp_handler<false>;
    if (insn.osize == 3) return insn.mem ? indirect64<true, false> : indirect64<false, false>;
    return indirect_legacy<false>;
}
Handler select_call(Insn& insn, bool) {
    const OpcodeRow& row = kOpcodeRows[insn.row];
    if (row.operands[0] == Operand::Jz)
        return insn.osize == 3 ? (insn.same_page ? call64<true> : call64<false>) : call_legacy;
    if (insn.osize == 3) return insn.mem ? indirect64<true, true> : indirect64<false, true>;
    return indirect_legacy<true>;
}
Handler select_ret(Insn& insn, bool) { return insn.osize == 3 ? ret64 : ret_legacy; }

bool long_target_ok(Vcpu& cpu, u64 target) {
    if (cpu.long64() ? is_canonical(target, cpu.cr4) : target <= cpu.seg[kCs].limit) return true;
    return cpu.raise(Vector::kGP, 0);
}

void add_to_stack_pointer(Vcpu& cpu, i64 bytes) {
    u64 rsp = cpu.gpr[kRsp] + static_cast<u64>(bytes);
    if (cpu.long64())
        cpu.gpr[kRsp] = rsp;
    else if (cpu.mode & mode_bits::kStack32)
        cpu.gpr[kRsp] = static_cast<u32>(rsp);
    else
        cpu.set_reg<u16>(kRsp, static_cast<u16>(rsp));
}

u64 stack_offset(const Vcpu& cpu, u64 rsp) {
    return cpu.long64() ? rsp : rsp & (cpu.mode & mode_bits::kStack32 ? 0xFFFFFFFF : 0xFFFF);
}

bool push_segmented(Vcpu& cpu, u64 value, unsigned size) {
    u64 gva, offset = stack_offset(cpu, cpu.gpr[kRsp] - size);
    if (!segment_address(cpu, kSs, offset, size, MemoryAccess::kWrite, gva)) return false;
    bool done;
    if (size == 2)
        done = store<u16>(cpu, gva, static_cast<u16>(value));
    else if (size == 4)
        done = store<u32>(cpu, gva, static_cast<u32>(value));
    else
        done = store<u64>(cpu, gva, value);
    if (!done) return stack_failed(cpu);
    add_to_stack_pointer(cpu, -static_cast<i64>(size));
    return true;
}

bool pop_segmented(Vcpu& cpu, u64& value, unsigned size) {
    u64 gva, offset = stack_offset(cpu, cpu.gpr[kRsp]);
    if (!segment_address(cpu, kSs, offset, size, MemoryAccess::kRead, gva)) return false;
    u16 low;
    u32 wide;
    if (size == 2) {
        if (!load<u16>(cpu, gva, low)) return stack_failed(cpu);
        value = low;
    } else if (size == 4) {
        if (!load<u32>(cpu, gva, wide)) return stack_failed(cpu);
        value = wide;
    } else if (!load<u64>(cpu, gva, value))
        return stack_failed(cpu);
    add_to_stack_pointer(cpu, size);
    return true;
}

namespace {
/// rCX as the address size makes it; counts down if asked.
u64 counter(Vcpu& cpu, const Insn& insn, bool decrement) {
    switch (insn.asize) {
        case 1:
            if (decrement) cpu.set_reg<u16>(kRcx, static_cast<u16>(cpu.gpr[kRcx] - 1));
            return static_cast<u16>(cpu.gpr[kRcx]);
        case 2:
            if (decrement) cpu.gpr[kRcx] = static_cast<u32>(cpu.gpr[kRcx] - 1);
            return static_cast<u32>(cpu.gpr[kRcx]);
        default:
            if (decrement) --cpu.gpr[kRcx];
            return cpu.gpr[kRcx];
    }
}
}  // namespace

SB_END(op_loop) {  // E0 LOOPNE, E1 LOOPE, E2 LOOP
    const u64 target = static_cast<u64>(insn.disp), before = cpu.gpr[kRcx];
    u64 left = counter(cpu, insn, true);
    bool taken = left != 0 && (insn.opcode == 0xE2 || cpu.flags.zf() == (insn.opcode == 0xE1));
    if (taken) {
        if (!long_target_ok(cpu, target)) {
            cpu.gpr[kRcx] = before;
            return false;
        }
        cpu.rip = target;
    }
    return true;
}
SB_END(op_jrcxz) {
    if (counter(cpu, insn, false) != 0) return true;
    if (!long_target_ok(cpu, static_cast<u64>(insn.disp))) return false;
    cpu.rip = static_cast<u64>(insn.disp);
    return true;
}

}  // namespace shadowbox
