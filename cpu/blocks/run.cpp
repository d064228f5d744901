// SPDX-License-Identifier: MIT
// The vCPU's loop: from block to block until the budget is used up or somebody wants attention.
#include <algorithm>
#include <utility>

#include "cpu/apic/local_apic.h"
#include "cpu/blocks/block.h"
#include "cpu/blocks/dispatch.h"
#include "cpu/events/breakpoints.h"
#include "cpu/events/interrupts.h"
#include "cpu/ops/pseudo.h"
#include "cpu/state/host_fpu.h"

namespace shadowbox {

namespace {

/// Guest instructions of the running block before `insn`.
i64 completed_before(const Block& block, const Insn* insn) {
    i64 done = 0;
    for (const Insn* cell = block.insns; cell < insn; ++cell) done += 1 + cell->fused;
    return done;
}

const Insn* enter(Vcpu& cpu, Block* block) {
    cpu.block = block;
    cpu.budget -= static_cast<i64>(block->cost);
    if (__builtin_expect(cpu.budget < 0, 0)) {
        cpu.budget += static_cast<i64>(block->cost);
        cpu.exit = ExitReason::kBudget;
        return nullptr;
    }
    return block->insns;
}

}  // namespace

const Insn* leave_at(Vcpu& cpu, const Insn* insn) {
    cpu.rip = rip_of(cpu, insn);
    cpu.budget += static_cast<i64>(cpu.block->cost) - completed_before(*cpu.block, insn);
    if (cpu.exit == ExitReason::kFault && cpu.fault.non_canonical && insn->seg == kSs)
        cpu.fault.vector = Vector::kSS;
    return nullptr;
}

const Insn* next_block(Vcpu& cpu) {
    if (__builtin_expect(cpu.safepoint.attention.load(std::memory_order_relaxed) |
                             static_cast<u32>(cpu.interrupt_shadow) | static_cast<u32>(cpu.single) |
                             static_cast<u32>(cpu.in_cell) | static_cast<u32>(cpu.budget <= 0) |
                             static_cast<u32>(cpu.mode & mode_bits::kSingleStep),
                         0)) {
        cpu.exit = ExitReason::kNone;
        return nullptr;
    }
    Block* block = cpu.blocks->probe(cpu, cpu.rip);
    if (__builtin_expect(!block, 0)) {
        block = cpu.blocks->find(cpu);
        if (!block) return nullptr;
    }
    return enter(cpu, block);
}

const Insn* op_stale(Vcpu& cpu, const Insn* insn) {
    leave_at(cpu, insn);
    SB_GO_ON(cpu, next_block(cpu));
}

const Insn* op_block_end(Vcpu& cpu, const Insn* insn) {
    u64 target = rip_of(cpu, insn);
    if (!(cpu.mode & mode_bits::kLong64)) target &= cpu.mode & mode_bits::kCode32 ? 0xFFFFFFFF : 0xFFFF;
    cpu.rip = target;
    SB_GO_ON(cpu, next_block(cpu));
}

const Insn* op_stop(Vcpu&, const Insn*) { return nullptr; }

const Insn* op_undefined(Vcpu& cpu, const Insn* insn) {
    cpu.raise(Vector::kUD);
    return leave_at(cpu, insn);
}
const Insn* op_no_fpu(Vcpu& cpu, const Insn* insn) {
    cpu.raise(Vector::kNM);
    return leave_at(cpu, insn);
}
const Insn* op_too_long(Vcpu& cpu, const Insn* insn) {
    cpu.raise(Vector::kGP, 0);
    return leave_at(cpu, insn);
}

namespace {

void execute(Vcpu& cpu, const Insn* insn) {
#if SHADOWBOX_TAIL_CALLS
    insn->handler(cpu, insn);
#else
    while (insn) insn = insn->handler(cpu, insn);
#endif
}

}  // namespace

void Vcpu::step_one() {
    // One instruction alone: single step, interrupt shadow, exact counts, breakpoints.
    exit = ExitReason::kNone;
    const bool had_shadow = interrupt_shadow, held = std::exchange(traps_held, false);
    const u64 earlier = pending_dr6, resume = other_flags & rflags::kRF;
    if (earlier && !held) {  // of a SYSRET, or of the delivery of an event
        raise(Fault{Vector::kDB, false, 0, 0, earlier});
        return;
    }
    const u64 linear = (mode & mode_bits::kLong64) ? rip : (rip + seg[kCs].base) & 0xFFFFFFFF;
    if (u64 hits = resume || held ? 0 : instruction_breakpoints(*this, linear)) {
        raise(Fault{Vector::kDB, false, 0, 0, hits});
        return;
    }
    single = true;
    interrupt_shadow = false;
    device_accesses.begin(rip);
    other_flags &= ~rflags::kRF;  // cleared at the instruction's start: what it loads itself stays
    step_trap = other_flags & rflags::kTF;
    if (Block* found = blocks->find(*this)) {
        block = found;
        budget -= 1;
        const u64 start = rip, mask = mode & mode_bits::kLong64 ? ~u64{0} : 0xFFFFFFFF;
        execute(*this, found->insns);
        const bool branched = rip != start && rip != ((start + found->byte_count) & mask);
        if ((msr.debugctl & debugctl::kBTF) && !branched) step_trap = false;  // SDM 3B 18.4.3
    }
    single = false;
    if (__builtin_expect(ferr, 0) && !(x87.status & X87State::kErrorSummary)) set_ferr(false);
    const bool frozen = exit == ExitReason::kHalt && x87_frozen;  // it did not run
    device_accesses.end(exit == ExitReason::kWaitPage || exit == ExitReason::kRefused ||
                        exit == ExitReason::kExclusive);
    if (exit == ExitReason::kNone || (exit == ExitReason::kHalt && !frozen)) {
        // Behind MOV SS no single step is reported, and what else was hit waits (SDM 3A 6.8.3).
        if (traps_held) return;
        if (step_trap) pending_dr6 |= dr6::kBS;
        if (pending_dr6) raise(Fault{Vector::kDB, false, 0, 0, pending_dr6});
    } else if (exit == ExitReason::kFault) {
        if (fault.vector != Vector::kDB) pending_dr6 = earlier;  // its own accesses do not count
    } else {
        interrupt_shadow = had_shadow;
        traps_held = held;
        pending_dr6 = earlier;
        other_flags |= resume;
    }
}

ExitReason Vcpu::step_exclusive() {
    bool was_alone = alone;
    alone = true;
    budget = run_start_budget_ = 1;
    enter_guest_fp(*this);
    step_one();
    leave_guest_fp(*this);
    alone = was_alone;
    retired += static_cast<u64>(run_start_budget_ - budget);
    run_start_budget_ = budget;
    ExitReason result = exit;
    if (result == ExitReason::kFault)
        result = deliver_fault(*this) ? ExitReason::kNone : ExitReason::kShutdown;
    exit = ExitReason::kNone;
    return result;
}

ExitReason Vcpu::run(i64 allowed) {
    budget = run_start_budget_ = allowed;
    enter_guest_fp(*this);
    ExitReason result = ExitReason::kNone;
    while (result == ExitReason::kNone) {
        exit = ExitReason::kNone;
        if (safepoint.attention.load(std::memory_order_acquire) || check_interrupts_) {
            if (!serve_attention()) {
                result = exit;
                break;
            }
        }
        if (budget <= 0) {
            result = ExitReason::kBudget;
            break;
        }
        exit = ExitReason::kNone;
        bool alone_now = interrupt_shadow || (mode & mode_bits::kSingleStep) || need_single_ || pending_dr6 ||
                         device_accesses.held() || ferr;
        if (!alone_now) other_flags &= ~rflags::kRF;  // no interrupt came between a repeat's iterations
        if (alone_now) {
            need_single_ = false;
            step_one();
        } else if (const Insn* first = next_block(*this)) {
            execute(*this, first);
        } else if (exit == ExitReason::kBudget && budget > 0 && (exact_time || allowed < kMaxBlockInsns)) {
            step_one();  // the tail of the budget, instruction by instruction
        } else if (exit == ExitReason::kBudget) {
            result = exit;  // nobody counts exactly: the next slice goes on from here
        }
        switch (exit) {
            case ExitReason::kNone: break;
            case ExitReason::kBudget: break;
            case ExitReason::kSingleInsn: need_single_ = true; break;
            case ExitReason::kFault:
                if (!deliver_fault(*this)) result = ExitReason::kShutdown;
                break;
            case ExitReason::kHalt:
                interrupt_shadow = false;
                [[fallthrough]];  // of an STI before it: emitted code tells late that it ended
            default: result = exit; break;
        }
    }
    leave_guest_fp(*this);
    retired += static_cast<u64>(run_start_budget_ - budget);
    run_start_budget_ = budget;
    return result;
}

bool Vcpu::serve_attention() {
    u32 bits = safepoint.attention.load(std::memory_order_acquire);
    if (bits & SafepointParticipant::kAttentionCode) {
        safepoint.attention.fetch_and(~u32{SafepointParticipant::kAttentionCode}, std::memory_order_acq_rel);
        blocks->drain_posted();
    }
    if (bits & SafepointParticipant::kAttentionSafepoint) safepoint.poll();
    if (bits & SafepointParticipant::kAttentionStop) {
        // Cleared by whoever asked for it, once this vCPU is outside.
        exit = ExitReason::kStop;
        return false;
    }
    // Under the host clock translated code looks at no clock; whoever does (vmm/) asks for attention instead.
    if (jit && !exact_time && now() >= apic->next_deadline()) apic->run_timer(now());
    safepoint.attention.fetch_and(~u32{SafepointParticipant::kAttentionInterrupt}, std::memory_order_acq_rel);
    check_interrupts_ = false;
    interrupt_latched = interrupt_waiting();  // behind this point whoever adds something asks for attention
    const bool later = interrupt_shadow || device_accesses.held() ||
                       (pending_dr6 && !held_event_);  // traps come before interrupts
    if (wait_for_sipi_ || later) {
        check_interrupts_ = later;
        if (!wait_for_sipi_) return true;
    }
    return deliver_pending_interrupt();
}

}  // namespace shadowbox
