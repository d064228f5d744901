// SPDX-License-Identifier: MIT
// Ticks that a guest did not get because the host kept its vCPU off the CPU, or waiting for a page: what came
// meanwhile merged into one pending interrupt. They are given again, each as soon as the guest has taken the
// one before, so that a guest which counts ticks keeps its time, and one which checks its timer against the
// TSC does not give up ("8254 timer not connected"). Ticks that a guest lost by itself, with interrupts off,
// stay lost as on a real machine.
#pragma once

#include <mutex>

#include "core/clock.h"
#include "devices/timers/tick_source.h"

namespace shadowbox {

class Board;
class Vcpu;

/// How many ticks of one timer are owed. Bounded in number and in time.
class TickDebt {
 public:
    static constexpr u64 kMost = 1000;                     ///< a second's, at the usual rates
    static constexpr GuestNs kForgotten = 10'000'000'000;  ///< from when the last was owed

    void owe(u64 ticks, GuestNs now);
    bool any(GuestNs now);
    void paid() { --owed_; }
    void forget() { owed_ = 0; }
    u64 owed() const { return owed_; }

 private:
    u64 owed_ = 0;
    GuestNs last_ = 0;
};

/// On the thread of one vCPU, under the host clock: that vCPU's local timer and, on the bootstrap processor,
/// the board's PIT and HPET.
class LateTicks {
 public:
    LateTicks(Vcpu& vcpu, Board& board, std::mutex& device_lock);
    /// Between two slices: gives what is owed and can be given. How many instructions the next slice may
    /// have: `usual`, or few while ticks are owed.
    i64 look(GuestNs now, i64 usual);

 private:
    struct Source {
        TickSource* timer;
        u64 seen;  ///< ticks_due() at the last look
        TickDebt debt;
    };
    void give(Source& source);
    bool tick_waits() const;

    Vcpu& vcpu_;
    Board& board_;
    std::mutex& device_lock_;
    TickDebt local_;
    Source sources_[2];
    const unsigned source_count_;  ///< none but on the bootstrap processor, where ISA interrupt 0 goes
};

}  // namespace shadowbox
