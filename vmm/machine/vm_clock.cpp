// SPDX-License-Identifier: MIT
#include "vmm/machine/vm_clock.h"

#include "core/host/host_time.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {
/// The icount clock whose slice runs on this thread.
thread_local const IcountVmClock* running_here = nullptr;
}  // namespace

HostVmClock::HostVmClock() : VmClock(host_wall_seconds()), word_(kPaused) {}

GuestNs HostVmClock::now() const {
    u64 word = word_.load(std::memory_order_acquire);
    return word & kPaused ? word & ~kPaused : host_monotonic_ns() - word;
}
void HostVmClock::pause() {
    if (!(word_.load() & kPaused)) word_ = kPaused | now();
}
void HostVmClock::resume() {
    if (word_.load() & kPaused) word_ = host_monotonic_ns() - now();
}

GuestNs IcountVmClock::now() const {
    if (running_here != this) return published_.load(std::memory_order_acquire);
    return vcpu_ ? start_ + (vcpu_->retired_now() - start_retired_) : start_;
}
void IcountVmClock::begin(GuestNs slice_start, const Vcpu* vcpu) {
    begin(slice_start, vcpu, vcpu ? vcpu->retired_now() : 0);
}
void IcountVmClock::begin(GuestNs slice_start, const Vcpu* vcpu, u64 first_retired) {
    running_here = this;
    start_ = slice_start;
    vcpu_ = vcpu;
    start_retired_ = first_retired;
}
void IcountVmClock::end(GuestNs time) {
    start_ = time;
    vcpu_ = nullptr;
    published_.store(time, std::memory_order_release);
}

}  // namespace shadowbox
