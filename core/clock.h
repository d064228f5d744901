// SPDX-License-Identifier: MIT
// Guest time and timers. Devices and policies know only this: whether guest time follows the host or
// counts retired instructions (design: two clocks) is decided in vmm/.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

/// Guest time in nanoseconds since the machine was powered on.
using GuestNs = u64;
constexpr GuestNs kNever = ~GuestNs{0};
/// Ticks of shorter periods are not made up for when the host was late: nobody keeps time by them.
constexpr GuestNs kShortestMadeUpPeriod = 500'000;

/// Where guest time comes from. Safe to call from any thread.
class GuestClock {
 public:
    virtual ~GuestClock() = default;
    virtual GuestNs now() const = 0;
    /// Seconds since 1970 UTC at guest time 0 (the RTC's base; fixed by the seed under icount).
    virtual u64 wall_base_seconds() const = 0;
};

class Timer;

/// The timers of one VM, ordered by deadline, then by arming order. Owner: the VM's device lock.
class TimerQueue {
 public:
    explicit TimerQueue(const GuestClock& clock) : clock_(clock) {}
    TimerQueue(const TimerQueue&) = delete;
    TimerQueue& operator=(const TimerQueue&) = delete;

    GuestNs now() const { return clock_.now(); }
    const GuestClock& clock() const { return clock_; }
    /// Deadline of the earliest armed timer, kNever when none.
    GuestNs next_deadline() const;
    /// Runs every timer whose deadline is <= now, in order. A callback may arm timers again.
    void run_due(GuestNs now);
    /// Called whenever the earliest deadline moved forward in time (to wake a sleeping thread).
    void on_earlier(std::function<void()> notify) { on_earlier_ = std::move(notify); }

 private:
    friend class Timer;
    void insert(Timer& timer);
    void erase(Timer& timer);

    const GuestClock& clock_;
    std::vector<Timer*> armed_;  // sorted by (deadline, sequence); a machine has some tens at most
    u64 next_sequence_ = 0;
    std::function<void()> on_earlier_;
};

/// One named timer of a device. Unarmed when created; cancels itself when destroyed.
class Timer {
 public:
    Timer(TimerQueue& queue, std::string name, std::function<void()> expired)
        : queue_(queue), name_(std::move(name)), expired_(std::move(expired)) {}
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

    /// Fires once when guest time reaches `deadline`; replaces an earlier arming.
    void arm(GuestNs deadline);
    void cancel();
    bool armed() const { return deadline_ != kNever; }
    GuestNs deadline() const { return deadline_; }
    const std::string& name() const { return name_; }

 private:
    friend class TimerQueue;
    TimerQueue& queue_;
    std::string name_;
    std::function<void()> expired_;
    GuestNs deadline_ = kNever;
    u64 sequence_ = 0;
};

}  // namespace shadowbox
