// SPDX-License-Identifier: MIT
// The remap operations that give pages up, freeze, sample and stage them: each alone.
#include <algorithm>
#include <cstring>
#include <string>
#include <thread>

#include "mmu/fill_page.h"
#include "mmu/remap.h"
#include "mmu_fixture.h"

using namespace shadowbox;

namespace {

/// Keeps what discard() was told.
class SlotPager : public ZeroFillPager {
 public:
    void discard(GuestMemory&, PmapEntry entry) override { discarded.push_back(entry.slot()); }
    std::vector<u64> discarded;
};

EvictPage::Evict to_slot(u64 slot, u8 generation = 0) {
    return [=](std::span<const u8, kPageSize>) {
        return std::optional(PmapEntry::elsewhere(PageState::kSwapped, slot, generation));
    };
}

}  // namespace

TEST_CASE("remap: a page in any state can be given up without being read; its slot is discarded") {
    auto pool = std::move(*MachinePool::create(64, 1024));
    SlotPager pager;
    Guest guest(*pool, pager, 1, 64);
    for (u64 page : {2, 3, 4, 5}) guest.store(page << 12, 7);
    CHECK(guest.load(1 << 12) == 0);
    u64 zero;
    REQUIRE(guest.memory.walk_load(Gpa(1 << 12), 8, zero) == PageOutcome::kReady);
    pager.make_resident(guest.memory, Ppn(1), PageAccess::kRead);
    {
        RemapBatch batch;
        batch.share(guest.memory, Ppn(3), guest.memory, Ppn(4));
        batch.evict(guest.memory, Ppn(5), to_slot(9));
        batch.run();
        REQUIRE(batch.done() == 2);
    }
    RemapBatch batch;
    for (u64 page = 0; page <= 5; ++page) batch.drop(guest.memory, Ppn(page));
    batch.drop(guest.memory, Ppn(1 << 20));
    batch.run();
    CHECK(batch.done() == 6);
    CHECK(batch.result(6) == RemapResult::kState);
    CHECK(guest.memory.pmap().pages_in(PageState::kBallooned) == 6);
    CHECK(pool->totals().in_use == 0);
    CHECK(pager.discarded == std::vector<u64>{9});
    CHECK(guest.load(4 << 12) == 0);  // pops: a fresh page
    guest.store(4 << 12, 8);
    CHECK(guest.load(4 << 12) == 8);
    CHECK(guest.memory.pmap().pages_in(PageState::kBallooned) == 5);
}

TEST_CASE("remap: memory of a guest that ends, and unmapped pages, discard their slots") {
    auto pool = std::move(*MachinePool::create(64, 1024));
    SlotPager pager;
    {
        Guest guest(*pool, pager, 1, 64);
        RemapBatch batch;
        for (u64 page : {5, 6, 7}) {
            guest.store(page << 12, page);
            batch.evict(guest.memory, Ppn(page), to_slot(page));
        }
        batch.run();
        guest.memory.unmap(Ppn(6), 1);
        CHECK(pager.discarded == std::vector<u64>{6});
    }
    CHECK(pager.discarded == std::vector<u64>{6, 5, 7});
}

TEST_CASE("remap: a shared page leaves all its owners at once; who holds it pinned keeps it") {
    Machine m;
    Guest second(*m.pool, m.pager, 2, 64);
    m.store(0x5000, 7);
    m.store(0x6000, 7);
    second.store(0x9000, 7);
    {
        RemapBatch batch;
        batch.share(m.guest.memory, Ppn(5), second.memory, Ppn(9));
        batch.share(m.guest.memory, Ppn(6), second.memory, Ppn(9));
        batch.run();
        REQUIRE(batch.done() == 2);
    }
    auto find = [&](VmId vm) {
        return vm.value == 1 ? &m.guest.memory : vm.value == 2 ? &second.memory : nullptr;
    };
    const Mpn mpn = second.entry(9).mpn();
    u64 told = 0;
    RemapBatch batch;
    EvictShared& evict =
        batch.evict_shared(*m.pool, mpn, find, [&](std::span<const u8, kPageSize> page, u64 owners) {
            told = owners;
            CHECK(page[0] == 7);
            return std::optional(PmapEntry::elsewhere(PageState::kSwapped, 4, 200));
        });
    batch.run();
    CHECK(evict.result() == RemapResult::kDone);
    CHECK(told == 3);
    CHECK(evict.evicted() == 3);
    CHECK(m.pool->totals().in_use == 0);
    for (PmapEntry entry : {m.guest.entry(5), m.guest.entry(6), second.entry(9)}) {
        CHECK(entry.state() == PageState::kSwapped);
        CHECK(entry.slot() == 4);
        CHECK(entry.generation() == 200);
        CHECK_FALSE(entry.moving());
    }
}

