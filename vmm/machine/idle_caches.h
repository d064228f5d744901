// SPDX-License-Identifier: MIT
// Gives back the caches of a vCPU that idles: decoded blocks, host code, TLB tables. Its thread asks each
// time it is about to sleep in HLT. What the guest's timer ticks and daemons run then comes back, is little,
// and stays.
#pragma once

#include "core/integers.h"

namespace shadowbox {

class Vcpu;

class IdleCaches {
 public:
    explicit IdleCaches(Vcpu& vcpu) : vcpu_(vcpu) {}

    /// On the vCPU's thread, outside guest code, while nobody looks at the vCPU. Returns the host time at
    /// which it wants to be asked again though the guest sleeps on; WakeEvent::kForever: there is nothing to
    /// give back.
    u64 look();

 private:
    Vcpu& vcpu_;
    u64 since_ = 0;          ///< host time at which the window began that is judged at its end
    u64 cpu_at_since_ = 0;   ///< CPU time of the thread then
    u64 resting_ = 0;        ///< what the caches held a window after they had been given back
    bool released_ = false;  ///< at the end of the last window
};

}  // namespace shadowbox
