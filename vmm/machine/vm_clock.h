// SPDX-License-Identifier: MIT
// The two guest clocks (design section 5). Host: guest time follows the host's monotonic clock and stands
// still while the VM is paused. Icount: guest time is retired instructions, one nanosecond each; only the
// thread that runs the VM moves it.
#pragma once

#include <atomic>
#include <mutex>

#include "core/clock.h"

namespace shadowbox {

class Vcpu;

class VmClock : public GuestClock {
 public:
    /// Freezes and continues guest time (no-ops under icount, where nothing retires while paused).
    virtual void pause() {}
    virtual void resume() {}
    u64 wall_base_seconds() const override { return wall_base_; }
    /// -rtc base=. Before the guest starts.
    void set_wall_base(u64 seconds) { wall_base_ = seconds; }

 protected:
    explicit VmClock(u64 wall_base) : wall_base_(wall_base) {}

 private:
    u64 wall_base_;
};

class HostVmClock final : public VmClock {
 public:
    HostVmClock();
    GuestNs now() const override;
    void pause() override;
    void resume() override;

 private:
    static constexpr u64 kPaused = u64{1} << 63;
    /// One word, so that now() never mixes two states: host ns at guest time 0 while running, kPaused | guest
    /// time while paused.
    std::atomic<u64> word_;
};

class IcountVmClock final : public VmClock {
 public:
    explicit IcountVmClock(u64 seed) : VmClock(1'700'000'000 + seed % 1'000'000) {}
    /// On the running thread: exact. Elsewhere: as of the last slice.
    GuestNs now() const override;

    /// The runner's side: time at the start of a slice, the vCPU that runs in it (nullptr: none), and what
    /// that vCPU had retired then (if not given: what it has now).
    void begin(GuestNs slice_start, const Vcpu* vcpu);
    void begin(GuestNs slice_start, const Vcpu* vcpu, u64 first_retired);
    void end(GuestNs time);

 private:
    std::atomic<u64> published_{0};
    GuestNs start_ = 0;
    u64 start_retired_ = 0;
    const Vcpu* vcpu_ = nullptr;
};

}  // namespace shadowbox
