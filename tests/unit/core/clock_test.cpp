// SPDX-License-Identifier: MIT
// TimerQueue and Timer: order, re-arming, cancelling, destruction inside a callback.
#include "core/clock.h"

#include <catch2/catch.hpp>
#include <memory>

using namespace shadowbox;

namespace {
struct StoppedClock : GuestClock {
    GuestNs time = 0;
    GuestNs now() const override { return time; }
    u64 wall_base_seconds() const override { return 0; }
};
}  // namespace

TEST_CASE("timers: run in deadline order, equal deadlines in arming order") {
    StoppedClock clock;
    TimerQueue queue(clock);
    std::string ran;
    Timer a(queue, "a", [&] { ran += 'a'; }), b(queue, "b", [&] { ran += 'b'; }),
        c(queue, "c", [&] { ran += 'c'; });
    c.arm(10);
    b.arm(20);
    a.arm(10);
    CHECK(queue.next_deadline() == 10);
    queue.run_due(9);
    CHECK(ran.empty());
    queue.run_due(10);
    CHECK(ran == "ca");
    CHECK(queue.next_deadline() == 20);
    CHECK_FALSE(a.armed());
    queue.run_due(100);
    CHECK(ran == "cab");
    CHECK(queue.next_deadline() == kNever);
}

TEST_CASE("timers: arming again moves the deadline, cancel removes it, a destroyed timer never fires") {
    StoppedClock clock;
    TimerQueue queue(clock);
    int fired = 0;
    Timer timer(queue, "t", [&] { ++fired; });
    timer.arm(5);
    timer.arm(50);
    queue.run_due(10);
    CHECK(fired == 0);
    timer.cancel();
    queue.run_due(100);
    CHECK(fired == 0);
    {
        Timer gone(queue, "gone", [&] { ++fired; });
        gone.arm(1);
    }
    queue.run_due(100);
    CHECK(fired == 0);
}

TEST_CASE("timers: a callback may arm itself, catch up on missed periods, and destroy itself") {
    StoppedClock clock;
    TimerQueue queue(clock);
    int ticks = 0;
    std::unique_ptr<Timer> periodic;
    GuestNs next = 10;
    periodic = std::make_unique<Timer>(queue, "p", [&] {
        ++ticks;
        if (ticks == 5) {
            periodic.reset();
        } else {
            periodic->arm(next += 10);
        }
    });
    periodic->arm(10);
    queue.run_due(35);
    CHECK(ticks == 3);
    queue.run_due(1000);
    CHECK(ticks == 5);
    CHECK(queue.next_deadline() == kNever);
}

TEST_CASE("timers: one that is due again at once does not hang the queue") {
    StoppedClock clock;
    TimerQueue queue(clock);
    u64 runs = 0;
    Timer timer(queue, "mad", [&] {
        ++runs;
        timer.arm(0);
    });
    timer.arm(0);
    queue.run_due(1);
    CHECK(runs > 0);
    CHECK(queue.next_deadline() == 0);
}

TEST_CASE("timers: the notification comes when and only when the earliest deadline became earlier") {
    StoppedClock clock;
    TimerQueue queue(clock);
    int notified = 0;
    queue.on_earlier([&] { ++notified; });
    Timer a(queue, "a", [] {}), b(queue, "b", [] {});
    a.arm(100);
    CHECK(notified == 1);
    b.arm(200);
    CHECK(notified == 1);
    b.arm(50);
    CHECK(notified == 2);
}
