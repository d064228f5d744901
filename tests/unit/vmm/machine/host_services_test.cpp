// SPDX-License-Identifier: MIT
// Services of the Host: periods in guest and host time, stopping, and guests that come, go and stand still
// under them.
#include "vmm/machine/host_services.h"

#include <atomic>

#include "core/host/host_time.h"
#include "tests/unit/vmm/firmware_host.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {
constexpr u64 kMs = 1'000'000;
}

TEST_CASE("services: under icount they run at exact guest times, the same in every run") {
    auto run = [] {
        FirmwareHost machines(true);
        VmHandle one = machines.add("one", counting(5'000'000)), two = machines.add("two", spinning());
        std::vector<u64> seen;
        auto look = [&](u64 now) {
            seen.push_back(now);
            for (VmHandle& vm : {std::ref(one), std::ref(two)}) seen.push_back(vm->vm_clock().now());
        };
        machines.host->services().add("two-ms", 2 * kMs, ServiceClock::kGuest, look);
        machines.host->services().add("three", 3 * kMs - 1, ServiceClock::kGuest,
                                      look);  // 3 ms: whole rounds
        two->start(), one->start();
        one->resume();
        wait_until([&] { return one->finished(); });
        machines.host->services().stop_all();
        return seen;
    };
    std::vector<u64> first = run(), second = run();
    REQUIRE(first.size() >= 3 * 5);
    CHECK(first == second);
    const u64 due[] = {2, 3, 4, 6, 6};
    for (unsigned i = 0; i < 5; ++i) {
        CHECK(first[3 * i] == due[i] * kMs);
        CHECK(first[3 * i + 1] == due[i] * kMs);  // the guest stands at that very time
        CHECK(first[3 * i + 2] == 0);
    }
}

TEST_CASE("services: guest time passes only while a guest runs, host time always") {
    for (bool icount : {false, true}) {
        INFO("icount " << icount);
        FirmwareHost machines(icount);
        HostServices& services = machines.host->services();
        std::atomic<unsigned> guest{0}, host{0};
        services.add("guest", kMs, ServiceClock::kGuest, [&](u64) { ++guest; });
        services.add("host", kMs, ServiceClock::kHost, [&](u64) { ++host; });
        VmHandle one = machines.run("one", spinning()), two = machines.run("two", spinning());
        wait_until([&] { return guest >= 3 && host >= 3; });
        one->pause();
        unsigned before = guest;
        wait_until([&] { return guest >= before + 3; });
        two->block(BlockReason::kPolicy);
        // A run that had begun may still end; then none begins.
        before = host;
        wait_until([&] { return host >= before + 2; });
        unsigned stood = guest;
        before = host;
        wait_until([&] { return host >= before + 20; });
        CHECK(guest == stood);
        two->unblock(BlockReason::kPolicy);
        wait_until([&] { return guest >= stood + 3; });
        machines.host->remove(two);
        machines.host->remove(one);
    }
}

TEST_CASE("services: a slow one delays neither vCPUs nor other services, and skips what it missed") {
    FirmwareHost machines(false);
    HostServices& services = machines.host->services();
    VmHandle vm = machines.run("runs", spinning());
    std::atomic<bool> inside{false}, go_on{false};
    std::atomic<unsigned> quick{0};
    ServiceId slow = services.add("slow", kMs, ServiceClock::kGuest, [&](u64) {
        inside = true;
        wait_until([&] { return go_on.load(); });
    });
    services.add("quick", kMs, ServiceClock::kGuest, [&](u64) { ++quick; });
    wait_until([&] { return inside.load(); });
    unsigned before = quick;
    for (unsigned i = 0; i < 5; ++i) FirmwareHost::wait_for_progress(*vm);
    wait_until([&] { return quick >= before + 5; });
    // Pause, and the end of a guest, with a service in the middle of a run.
    vm->pause();
    vm->resume();
    go_on = true;
    wait_until([&] { return services.list()[0].runs > 0; });
    wait_until([&] { return services.list()[0].skipped > 0; });
    CHECK(services.list()[0].id == slow);
}

TEST_CASE("services: stop waits for a run under way and none comes after it; one may stop itself") {
    for (bool icount : {false, true}) {
        for (ServiceClock clock : {ServiceClock::kGuest, ServiceClock::kHost}) {
            FirmwareHost machines(icount);
            HostServices& services = machines.host->services();
            VmHandle vm = machines.run("runs", spinning());
            std::atomic<bool> inside{false}, go_on{false}, done{false}, stopped{false}, after{false};
            ServiceId waits = services.add("waits", kMs, clock, [&](u64) {
                if (stopped) after = true;
                inside = true;
                wait_until([&] { return go_on.load(); });
                done = true;
            });
            wait_until([&] { return inside.load(); });
            std::thread stops([&] {
                services.stop(waits);
                stopped = true;
            });
            go_on = true;
            stops.join();
            CHECK(done);
            CHECK(services.list().empty());
            std::atomic<unsigned> runs{0};
            ServiceId itself{};
            std::atomic<bool> known{false};
            itself = services.add("itself", kMs, clock, [&](u64) {
                wait_until([&] { return known.load(); });
                ++runs;
                services.stop(itself);
            });
            known = true;
            wait_until([&] { return runs == 1 && services.list().empty(); });
            FirmwareHost::wait_for_progress(*vm);
            services.stop(itself);
            CHECK(runs == 1);
            CHECK_FALSE(after);
        }
    }
}

TEST_CASE("services: one may pause, block, look at, add and remove guests") {
    for (bool icount : {false, true}) {
        INFO("icount " << icount);
        FirmwareHost machines(icount);
        VmHandle stays = machines.run("stays", spinning());
        std::atomic<unsigned> runs{0};
        machines.host->services().add("policy", kMs, ServiceClock::kGuest, [&](u64) {
            if (++runs > 20) return;
            for (VmHandle& vm : machines.host->vms()) {
                vm->block(BlockReason::kPolicy);
                vm->while_stopped([&] { (void)vm->memory().pmap().count(); });
                vm->unblock(BlockReason::kPolicy);
            }
            VmHandle comes = machines.run("comes", spinning());
            machines.host->remove(comes);
        });
        for (unsigned i = 0; i < 10; ++i) {
            stays->pause();
            stays->resume();
            FirmwareHost::wait_for_progress(*stays);
        }
        wait_until([&] { return runs > 20; });
        machines.host->services().stop_all();
        CHECK(machines.host->vms().size() == 1);
        CHECK(stays->state() == VmState::kRunning);
    }
}

TEST_CASE("services: an idle guest's rounds are not gone through one by one, yet no service is passed over") {
    FirmwareHost machines(true);
    VmHandle vm = machines.add("idle", {0xF4});  // cli is how it starts; hlt
    std::vector<u64> seen;
    std::atomic<bool> expired{false};
    machines.host->services().add("tick", 10 * kMs, ServiceClock::kGuest, [&](u64 now) {
        if (!expired) seen.push_back(now);
    });
    Timer timer(vm->timers(), "far away", [&] { expired = true; });
    vm->start();
    {
        std::lock_guard lock(vm->device_lock());
        timer.arm(1000 * kMs + 1);
    }
    vm->resume();
    wait_until([&] { return expired.load(); });
    vm->stop();
    machines.host->services().stop_all();
    REQUIRE(seen.size() >= 99);
    for (unsigned i = 0; i < 99; ++i) CHECK(seen[i] == (i + 1) * 10 * kMs);
}
