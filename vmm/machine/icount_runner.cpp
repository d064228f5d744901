// SPDX-License-Identifier: MIT
#include "vmm/machine/icount_runner.h"

#include <algorithm>

#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

void IcountRunner::start() {
    if (!thread_.joinable()) thread_ = std::thread([this] { main(); });
}

void IcountRunner::stop() {
    stopping_ = true;
    wake();
    if (thread_.joinable()) thread_.join();
}

void IcountRunner::main() {
    name_thread("icount");
    GuestNs now = 0;
    while (!stopping_) {
        std::vector<VmHandle> vms = host_.vms();
        std::vector<VirtualMachine*> went_on;
        u64 nothing_for = kNever;  // rounds in which no VM has anything to do
        for (VmHandle& vm : vms) {
            if (vm->run_round() != RoundResult::kDone) continue;
            went_on.push_back(vm.get());
            nothing_for = std::min(nothing_for, vm->idle_rounds());
        }
        if (went_on.empty()) {
            wake_.wait_until(WakeEvent::kForever);
            continue;
        }
        now += kRound;
        host_.services().run_due(now);
        // Idle guests with a timer far away: their rounds need not be gone through one by one.
        if (u64 due = host_.services().next_due(); due != kNever)
            nothing_for = std::min(nothing_for, due > now + kRound ? (due - now) / kRound - 1 : 0);
        if (nothing_for == 0 || nothing_for == kNever) continue;
        now += nothing_for * kRound;
        for (VirtualMachine* vm : went_on) vm->skip_rounds(nothing_for);
    }
}

}  // namespace shadowbox
