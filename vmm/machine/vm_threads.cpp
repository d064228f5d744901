// SPDX-License-Identifier: MIT
// The threads of a VM under the host clock: one a vCPU, one for devices, timers and input.
#include "core/host/host_time.h"
#include "core/host/thread.h"
#include "core/log.h"
#include "cpu/apic/local_apic.h"
#include "cpu/blocks/block.h"
#include "cpu/state/vcpu.h"
#include "vmm/machine/host.h"
#include "vmm/machine/idle_caches.h"
#include "vmm/machine/late_ticks.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {
/// Instructions between looks at the local APIC's timer: some tens of microseconds.
constexpr i64 kSlice = 10'000;
/// Of translated code, which looks at no clock: the device thread asks the vCPU for a timer that is due.
constexpr i64 kTranslatedSlice = 200'000;
/// A device thread that sleeps so much too long was kept off the CPU.
constexpr GuestNs kDeviceThreadLate = 1'000'000;
}  // namespace

void VirtualMachine::vcpu_main(Vcpu& vcpu) {
    name_thread(fmt::format("{}/cpu{}", config_.name.substr(0, 9), vcpu.index).c_str());
    GuestLogScope log_scope(config_.name);
    // Where the host lets this thread run and the device thread not, guest time passes without ticks, and
    // a guest that checks its timer against the TSC gives up ("8254 timer not connected"): lend a hand.
    auto run_late_device_timers = [this](GuestNs now) {
        GuestNs until = device_until_;
        if (now < until || now - until < kDeviceThreadLate) return;
        OutsideScope outside(SafepointDomain::current());
        std::unique_lock lock(device_lock_, std::try_to_lock);
        if (lock) timers_->run_due(clock_->now());
    };
    IdleCaches caches(vcpu);
    LateTicks late_ticks(vcpu, *board_, device_lock_);
    while (gate_.enter(vcpu)) {
        if (outside_work_waits()) {  // enter() may just have taken back the call that came with it
            gate_.leave();
            do_outside_work();
            continue;
        }
        if (vcpu.halted && !halt_ends(vcpu)) {
            sleep_in_halt(vcpu, caches);
            continue;
        }
        ExitReason reason = ExitReason::kBudget;
        vcpu.safepoint.enter();
        while (reason == ExitReason::kBudget) {
            GuestNs now = clock_->now();
            if (now >= vcpu.apic->next_deadline()) vcpu.apic->run_timer(now);
            run_late_device_timers(now);
            reason = vcpu.run(late_ticks.look(now, vcpu.jit ? kTranslatedSlice : kSlice));
        }
        vcpu.safepoint.leave();
        vcpu.halted = reason == ExitReason::kHalt;  // inside the gate: a reset that comes after it wins
        gate_.leave();
        after_exit(vcpu, reason);
    }
}

void VirtualMachine::after_exit(Vcpu& vcpu, ExitReason reason) {
    // Done alone, an instruction can want a page as any other.
    if (reason == ExitReason::kExclusive) reason = step_exclusive(vcpu);
    switch (reason) {
        case ExitReason::kShutdown: triple_fault(vcpu); break;
        case ExitReason::kWaitPage: wait_for_page(vcpu); break;
        case ExitReason::kRefused: want_room(vcpu.wait_ppn); break;
        default: break;
    }
}

bool VirtualMachine::outside_work_waits() const { return exclusive_pending_ || (reset_pending_ && !ending_); }

void VirtualMachine::do_outside_work() {
    if (exclusive_pending_) drain_exclusive();
    if (reset_pending_ && !ending_) do_reset();
}

ExitReason VirtualMachine::step_exclusive(Vcpu& vcpu) {
    std::lock_guard exclusive(exclusive_mutex_);
    gate_.hold();
    vcpu.safepoint.enter();
    ExitReason result = vcpu.step_exclusive();
    vcpu.safepoint.leave();
    gate_.release();
    return result;
}

/// Inside the gate, since others reset a halted vCPU or look at it: whether an interrupt ends HLT now. If
/// not, `sleeping` is set.
bool VirtualMachine::halt_ends(Vcpu& vcpu) {
    vcpu.sleeping = true;  // before the look: what is posted after it signals `wake`
    GuestNs now = clock_->now();
    if (now >= vcpu.apic->next_deadline()) vcpu.apic->run_timer(now);
    u32 code = SafepointParticipant::kAttentionCode;
    if (vcpu.safepoint.attention.fetch_and(~code) & code)
        vcpu.blocks->drain_posted();  // or they would pile up
    if (!vcpu.wakeup_pending()) return false;
    vcpu.sleeping = vcpu.halted = false;
    return true;
}

/// Leaves the gate and sleeps until an interrupt or the APIC's timer may end HLT, or the thread is wanted for
/// something else, which does not: HLT is a state.
void VirtualMachine::sleep_in_halt(Vcpu& vcpu, IdleCaches& caches) {
    GuestNs deadline = vcpu.apic->next_deadline(), now = clock_->now();
    u64 until = deadline == kNever ? WakeEvent::kForever
                                   : host_monotonic_ns() + (deadline > now ? deadline - now : 0);
    vcpu.safepoint.enter();
    until = std::min(until, caches.look());
    vcpu.safepoint.leave();
    gate_.leave();
    if (!(vcpu.safepoint.attention.load() & SafepointParticipant::kAttentionStop))
        vcpu.wake.wait_until(until);
    vcpu.sleeping = false;
}

/// On the vCPU's thread, which publishes before it reads `device_until_`; the device thread resets that
/// before it looks.
void VirtualMachine::watch_timer(Vcpu& vcpu) {
    GuestNs due = vcpu.apic->next_deadline();
    timer_watch_[vcpu.index].due = due;
    if (due <= clock_->now())
        vcpu.post_attention(SafepointParticipant::kAttentionInterrupt);
    else if (due < device_until_)
        device_wake_.signal();
}

/// The next local timer that is not due yet.
GuestNs VirtualMachine::ask_for_due_timers() {
    GuestNs next = kNever, now = clock_->now();
    for (auto& vcpu : vcpus_) {
        TimerWatch& watch = timer_watch_[vcpu->index];
        GuestNs due = watch.due;
        if (due == watch.asked) continue;
        if (due > now) {
            next = std::min(next, due);
        } else {
            watch.asked = due;
            vcpu->post_attention(SafepointParticipant::kAttentionInterrupt);
        }
    }
    return next;
}

void VirtualMachine::device_main() {
    name_thread(fmt::format("{}/dev", config_.name.substr(0, 10)).c_str());
    GuestLogScope log_scope(config_.name);
    while (!ending_) {
        GuestNs next;
        device_until_ = kNever;
        page_waits_->ask();  // may find the machine in want of room
        bool running = state() == VmState::kRunning;
        {
            std::lock_guard lock(device_lock_);
            GuestNs now = clock_->now();
            if (running) {
                journal_.apply_all(now);
                page_waits_->run_ready();
                io_->run_completions();
                timers_->run_due(now);
            }
            next = timers_->next_deadline();
        }
        if (running && timer_watch_) next = std::min(next, ask_for_due_timers());
        device_until_ = next;
        GuestNs now = clock_->now();
        u64 deadline = !running || next == kNever ? WakeEvent::kForever
                                                  : host_monotonic_ns() + (next > now ? next - now : 0);
        device_wake_.wait_until(deadline);
    }
}

}  // namespace shadowbox
