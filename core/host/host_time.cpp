// SPDX-License-Identifier: MIT
// Host clocks: POSIX.
#include "core/host/host_time.h"

#include <ctime>

namespace shadowbox {

namespace {
u64 read_clock(clockid_t id) {
    timespec now{};
    clock_gettime(id, &now);
    return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}
}  // namespace

u64 host_monotonic_ns() { return read_clock(CLOCK_MONOTONIC); }
u64 host_wall_seconds() { return static_cast<u64>(std::time(nullptr)); }
i64 host_seconds_east_of_utc() {
    std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    return local.tm_gmtoff;
}
u64 host_thread_cpu_ns() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace shadowbox
