// SPDX-License-Identifier: MIT
// Who may be inside guest code. vCPU threads pass the gate around each run; a holder (pause, exclusive work,
// reset) closes it and waits until everyone is out.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

namespace shadowbox {

class Vcpu;

class VcpuGate {
 public:
    void add(Vcpu& vcpu) { vcpus_.push_back(&vcpu); }
    /// Waits while the gate is held; false once the VM ends.
    bool enter(Vcpu& vcpu);
    /// For a thread that has other VMs to run: false as well while the gate is held and `stands_still()`,
    /// that is, when it may be held for long. Called under the gate's mutex; hold() makes waiters ask again.
    bool enter_unless(Vcpu& vcpu, const std::function<bool()>& stands_still);
    void leave();
    /// Closes the gate and waits until no vCPU is inside. Nests; the caller is not inside.
    void hold();
    void release();
    /// Lets every waiter return false.
    void end();

 private:
    std::vector<Vcpu*> vcpus_;
    std::mutex mutex_;
    std::condition_variable changed_;
    unsigned holds_ = 0, inside_ = 0;
    bool ended_ = false;
};

}  // namespace shadowbox
