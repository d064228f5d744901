// SPDX-License-Identifier: MIT
// Guests come and go while others run; what is left of one that has gone.
#include <atomic>

#include "cpu/blocks/block.h"
#include "mmu/zero_fill_pager.h"
#include "tests/unit/vmm/firmware_host.h"

using namespace shadowbox;
using namespace shadowbox::test;

TEST_CASE("host: a hundred guests come and go while one runs, and every page is accounted for") {
    for (bool icount : {false, true}) {
        INFO("icount " << icount);
        FirmwareHost machines(icount);
        VmHandle stays = machines.run("stays", spinning());
        FirmwareHost::wait_for_progress(*stays);
        u64 before = machines.in_use();
        VmId last = stays->id();
        for (unsigned i = 0; i < 100; ++i) {
            VmHandle comes = machines.run("comes", touching(kFirstSegment, kEndSegment));
            CHECK(comes->id() > last);
            last = comes->id();
            if (i % 3 == 0) FirmwareHost::wait_for_progress(*comes);
            machines.host->remove(comes);
            CHECK(machines.host->find(last) == nullptr);
        }
        CHECK(machines.in_use() == before);
        PoolTotals totals = machines.host->pool().totals();
        u64 sum = 0;
        for (u64 pages : totals.by_state) sum += pages;
        CHECK(sum == totals.reserved);
        CHECK(machines.host->vms().size() == 1);
        FirmwareHost::wait_for_progress(*stays);
    }
}

TEST_CASE("host: guests come and go from several threads at once") {
    for (bool icount : {false, true}) {
        FirmwareHost machines(icount);
        VmHandle stays = machines.run("stays", spinning());
        u64 before = machines.in_use();
        std::vector<VmHandle> built;
        for (unsigned i = 0; i < 12; ++i) built.push_back(machines.add("comes", counting(1000 * i + 1)));
        std::vector<std::thread> threads;
        for (unsigned t = 0; t < 3; ++t)
            threads.emplace_back([&, t] {
                for (unsigned i = t; i < built.size(); i += 3) {
                    built[i]->start();
                    built[i]->resume();
                    if (i % 2) wait_until([&] { return built[i]->finished(); });
                    machines.host->remove(built[i]);
                }
            });
        for (std::thread& thread : threads) thread.join();
        built.clear();
        CHECK(machines.host->vms().size() == 1);
        FirmwareHost::wait_for_progress(*stays);
        CHECK(machines.in_use() >= before);
        CHECK(machines.in_use() <= before + 4);  // what `stays` has touched itself
    }
}

TEST_CASE("host: an ended guest's pages go back while others run; name, status and reason stay") {
    for (bool icount : {false, true}) {
        FirmwareHost machines(icount);
        VmHandle stays = machines.run("stays", spinning());
        FirmwareHost::wait_for_progress(*stays);
        u64 before = machines.in_use();
        VmHandle ends = machines.run("ends", touching(kFirstSegment, kEndSegment, 5));
        wait_until([&] { return ends->finished(); });
        CHECK(machines.in_use() == before);
        CHECK(ends->memory().pmap().count().total() == 0);
        CHECK(ends->vcpu(0).blocks->bytes_used() == 0);
        CHECK(machines.host->find(ends->id()) == ends);
        CHECK(ends->name() == "ends");
        CHECK(ends->state() == VmState::kPoweredOff);
        CHECK(ends->exit_status() == 11);
        CHECK(ends->stop_reason() == "the guest wrote to the debug-exit port");
        CHECK(ends->record().retired > 128 * 5);
        FirmwareHost::wait_for_progress(*stays);
        CHECK_FALSE(machines.host->all_ended());
    }
}

TEST_CASE("host: a handle keeps an ended guest, beyond remove() and the host, and nothing hurts it") {
    VmHandle kept, unstarted;
    for (bool icount : {false, true}) {
        {
            FirmwareHost machines(icount);
            kept = machines.run("kept", spinning());
            unstarted = machines.add("unstarted", spinning());
            FirmwareHost::wait_for_progress(*kept);
            machines.host->remove(kept);
            u8 byte = 0;
            CHECK_FALSE(kept->memory().read(Gpa(0x500), std::span(&byte, 1)));
            machines.host->remove(kept);  // once more does nothing
        }
        for (VmHandle vm : {kept, unstarted}) {
            CHECK(vm->state() == VmState::kPoweredOff);
            vm->pause(), vm->resume(), vm->reset(), vm->send_nmi(), vm->start(), vm->stop();
            vm->block(BlockReason::kPolicy), vm->unblock(BlockReason::kPolicy);
            vm->while_stopped([&] { CHECK(vm->vcpu_count() == 1); });
            vm->journal().post(vm->journal().add_source("late", [](std::span<const u8>) {}), {1});
            CHECK(vm->state() == VmState::kPoweredOff);
        }
        CHECK(kept->name() == "kept");
    }
}

TEST_CASE("vm: an end that comes with a pause is an end") {
    for (unsigned round = 0; round < 50; ++round) {
        FirmwareHost machines(round % 2);
        VmHandle vm = machines.run("ends", counting(round * 100 + 1));
        vm->pause();
        vm->resume();
        machines.host->wait_all();  // hung when the pause wrote over the end
        CHECK(vm->state() == VmState::kPoweredOff);
        CHECK(vm->exit_status() == 15);
    }
}

TEST_CASE("vm: cont before the start, and stop beside it, do no harm") {
    FirmwareHost machines(false);
    VmHandle vm = machines.add("early", spinning());
    vm->resume();
    CHECK(vm->state() == VmState::kPaused);
    std::thread stops([&] { vm->stop(); });
    vm->start();
    stops.join();
    vm->stop();
    CHECK(vm->state() == VmState::kPoweredOff);
    CHECK(vm->finished());
}

TEST_CASE("host: the pager is the one that was given") {
    struct Counting final : Pager {
        PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) override {
            ++asked;
            return fill.make_resident(memory, ppn, access);
        }
        bool wait_resident(GuestMemory& memory, Ppn ppn, PageAccess access, std::stop_token cancel) override {
            return fill.wait_resident(memory, ppn, access, cancel);
        }
        ZeroFillPager fill;
        std::atomic<u64> asked{0};
    };
    auto pager = std::make_shared<Counting>();
    FirmwareHost machines(false, true, pager);
    VmHandle vm = machines.run("touches", touching(kFirstSegment, kEndSegment, 1));
    machines.host->wait_all();
    CHECK(pager->asked >= 128);
}
