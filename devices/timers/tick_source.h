// SPDX-License-Identifier: MIT
// A periodic timer that says how many of its ticks were due, so that those which a host that was late let
// merge into one interrupt can be given again (vmm/machine/late_ticks.h).
#pragma once

#include <atomic>

#include "core/clock.h"

namespace shadowbox {

class TickSource {
 public:
    /// Ticks that were due since the VM was built, of periods of kShortestMadeUpPeriod and more. Any thread.
    u64 ticks_due() const { return due_.load(std::memory_order_relaxed); }
    /// One more edge, now, if the timer still ticks. Under the device lock.
    virtual void tick_again() = 0;

 protected:
    ~TickSource() = default;
    void count_due(u64 ticks) { due_.fetch_add(ticks, std::memory_order_relaxed); }

 private:
    std::atomic<u64> due_{0};
};

}  // namespace shadowbox
