// SPDX-License-Identifier: MIT
#include "vmm/machine/vm_clock.h"

#include <catch2/catch.hpp>
#include <thread>

#include "core/host/host_time.h"
#include "tests/unit/vmm/bare_machine.h"

using namespace shadowbox;

namespace {
void wait_for_host(u64 ns) {
    for (u64 end = host_monotonic_ns() + ns; host_monotonic_ns() < end;) std::this_thread::yield();
}
}  // namespace

TEST_CASE(
    "host clock: stands at 0 until resumed, follows the host, stands still while paused, never runs "
    "backwards") {
    HostVmClock clock;
    CHECK(clock.now() == 0);
    wait_for_host(1'000'000);
    CHECK(clock.now() == 0);
    u64 host_start = host_monotonic_ns();
    clock.resume();
    GuestNs last = 0;
    while (clock.now() < 1'000'000) {
        GuestNs now = clock.now();
        CHECK(now >= last);
        last = now;
    }
    CHECK(host_monotonic_ns() - host_start >= 1'000'000);
    clock.pause();
    GuestNs stood = clock.now();
    CHECK(stood >= last);
    wait_for_host(1'000'000);
    CHECK(clock.now() == stood);
    clock.pause();  // twice is once
    clock.resume(), clock.resume();
    u64 resumed = host_monotonic_ns();
    GuestNs now = clock.now();
    CHECK(now >= stood);
    CHECK(now - stood <= host_monotonic_ns() - resumed + 1'000'000'000);
    CHECK(clock.wall_base_seconds() > 1'700'000'000);
}

TEST_CASE("icount clock: exact on the running thread, the last quantum's time elsewhere") {
    test::BareMachine m(1);
    Vcpu& cpu = m.cpu(0);
    IcountVmClock clock(42);
    CHECK(clock.now() == 0);
    cpu.retired = 500;
    clock.begin(1000, &cpu);
    CHECK(clock.now() == 1000);
    cpu.retired = 530;
    CHECK(clock.now() == 1030);
    GuestNs elsewhere = 1;
    std::thread([&] { elsewhere = clock.now(); }).join();
    CHECK(elsewhere == 0);
    clock.end(1030);
    std::thread([&] { elsewhere = clock.now(); }).join();
    CHECK(elsewhere == 1030);
    clock.begin(2000, nullptr);
    CHECK(clock.now() == 2000);
    clock.end(2000);
}

TEST_CASE("icount clock: the wall clock's base comes from the seed") {
    CHECK(IcountVmClock(7).wall_base_seconds() == IcountVmClock(7).wall_base_seconds());
    CHECK(IcountVmClock(7).wall_base_seconds() != IcountVmClock(8).wall_base_seconds());
}