TEST_CASE("remap: a frozen page keeps its bytes when the guest writes, until the host lets go") {
    Machine m;
    m.store(0x5000, 7);
    RemapBatch batch;
    FreezePage& freeze = batch.freeze(m.guest.memory, Ppn(5));
    batch.run();
    REQUIRE(freeze.result() == RemapResult::kDone);
    const Mpn mpn = freeze.mpn();
    CHECK(m.guest.entry(5).state() == PageState::kShared);
    m.store(0x5000, 8);
    CHECK(guest_load<u64>(m.pool->host(mpn)) == 7);
    CHECK(m.load(0x5000) == 8);
    CHECK(m.pool->owners(mpn) == std::vector<PageOwner>{{VmId(0), Ppn(mpn.value)}});
    m.pool->release(mpn, VmId(0), Ppn(mpn.value));
    CHECK(m.pool->totals().in_use == 1);
}

TEST_CASE("remap: a staged page is evicted if nobody wrote to it, whoever wrote") {
    for (const char* writer : {"nobody", "cpu", "cpu with an entry", "device", "pin", "walk"}) {
        INFO(writer);
        const std::string who = writer;
        Machine m;
        m.store(0x5000, 7);
        RemapBatch first;
        StagePage& stage = first.stage(m.guest.memory, Ppn(5));
        first.run();
        REQUIRE(stage.result() == RemapResult::kDone);
        StagedPage staged = stage.take();
        CHECK(guest_load<u64>(staged.content()) == 7);
        CHECK(m.load(0x5000) == 7);  // reading does not call it off
        CHECK(m.mmu.context()->probe_write(0x5000, 8) == nullptr);
        if (who == "cpu") m.store(0x5000, 7);
        if (who == "cpu with an entry") {
            m.store(0x5000, 7);
            u8* host = m.mmu.context()->probe_write(0x5000, 8);
            REQUIRE(host);
            guest_store<u64>(host, 8);
        }
        if (who == "device") m.guest.store(0x5008, 1);
        if (who == "pin") (void)m.guest.memory.pin(Ppn(5), PageAccess::kWrite);
        bool swapped;
        if (who == "walk") m.guest.memory.walk_compare_exchange(Gpa(0x5000), 8, 7, 7 | 0x20, swapped);
        RemapBatch second;
        RemapOperation& evict =
            second.evict_staged(std::move(staged), PmapEntry::elsewhere(PageState::kSwapped, 1, 1));
        second.run();
        const bool unwritten = who == "nobody";
        CHECK(evict.result() == (unwritten ? RemapResult::kDone : RemapResult::kDiffers));
        CHECK((m.guest.entry(5).state() == PageState::kSwapped) == unwritten);
        CHECK(m.pool->totals().in_use == (unwritten ? 0 : 1));
        CHECK_FALSE(m.guest.entry(5).moving());
    }
}

TEST_CASE("remap: a staged page's content outlives a copy-on-write, a move and the guest's page") {
    Machine m;
    m.store(0x5000, 7);
    RemapBatch batch;
    StagePage& stage = batch.stage(m.guest.memory, Ppn(5));
    batch.run();
    StagedPage staged = stage.take();
    m.guest.memory.unmap(Ppn(5), 1);
    CHECK(guest_load<u64>(staged.content()) == 7);
    CHECK(m.pool->state(staged.mpn()) == MachineState::kDying);
    staged = StagedPage();
    CHECK(m.pool->totals().in_use == 0);
}

