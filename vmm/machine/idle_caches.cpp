// SPDX-License-Identifier: MIT
#include "vmm/machine/idle_caches.h"

#include <algorithm>

#include "core/host/host_memory.h"
#include "core/host/host_time.h"
#include "core/host/thread.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {
constexpr u64 kWindowNs = 4'000'000'000;
/// A thread that used less of a window than one part in so many was idle.
constexpr u64 kIdleShare = 25;
/// Not worth decoding again for.
constexpr u64 kLittle = 3u << 20;
/// What a guest's ticks and daemons need, at most; twice as much goes whatever it is.
constexpr u64 kMostResting = 3u << 20;
}  // namespace

u64 IdleCaches::look() {
    const u64 now = host_monotonic_ns();
    if (!since_) since_ = now, cpu_at_since_ = host_thread_cpu_ns();
    const u64 most = std::max(kLittle, 2 * resting_);
    if (now - since_ >= kWindowNs) {
        const u64 cpu = host_thread_cpu_ns();
        const bool idle = (cpu - cpu_at_since_) * kIdleShare < now - since_;
        const u64 held = vcpu_.cache_bytes();
        if (released_ && idle) resting_ = std::min(held, kMostResting);
        released_ = idle && held > most;
        if (released_) {
            vcpu_.release_caches();
            return_free_heap();
            vcpu_.mmu.memory().pool().trim();
        }
        since_ = now;
        cpu_at_since_ = host_thread_cpu_ns();
    }
    return released_ || vcpu_.cache_bytes() > most ? since_ + kWindowNs : WakeEvent::kForever;
}

}  // namespace shadowbox
