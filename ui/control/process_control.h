// SPDX-License-Identifier: MIT
// What monitors may ask of the process around them. Session implements it; tests bring their own.
#pragma once

#include "mmu/machine_pool.h"

namespace shadowbox {

class GuestInput;
class Host;
class MemoryPolicies;
class ScreenSource;

class ProcessControl {
 public:
    virtual ~ProcessControl() = default;
    virtual Host& host() = 0;
    virtual MemoryPolicies& policies() = 0;
    /// Of a guest in host().vms().
    virtual GuestInput& input(VmId guest) = 0;
    /// nullptr: the guest has no display adapter.
    virtual ScreenSource* screen(VmId guest) = 0;
    /// Ends all guests and the process, soon.
    virtual void quit() = 0;
};

}  // namespace shadowbox