TEST_CASE("remap: a sampled page shows its next access, read from the TLB or not") {
    Machine m;
    m.store(0x5000, 7);
    auto accessed = [&] {
        RemapBatch batch;
        SamplePage& sample = batch.sample(m.guest.memory, Ppn(5));
        batch.run();
        return sample.accessed();
    };
    CHECK(accessed());
    CHECK_FALSE(accessed());
    CHECK(m.load(0x5000) == 7);
    CHECK(accessed());
    CHECK_FALSE(accessed());
    CHECK(m.guest.load(0x5000) == 7);  // a device
    CHECK(accessed());
}

TEST_CASE("remap: a page moves into the low zone and out of it") {
    auto pool = std::move(*MachinePool::create(4096, 8192));
    ZeroFillPager pager;
    pool->set_low_zone(1024);
    Guest guest(*pool, pager, 1, 64);
    guest.store(0x5000, 7);
    CHECK_FALSE(pool->in_zone(guest.entry(5).mpn(), PageZone::kLow));
    for (PageZone zone : {PageZone::kLow, PageZone::kAny}) {
        RemapBatch batch;
        batch.move(guest.memory, Ppn(5), zone);
        batch.run();
        REQUIRE(batch.result(0) == RemapResult::kDone);
        CHECK(pool->in_zone(guest.entry(5).mpn(), PageZone::kLow) == (zone == PageZone::kLow));
        CHECK(guest.load(0x5000) == 7);
    }
}

TEST_CASE("page fill: the second life of a slot is not taken for its first") {
    auto pool = std::move(*MachinePool::create(64, 1024));
    SlotPager pager;
    Guest guest(*pool, pager, 1, 64);
    auto evict = [&](u8 generation) {
        RemapBatch batch;
        batch.evict(guest.memory, Ppn(5), to_slot(7, generation));
        batch.run();
        return batch.result(0);
    };
    guest.store(0x5000, 1);
    CHECK(evict(1) == RemapResult::kDone);
    {
        // While A reads the slot nobody can bring the page in, store, and evict it again.
        PageFill a = PageFill::take(guest.memory, Ppn(5));
        REQUIRE(a);
        CHECK_FALSE(PageFill::take(guest.memory, Ppn(5)));
        CHECK(evict(2) != RemapResult::kDone);
        Mpn mpn = *pool->allocate(VmId(1), Ppn(5));
        guest_store<u64>(pool->host(mpn), 1);
        a.install(mpn);
    }
    guest.store(0x5000, 2);
    CHECK(evict(2) == RemapResult::kDone);
    CHECK(guest.entry(5).generation() == 2);
    CHECK(PageFill::take(guest.memory, Ppn(5)).entry().generation() == 2);
    CHECK(PageFill::take(guest.memory, Ppn(6)).entry() == PmapEntry());  // never was elsewhere
}

TEST_CASE("page fill: who waits for a page is woken by its installation, and by the end of the VM") {
    Machine m;
    m.store(0x5000, 7);
    RemapBatch batch;
    batch.evict(m.guest.memory, Ppn(5), to_slot(1));
    batch.run();
    for (bool cancelled : {false, true}) {
        INFO(cancelled);
        std::optional<PageFill> fill(PageFill::take(m.guest.memory, Ppn(5)));
        if (!cancelled) {
            std::thread waiter([&] { CHECK(m.guest.memory.wait_for(Ppn(5), PageAccess::kRead)); });
            fill.reset();  // given up
            waiter.join();
        } else {
            std::thread waiter([&] { CHECK_FALSE(m.guest.memory.wait_for(Ppn(5), PageAccess::kRead)); });
            m.guest.memory.cancel_waits();
            waiter.join();
        }
    }
}
