// SPDX-License-Identifier: MIT
// One VM under icount: guest time is retired instructions. A round (icount_runner.h) consists of slices:
// stretches of guest time in which no timer expires but at their end; the vCPUs run through one after the
// other. HLT skips to the slice's end, and an idle machine to its next event. A machine that is paused,
// blocked or waits for a page leaves its slice as it is and gives the thread to the others.
#include <algorithm>

#include "core/log.h"
#include "cpu/apic/local_apic.h"
#include "cpu/state/vcpu.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {
constexpr GuestNs kSlice = IcountRunner::kRound;  ///< one vCPU: nothing else can happen in between
constexpr GuestNs kSliceSmp = 10'000;             ///< several: the latency of an interprocessor interrupt
}  // namespace

RoundResult VirtualMachine::run_round() {
    GuestLogScope log_scope(config_.name);
    std::lock_guard quantum(quantum_mutex_);
    if (round_end_ == 0) round_end_ = IcountRunner::kRound;
    while (!ending_) {
        if (standing_ != VmState::kRunning || waits_for_page_) return RoundResult::kHeld;
        if (slice_.open) {
            if (!run_slice()) return ending_ ? RoundResult::kEnded : RoundResult::kHeld;
            continue;
        }
        if (!settle_page_waits()) return RoundResult::kHeld;
        if (icount_time_ >= round_end_) {
            round_end_ = (icount_time_ / IcountRunner::kRound + 1) * IcountRunner::kRound;
            return RoundResult::kDone;
        }
        if (reset_pending_) do_reset();
        if (!begin_slice()) return RoundResult::kIdle;
    }
    return RoundResult::kEnded;
}

/// No lock held. At the guest time at which they were parked, before any vCPU goes on.
bool VirtualMachine::settle_page_waits() {
    if (!page_waits_->any()) return true;
    page_waits_->ask();
    if (standing_ != VmState::kRunning) return false;
    std::lock_guard lock(device_lock_);
    page_waits_->run_ready();
    return !page_waits_->any();
}

u64 VirtualMachine::idle_rounds() {
    std::lock_guard quantum(quantum_mutex_);
    std::lock_guard lock(device_lock_);
    if (ending_ || reset_pending_ || exclusive_pending_ || !journal_.empty() || page_waits_->any()) return 0;
    GuestNs next = timers_->next_deadline();
    for (auto& vcpu : vcpus_) {
        if (vcpu->wakeup_pending() || !vcpu->halted) return 0;
        next = std::min(next, vcpu->apic->next_deadline());
    }
    if (next == kNever) return kNever;
    return next > icount_time_ ? (next - icount_time_) / IcountRunner::kRound : 0;
}

void VirtualMachine::skip_rounds(u64 rounds) {
    std::lock_guard quantum(quantum_mutex_);
    icount_time_ += rounds * IcountRunner::kRound;
    round_end_ += rounds * IcountRunner::kRound;
    auto& clock = static_cast<IcountVmClock&>(*clock_);
    clock.begin(icount_time_, nullptr);
    clock.end(icount_time_);
}

/// Input and timers that are due; then a slice, or, if every vCPU is halted, a step to the next event. False:
/// only input can wake it.
bool VirtualMachine::begin_slice() {
    auto& clock = static_cast<IcountVmClock&>(*clock_);
    clock.begin(icount_time_, nullptr);
    // Between slices vCPUs are looked at under the device lock, which while_stopped() holds as well.
    std::lock_guard lock(device_lock_);
    journal_.apply_all(icount_time_);
    timers_->run_due(icount_time_);
    if (page_waits_->any()) {  // first the devices
        clock.end(icount_time_);
        return true;
    }
    GuestNs next = timers_->next_deadline();
    bool all_halted = true;
    for (auto& vcpu : vcpus_) all_halted &= vcpu->halted && !vcpu->wakeup_pending();
    if (all_halted) {
        for (auto& vcpu : vcpus_) next = std::min(next, vcpu->apic->next_deadline());
        if (next != kNever) {
            icount_time_ = std::max(icount_time_, std::min(next, round_end_));
            clock.begin(icount_time_, nullptr);
            for (auto& vcpu : vcpus_)
                if (icount_time_ >= vcpu->apic->next_deadline()) vcpu->apic->run_timer(icount_time_);
        }
        clock.end(icount_time_);
        return next != kNever;
    }
    GuestNs length = std::min(vcpus_.size() == 1 ? kSlice : kSliceSmp, round_end_ - icount_time_);
    if (next != kNever) length = std::min(length, std::max<GuestNs>(1, next - icount_time_));
    slice_.open = true;
    slice_.start = icount_time_;
    slice_.length = length;
    slice_.vcpu = 0;
    slice_.first_retired.clear();
    for (auto& vcpu : vcpus_) slice_.first_retired.push_back(vcpu->retired_now());
    return true;
}

