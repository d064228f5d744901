// SPDX-License-Identifier: MIT
// The host's clocks. Guest time is derived from these in vmm/ only (core/clock.h); mmu/, cpu/ and devices/
// never look at them.
#pragma once

#include "core/integers.h"

namespace shadowbox {

/// Nanoseconds of the host's monotonic clock, from an arbitrary start.
u64 host_monotonic_ns();
/// Seconds since 1970 UTC.
u64 host_wall_seconds();
/// What the host's time zone adds to UTC now.
i64 host_seconds_east_of_utc();
/// CPU time of the calling thread in nanoseconds (budgets of background threads).
u64 host_thread_cpu_ns();

}  // namespace shadowbox
