// SPDX-License-Identifier: MIT
// One VM under icount: guest time is retired instructions. A quantum is a stretch of guest time in which no
// timer expires but at its end; the vCPUs run through it one after the other. HLT skips to the quantum's end,
// and an idle machine to its next event.
#include <algorithm>

#include "core/log.h"
#include "cpu/apic/local_apic.h"
#include "cpu/state/vcpu.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {
constexpr GuestNs kQuantum = 1'000'000;  ///< one vCPU: nothing else can happen in between
constexpr GuestNs kQuantumSmp = 10'000;  ///< several: the latency of an interprocessor interrupt
}  // namespace

GuestNs VirtualMachine::idle_until() {
    std::lock_guard lock(device_lock_);
    GuestNs next = timers_->next_deadline();
    for (auto& vcpu : vcpus_) {
        if (vcpu->wakeup_pending() || !vcpu->halted) return icount_time_;
        next = std::min(next, vcpu->apic->next_deadline());
    }
    return next;
}

void VirtualMachine::run_vcpu_quantum(Vcpu& vcpu, GuestNs start, GuestNs length) {
    auto& clock = static_cast<IcountVmClock&>(*clock_);
    clock.begin(start, &vcpu);
    u64 first = vcpu.retired_now();
    while (!ending_ && !reset_pending_) {
        u64 used = vcpu.retired_now() - first;
        if (used >= length) break;
        if (!gate_.enter(vcpu)) break;
        if (vcpu.halted && !vcpu.wakeup_pending()) {
            gate_.leave();
            break;
        }
        vcpu.safepoint.enter();
        if (clock.now() >= vcpu.apic->next_deadline()) vcpu.apic->run_timer(clock.now());
        i64 budget = static_cast<i64>(length - used);
        GuestNs deadline = vcpu.apic->next_deadline();
        if (deadline != kNever)
            budget = std::min<i64>(budget, std::max<i64>(1, static_cast<i64>(deadline - clock.now())));
        ExitReason reason = vcpu.run(budget);
        vcpu.safepoint.leave();
        vcpu.halted = reason == ExitReason::kHalt;
        gate_.leave();
        if (reason != ExitReason::kHalt && reason != ExitReason::kBudget)
            after_exit(vcpu, static_cast<int>(reason));
        if (exclusive_pending_) drain_exclusive();
        // A device armed a timer inside this quantum: it ends there for this vCPU.
        GuestNs next = timers_->next_deadline();
        if (next <= clock.now()) break;
        if (next - start < length) length = next - start;
    }
    clock.end(start);
}

bool VirtualMachine::run_quantum() {
    if (ending_) return false;
    if (reset_pending_) do_reset();
    auto& clock = static_cast<IcountVmClock&>(*clock_);
    clock.begin(icount_time_, nullptr);
    // Between quanta vCPUs are looked at under the device lock, which while_stopped() holds as well.
    std::unique_lock lock(device_lock_);
    journal_.apply_all(icount_time_);
    timers_->run_due(icount_time_);
    GuestNs next = timers_->next_deadline();
    bool all_halted = true;
    for (auto& vcpu : vcpus_) all_halted &= vcpu->halted && !vcpu->wakeup_pending();
    if (all_halted) {
        for (auto& vcpu : vcpus_) next = std::min(next, vcpu->apic->next_deadline());
        if (next == kNever) {
            clock.end(icount_time_);
            return true;  // only input can wake it
        }
        icount_time_ = std::max(icount_time_, next);
        clock.begin(icount_time_, nullptr);
        for (auto& vcpu : vcpus_)
            if (icount_time_ >= vcpu->apic->next_deadline()) vcpu->apic->run_timer(icount_time_);
        clock.end(icount_time_);
        return true;
    }
    lock.unlock();
    GuestNs length = vcpus_.size() == 1 ? kQuantum : kQuantumSmp;
    if (next != kNever) length = std::min(length, std::max<GuestNs>(1, next - icount_time_));
    GuestNs furthest = icount_time_;
    for (auto& vcpu : vcpus_) {
        u64 before = vcpu->retired_now();
        run_vcpu_quantum(*vcpu, icount_time_, length);
        furthest = std::max(furthest, icount_time_ + (vcpu->retired_now() - before));
    }
    // All halted early: time stands at the last one's halt, and the next quantum skips ahead.
    bool idle = true;
    for (auto& vcpu : vcpus_) idle &= vcpu->halted;
    if (idle || vcpus_.size() == 1)
        icount_time_ = furthest;
    else
        icount_time_ += length;
    next = timers_->next_deadline();
    if (next != kNever && vcpus_.size() > 1) icount_time_ = std::min(icount_time_, std::max(next, furthest));
    clock.end(icount_time_);
    return !ending_;
}

}  // namespace shadowbox
