// SPDX-License-Identifier: MIT
// Exact conversion between guest nanoseconds and ticks of a crystal. Ticks are counted from guest time 0, so
// errors never add up: tick n of a clock of `hz` happens at ceil(n * 10^9 / hz) ns, for every device.
#pragma once

#include "core/clock.h"

namespace shadowbox {

constexpr u64 kNsPerSecond = 1'000'000'000;

/// Whole ticks that have passed at `now`.
constexpr u64 ticks_at(GuestNs now, u64 hz) { return static_cast<u64>(u128{now} * hz / kNsPerSecond); }

/// The first nanosecond at which ticks_at() reaches `tick`; kNever if beyond the end of time.
constexpr GuestNs tick_deadline(u64 tick, u64 hz) {
    u128 ns = (u128{tick} * kNsPerSecond + hz - 1) / hz;
    return ns >= kNever ? kNever - 1 : static_cast<GuestNs>(ns);
}

/// No periodic timer of a device runs its host callback more often; faster programmed rates lose ticks, as a
/// guest that never gets to its handler loses them on hardware.
constexpr GuestNs kShortestPeriodNs = 10'000;

}  // namespace shadowbox
