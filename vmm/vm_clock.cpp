// SPDX-License-Identifier: MIT
#include "vmm/vm_clock.h"

#include "core/host/host_time.h"
#include "cpu/vcpu.h"

namespace shadowbox {

namespace {
/// The icount clock whose quantum runs on this thread.
thread_local const IcountVmClock* running_here = nullptr;
}  // namespace

HostVmClock::HostVmClock() : offset_(host_monotonic_ns()), paused_at_(host_monotonic_ns()), wall_base_(host_wall_seconds()) {}

GuestNs HostVmClock::now() const {
    u64 paused = paused_at_.load(std::memory_order_acquire);
    return (paused ? paused : host_monotonic_ns()) - offset_.load(std::memory_order_acquire);
}
void HostVmClock::pause() {
    if (!paused_at_.load()) paused_at_ = host_monotonic_ns();
}
void HostVmClock::resume() {
    u64 paused = paused_at_.load();
    if (!paused) return;
    offset_ += host_monotonic_ns() - paused;
    paused_at_ = 0;
}

GuestNs IcountVmClock::now() const {
    if (running_here != this) return published_.load(std::memory_order_acquire);
    return vcpu_ ? start_ + (vcpu_->retired_now() - start_retired_) : start_;
}
void IcountVmClock::begin(GuestNs quantum_start, const Vcpu* vcpu) {
    running_here = this;
    start_ = quantum_start;
    vcpu_ = vcpu;
    start_retired_ = vcpu ? vcpu->retired_now() : 0;
}
void IcountVmClock::end(GuestNs time) {
    start_ = time;
    vcpu_ = nullptr;
    published_.store(time, std::memory_order_release);
}

}  // namespace shadowbox
