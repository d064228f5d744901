// SPDX-License-Identifier: MIT
// Threads: POSIX names and sleeps. std::chrono::steady_clock is CLOCK_MONOTONIC in libstdc++ and libc++ on
// Linux, the clock of host_monotonic_ns().
#include "core/host/thread.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace shadowbox {

void name_thread(const char* name) {
    char shortened[16] = {};
    std::strncpy(shortened, name, sizeof shortened - 1);
#ifdef __APPLE__
    pthread_setname_np(shortened);
#else
    pthread_setname_np(pthread_self(), shortened);
#endif
}

void sleep_until_ns(u64 deadline) {
    timespec until{static_cast<time_t>(deadline / 1'000'000'000),
                   static_cast<long>(deadline % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {}
}

void yield_thread() { sched_yield(); }
unsigned process_id() { return static_cast<unsigned>(getpid()); }

bool WakeEvent::wait_until(u64 deadline) {
    std::unique_lock lock(mutex_);
    auto ready = [this] { return signalled_; };
    if (deadline > static_cast<u64>(INT64_MAX)) {
        changed_.wait(lock, ready);
    } else {
        std::chrono::steady_clock::time_point until{std::chrono::nanoseconds(deadline)};
        changed_.wait_until(lock, until, ready);
    }
    bool was_signalled = signalled_;
    signalled_ = false;
    return was_signalled;
}

void WakeEvent::signal() {
    {
        std::lock_guard lock(mutex_);
        signalled_ = true;
    }
    changed_.notify_one();
}

}  // namespace shadowbox
