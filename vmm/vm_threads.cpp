// SPDX-License-Identifier: MIT
// The threads of a VM under the host clock: one a vCPU, one for devices, timers and input.
#include "core/host/host_time.h"
#include "core/host/thread.h"
#include "core/log.h"
#include "cpu/block.h"
#include "cpu/local_apic.h"
#include "cpu/vcpu.h"
#include "vmm/host.h"
#include "vmm/virtual_machine.h"

namespace shadowbox {

namespace {
/// Instructions between looks at the local APIC's timer: some tens of microseconds.
constexpr i64 kSlice = 10'000;
}  // namespace

void VirtualMachine::vcpu_main(Vcpu& vcpu) {
    name_thread(fmt::format("{}/cpu{}", config_.name.substr(0, 9), vcpu.index).c_str());
    for (;;) {
        if (vcpu.halted) sleep_in_halt(vcpu);
        if (vcpu.halted) {  // still: only asked to come out for other work
            if (ending_) return;
            do_outside_work();
            if (!gate_.pass(vcpu)) return;
            continue;
        }
        if (!gate_.enter(vcpu)) return;
        ExitReason reason = ExitReason::kBudget;
        vcpu.safepoint.enter();
        while (reason == ExitReason::kBudget) {
            if (clock_->now() >= vcpu.apic->next_deadline()) vcpu.apic->run_timer(clock_->now());
            reason = vcpu.run(kSlice);
        }
        vcpu.safepoint.leave();
        gate_.leave();
        after_exit(vcpu, static_cast<int>(reason));
    }
}

void VirtualMachine::after_exit(Vcpu& vcpu, int code) {
    switch (static_cast<ExitReason>(code)) {
        case ExitReason::kHalt: vcpu.halted = true; break;
        case ExitReason::kShutdown: triple_fault(vcpu); break;
        case ExitReason::kWaitPage: vcpu.mmu.wait_for_page(); break;
        case ExitReason::kRefused:
            spdlog::error("[{}] the pool of machine pages is exhausted (guest page {:#x}): the machine is paused; give it room and continue", config_.name, vcpu.wait_ppn.value);
            if (host_.config().icount) request_end(VmState::kCrashed, 4, "out of machine pages");
            else host_.pause_later(*this);
            break;
        case ExitReason::kExclusive: {
            std::lock_guard exclusive(exclusive_mutex_);
            gate_.hold();
            vcpu.safepoint.enter();
            ExitReason result = vcpu.step_exclusive();
            vcpu.safepoint.leave();
            gate_.release();
            if (result == ExitReason::kShutdown) triple_fault(vcpu);
            break;
        }
        default: break;
    }
    do_outside_work();
}

void VirtualMachine::do_outside_work() {
    if (exclusive_pending_) drain_exclusive();
    if (reset_pending_ && !ending_) do_reset();
}

/// Returns with `halted` cleared when an interrupt ends HLT, or still set when the thread is wanted for something else.
void VirtualMachine::sleep_in_halt(Vcpu& vcpu) {
    for (;;) {
        vcpu.sleeping = true;
        GuestNs now = clock_->now();
        if (now >= vcpu.apic->next_deadline()) vcpu.apic->run_timer(now);
        u32 attention = vcpu.safepoint.attention.load();
        if (attention & SafepointParticipant::kAttentionCode) {
            vcpu.safepoint.attention.fetch_and(~u32{SafepointParticipant::kAttentionCode});
            vcpu.blocks->drain_posted();
        }
        bool wanted = (attention & SafepointParticipant::kAttentionStop) || ending_;
        if (!wanted && vcpu.wakeup_pending()) vcpu.halted = false;
        if (wanted || !vcpu.halted) {
            vcpu.sleeping = false;
            return;
        }
        GuestNs deadline = vcpu.apic->next_deadline();
        vcpu.wake.wait_until(deadline == kNever ? WakeEvent::kForever : host_monotonic_ns() + (deadline > now ? deadline - now : 0));
    }
}

void VirtualMachine::device_main() {
    name_thread(fmt::format("{}/dev", config_.name.substr(0, 10)).c_str());
    while (!ending_) {
        GuestNs next;
        bool running = state() == VmState::kRunning;
        {
            std::lock_guard lock(device_lock_);
            GuestNs now = clock_->now();
            if (running) {
                journal_.apply_all(now);
                io_->run_completions();
                timers_->run_due(now);
            }
            next = timers_->next_deadline();
        }
        GuestNs now = clock_->now();
        u64 deadline = !running || next == kNever ? WakeEvent::kForever : host_monotonic_ns() + (next > now ? next - now : 0);
        device_wake_.wait_until(deadline);
    }
}

}  // namespace shadowbox
