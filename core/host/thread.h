// SPDX-License-Identifier: MIT
// What threads of the project need from the host beyond <thread>: a name, a precise sleep, and WakeEvent,
// with which an idle vCPU or device thread sleeps until its next timer or until somebody signals it.
#pragma once

#include <condition_variable>
#include <mutex>

#include "core/integers.h"

namespace shadowbox {

/// Names the calling thread for debuggers and `top -H` (15 characters on Linux).
void name_thread(const char* name);
/// Sleeps until host_monotonic_ns() reaches `deadline`.
void sleep_until_ns(u64 deadline);
/// Lets other threads run.
void yield_thread();
/// Number of this process, as tools of the host name it.
unsigned process_id();

/// A binary event. signal() before the wait is not lost. Any number of signallers, one waiter.
class WakeEvent {
 public:
    static constexpr u64 kForever = ~u64{0};
    /// Returns true if signalled (and takes the signal), false when `deadline` (host_monotonic_ns) passed.
    bool wait_until(u64 deadline);
    void signal();

 private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool signalled_ = false;
};

}  // namespace shadowbox