/// True: it is through. False: the machine stands still in its middle.
bool VirtualMachine::run_slice() {
    GuestNs furthest = slice_.start;
    for (; slice_.vcpu < vcpus_.size(); ++slice_.vcpu)
        if (!run_vcpu(*vcpus_[slice_.vcpu], slice_.first_retired[slice_.vcpu])) return false;
    bool idle = true;
    for (auto& vcpu : vcpus_) {
        furthest = std::max(furthest, slice_.start + vcpu->retired_now() - slice_.first_retired[vcpu->index]);
        idle &= vcpu->halted;
    }
    // All halted early: time stands at the last one's halt, and the next slice skips ahead.
    if (idle || vcpus_.size() == 1)
        icount_time_ = furthest;
    else
        icount_time_ += slice_.length;
    GuestNs next = timers_->next_deadline();
    if (next != kNever && vcpus_.size() > 1) icount_time_ = std::min(icount_time_, std::max(next, furthest));
    static_cast<IcountVmClock&>(*clock_).end(icount_time_);
    slice_.open = false;
    return true;
}

/// Runs `vcpu` to the slice's end, to HLT, or until the machine stands still: false.
bool VirtualMachine::run_vcpu(Vcpu& vcpu, u64 first_retired) {
    auto& clock = static_cast<IcountVmClock&>(*clock_);
    clock.begin(slice_.start, &vcpu, first_retired);
    auto stands_still = [this] { return standing_ != VmState::kRunning; };
    bool through = true;
    GuestNs length = slice_.length;
    while (!ending_ && !reset_pending_) {
        u64 used = vcpu.retired_now() - first_retired;
        // A device armed a timer inside this slice: it ends there for this vCPU. (Looked at before each run,
        // so that a run which is broken off by a pause or a view gives the same as one that is not.)
        GuestNs next = timers_->next_deadline();
        if (next <= clock.now()) break;
        length = std::min(length, next - slice_.start);
        if (used >= length) break;
        if (waits_for_page_ || !settle_page_waits() || !gate_.enter_unless(vcpu, stands_still)) {
            through = ending_;
            break;
        }
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
        if (reason != ExitReason::kHalt && reason != ExitReason::kBudget) after_exit(vcpu, reason);
        if (exclusive_pending_) drain_exclusive();
    }
    clock.end(slice_.start);
    return through;
}

/// A page that is only to be copied (shared, zero) is there in microseconds. What comes from elsewhere may
/// take its time, which other VMs use: another thread waits.
void VirtualMachine::wait_for_page(Vcpu& vcpu) {
    PmapEntry entry = memory_->pmap().load_stable(vcpu.wait_ppn);
    if (!icount_ || vcpu.mmu.wants_device() || (entry.has_mpn() && !entry.moving())) {
        vcpu.mmu.wait_for_page();
        return;
    }
    page_wanted_by_ = &vcpu;
    waits_for_page_ = true;
    if (!page_waiter_.joinable()) page_waiter_ = std::thread([this] { page_waiter_main(); });
    page_waiter_wake_.signal();
}

void VirtualMachine::page_waiter_main() {
    name_thread(fmt::format("{}/page", config_.name.substr(0, 9)).c_str());
    while (!ending_) {
        page_waiter_wake_.wait_until(WakeEvent::kForever);
        if (!waits_for_page_) continue;
        page_wanted_by_->mmu.wait_for_page();
        waits_for_page_ = false;
        host_.wake_runner();
    }
}

}  // namespace shadowbox
