// SPDX-License-Identifier: MIT
// A machine that is paused, blocked or waits for a page gives the others the host, and goes on as if nothing
// had been.
#include <atomic>
#include <condition_variable>

#include "mmu/zero_fill_pager.h"
#include "tests/unit/vmm/firmware_host.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

struct Outcome {
    int status;
    u64 retired, hash;
    GuestNs time;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};
Outcome outcome_of(VirtualMachine& vm) {
    return {vm.exit_status(), vm.record().retired, vm.record().memory_hash, vm.record().time};
}

/// One page of one guest is on its way until it arrives.
struct SlowPager final : Pager {
    PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) override {
        return held(memory, ppn) ? PageOutcome::kWait : fill.make_resident(memory, ppn, access);
    }
    bool wait_resident(GuestMemory& memory, Ppn ppn, PageAccess access, std::stop_token cancel) override {
        if (!held(memory, ppn)) return fill.wait_resident(memory, ppn, access, cancel);
        std::unique_lock lock(mutex);
        ++waits;
        return changed.wait(lock, cancel, [this] { return arrived.load(); });
    }
    bool held(GuestMemory& memory, Ppn ppn) { return memory.vm() == VmId(1) && ppn == Ppn(0x30) && !arrived; }
    void arrive() {
        std::lock_guard lock(mutex);
        arrived = true;
        changed.notify_all();
    }
    ZeroFillPager fill;
    std::mutex mutex;
    std::condition_variable_any changed;
    std::atomic<bool> arrived{false};
    std::atomic<unsigned> waits{0};
};

}  // namespace

TEST_CASE("vm: a paused or blocked guest stops no other, at whatever moment it comes") {
    for (bool icount : {false, true}) {
        INFO("icount " << icount);
        FirmwareHost machines(icount);
        VmHandle one = machines.run("one", spinning()), two = machines.run("two", spinning());
        for (unsigned round = 0; round < 30; ++round) {
            if (round % 2)
                one->pause();
            else
                one->block(BlockReason::kPolicy);
            CHECK(one->state() == (round % 2 ? VmState::kPaused : VmState::kBlocked));
            u64 stood = FirmwareHost::retired(*one);
            FirmwareHost::wait_for_progress(*two);  // the runner stood at the paused guest's gate
            CHECK(FirmwareHost::retired(*one) == stood);
            one->resume();
            one->unblock(BlockReason::kPolicy);
            CHECK(one->state() == VmState::kRunning);
            if (round % 5 == 0) FirmwareHost::wait_for_progress(*one);
        }
    }
}

TEST_CASE("vm: pause and block nest, and each is told when it changes something") {
    FirmwareHost machines(true);
    VmHandle vm = machines.add("nests", spinning());
    std::atomic<int> standing{0}, told{0};
    vm->set_observer([&](VmEvent event) {
        ++told;
        standing += event == VmEvent::kPaused ? 1 : event == VmEvent::kResumed ? -1 : 0;
    });
    vm->start();
    vm->resume();
    CHECK(standing == -1);
    vm->block(BlockReason::kPolicy);
    CHECK(standing == 0);
    vm->pause();
    vm->block(BlockReason::kPolicy);
    CHECK(vm->state() == VmState::kPaused);
    vm->resume();
    CHECK(vm->state() == VmState::kBlocked);  // cont does not overrule a policy
    vm->pause();
    vm->unblock(BlockReason::kPolicy);
    CHECK(vm->state() == VmState::kPaused);
    CHECK(told == 2);
    vm->resume();
    CHECK(vm->state() == VmState::kRunning);
    CHECK(told == 3);
    FirmwareHost::wait_for_progress(*vm);
}

TEST_CASE("vm: a pause of a guest with two vCPUs stops no other guest under icount") {
    FirmwareHost machines(true);
    VmHandle vm = machines.add("frozen", spinning(), spinning());
    VmHandle other = machines.run("other", spinning());
    vm->start();
    FirmwareHost::start_second(*vm);
    vm->resume();
    FirmwareHost::wait_for_progress(*vm);
    vm->pause();
    FirmwareHost::wait_for_progress(*other);
    CHECK(other->state() == VmState::kRunning);
}

TEST_CASE("icount: pauses and views at any moment change nothing in a run") {
    auto run = [](bool smp, bool disturbed) {
        FirmwareHost machines(true);
        VmHandle vm = machines.add("runs", counting(300'000), smp ? spinning() : std::vector<u8>());
        vm->start();
        if (smp) FirmwareHost::start_second(*vm);
        vm->resume();
        while (disturbed && !vm->finished()) {
            vm->pause();
            vm->while_stopped([] {});
            vm->resume();
            vm->while_stopped([] {});
        }
        machines.host->wait_all();
        return outcome_of(*vm);
    };
    for (bool smp : {false, true}) {
        Outcome alone = run(smp, false), disturbed = run(smp, true);
        CHECK(alone.status == 15);
        CHECK(alone.retired == disturbed.retired);
        CHECK(alone.time == disturbed.time);
        CHECK(alone.hash == disturbed.hash);
    }
}

TEST_CASE("icount: a guest whose page is on its way stops no other, and the wait costs no guest time") {
    auto run = [](bool slow) {
        auto pager = std::make_shared<SlowPager>();
        pager->arrived = !slow;
        FirmwareHost machines(true, true, pager);
        VmHandle vm = machines.run("waits", touching(kFirstSegment, kEndSegment, 5));
        VmHandle other = machines.run("other", spinning());
        if (slow) {
            wait_until([&] { return pager->waits > 0; });
            CHECK(vm->state() == VmState::kBlocked);
            u64 stood = FirmwareHost::retired(*vm);
            FirmwareHost::wait_for_progress(*other);
            FirmwareHost::wait_for_progress(*other);
            CHECK(FirmwareHost::retired(*vm) == stood);
            vm->pause();  // and views and pauses come through
            CHECK(vm->state() == VmState::kPaused);
            vm->resume();
            pager->arrive();
        }
        wait_until([&] { return vm->finished(); });
        return outcome_of(*vm);
    };
    Outcome at_once = run(false), late = run(true);
    CHECK(at_once.status == 11);
    CHECK(at_once.retired == late.retired);
    CHECK(at_once.time == late.time);
    CHECK(at_once.hash == late.hash);
}

TEST_CASE("vm: a guest that waits for a page which never comes can be stopped") {
    for (bool icount : {false, true}) {
        auto pager = std::make_shared<SlowPager>();
        FirmwareHost machines(icount, true, pager);
        VmHandle vm = machines.run("waits", touching(kFirstSegment, kEndSegment, 5));
        wait_until([&] { return pager->waits > 0; });
        vm->pause();
        vm->reset();
        vm->while_stopped([] {});
        vm->resume();
        machines.host->remove(vm);
        CHECK(vm->finished());
    }
}

TEST_CASE("icount: other guests change nothing in a run, paused or not") {
    auto run = [](unsigned others) {
        FirmwareHost machines(true);
        VmHandle vm = machines.add("runs", counting(700'000));
        std::vector<VmHandle> beside;
        for (unsigned i = 0; i < others; ++i) beside.push_back(machines.run("beside", spinning()));
        vm->start();
        vm->resume();
        for (VmHandle& other : beside) other->pause();
        wait_until([&] { return vm->finished(); });
        return outcome_of(*vm);
    };
    // The number of the guest is its share of the seed, and nothing else of the others shows.
    Outcome alone = run(0), three = run(3);
    CHECK(alone.retired == three.retired);
    CHECK(alone.time == three.time);
    CHECK(alone.hash == three.hash);
}
