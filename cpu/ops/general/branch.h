// SPDX-License-Identifier: MIT
// What every control transfer shares: linked direct branches, indirect dispatch, pushes and pops outside
// 64-bit mode.
#pragma once

#include "cpu/blocks/block.h"
#include "cpu/blocks/dispatch.h"

namespace shadowbox {

/// Finds the successor for `slot` and links it where that is safe. nullptr: fetch fault or wait raised, RIP
/// is the target.
Block* resolve_link(Vcpu& cpu, u64 target, unsigned slot);

/// The functions below that return an instruction find where to go on, nullptr to leave run(); their callers
/// end in SB_GO_ON.
inline const Insn* go_indirect(Vcpu& cpu, u64 target) {
    cpu.rip = target;
    return next_block(cpu);
}

/// Enters `to`, whose RIP is `target`, or leaves for attention or budget.
[[gnu::always_inline]] inline const Insn* enter_block(Vcpu& cpu, Block* to) {
    cpu.budget -= static_cast<i64>(to->cost);
    if (__builtin_expect(
            (cpu.budget < 0) | (cpu.safepoint.attention.load(std::memory_order_relaxed) != 0) | cpu.single,
            0)) {
        cpu.budget += static_cast<i64>(to->cost);
        cpu.rip = to->rip;
        cpu.exit = cpu.budget < static_cast<i64>(to->cost) ? ExitReason::kBudget : ExitReason::kNone;
        return nullptr;
    }
    cpu.block = to;
    return to->insns;
}

/// Continues at `target` through link `slot` of the current block. SamePage: the target lies on the branch's
/// own page, whose mapping cannot change while blocks of it run on; otherwise the code TLB must still map the
/// target to the linked block's PPN.
template <bool SamePage>
[[gnu::always_inline]] inline const Insn* follow_link(Vcpu& cpu, u64 target, unsigned slot) {
    Block* to = cpu.block->link[slot];
    if (__builtin_expect(to != nullptr && to->ppn != kInvalidPpn.value, 1)) {
        if constexpr (SamePage) return enter_block(cpu, to);
        if ((cpu.mode & mode_bits::kLong64) &&
            to->rip == target) {  // else its page has moved (block_placement.cpp)
            const CodeTlbEntry* entry = cpu.mmu.context()->probe_code(target);
            if (entry && entry->ppn() == to->ppn) return enter_block(cpu, to);
        }
    }
    // Nothing is fetched once the budget is used up: whatever comes at this count comes before the fetch.
    if (__builtin_expect(
            cpu.safepoint.attention.load(std::memory_order_relaxed) | cpu.single | (cpu.budget <= 0), 0)) {
        cpu.rip = target;
        cpu.exit = ExitReason::kNone;
        return nullptr;
    }
    to = resolve_link(cpu, target, slot);
    if (!to) return nullptr;
    return enter_block(cpu, to);
}

template <bool SamePage>
[[gnu::always_inline]] inline const Insn* take_branch(Vcpu& cpu, const Insn* insn) {
    u64 target = static_cast<u64>(insn->disp);
    if (__builtin_expect(!(cpu.mode & mode_bits::kLong64), 0) && target > cpu.seg[kCs].limit) {
        cpu.raise(Vector::kGP, 0);
        return leave_at(cpu, insn);
    }
    return follow_link<SamePage>(cpu, target, 0);
}
[[gnu::always_inline]] inline const Insn* fall_through(Vcpu& cpu, const Insn* insn) {
    u64 target = next_rip(cpu, insn);
    // The next instruction may be the first of the next page (a CS base off page bounds moves the bounds).
    if ((target & kPageOffsetMask) && !(cpu.mode >> 32 & kPageOffsetMask))
        return follow_link<true>(cpu, target, 1);
    return follow_link<false>(cpu, target, 1);
}

/// A stack access failed. A non-canonical address is #SS, whatever segment the instruction's memory operand
/// has.
inline bool stack_failed(Vcpu& cpu) {
    if (cpu.exit == ExitReason::kFault && cpu.fault.non_canonical) cpu.fault.vector = Vector::kSS;
    return false;
}

/// Stack accesses outside 64-bit mode (any mode works), with limit checks; `size` 2, 4 or 8.
bool push_segmented(Vcpu& cpu, u64 value, unsigned size);
bool pop_segmented(Vcpu& cpu, u64& value, unsigned size);
u64 stack_offset(const Vcpu& cpu, u64 rsp);
void add_to_stack_pointer(Vcpu& cpu, i64 bytes);
/// A near target is canonical, or inside CS's limit; else #GP(0).
bool long_target_ok(Vcpu& cpu, u64 target);

}  // namespace shadowbox
