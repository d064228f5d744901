// SPDX-License-Identifier: MIT
// Remapping: each operation alone, then all of them at random under vCPUs and devices that check every byte.
// The random part means most under the thread sanitizer (-DSHADOWBOX_TSAN=ON).
#include "mmu/remap.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <thread>

#include "core/seeded_random.h"
#include "mmu/fill_page.h"
#include "mmu_fixture.h"

using namespace shadowbox;

namespace {

/// Runs a batch of one operation.
template <class Add>
RemapResult run_one(Add add) {
    RemapBatch batch;
    add(batch);
    batch.run();
    return batch.result(0);
}

}  // namespace

TEST_CASE("remap: a moved page keeps its bytes, its old machine page is freed, writes go to the new one") {
    Machine m;
    m.store(0x5000, 7);
    Mpn before = m.guest.entry(5).mpn();
    CHECK(run_one([&](RemapBatch& batch) { batch.move(m.guest.memory, Ppn(5)); }) == RemapResult::kDone);
    CHECK(m.guest.entry(5).mpn() != before);
    CHECK(m.mmu.context()->probe_read(0x5000, 8) == nullptr);
    CHECK(m.load(0x5000) == 7);
    m.store(0x5000, 8);
    CHECK(m.guest.load(0x5000) == 8);
    CHECK(m.pool->totals().in_use == 1);
    CHECK(m.guest.entry(5).reasons() == 0);
}

TEST_CASE("remap: equal pages of two guests share, a write separates them, the other keeps the page") {
    Machine m;
    Guest second(*m.pool, m.pager, 2, 64);
    m.store(0x5000, 7);
    second.store(0x9000, 7);
    CHECK(run_one([&](RemapBatch& batch) { batch.share(m.guest.memory, Ppn(5), second.memory, Ppn(9)); }) ==
          RemapResult::kDone);
    CHECK(m.pool->totals().in_use == 1);
    CHECK(m.pool->owners(m.guest.entry(5).mpn()).size() == 2);
    CHECK(m.load(0x5000) == 7);
    m.store(0x5000, 8);
    CHECK(second.load(0x9000) == 7);
    CHECK(m.load(0x5000) == 8);
    CHECK(m.pool->totals().in_use == 2);
    Mpn kept = second.entry(9).mpn();
    second.store(0x9000, 9);
    CHECK(second.entry(9).mpn() == kept);
    CHECK(second.entry(9).state() == PageState::kResident);
}

TEST_CASE("remap: many pages share one in one batch") {
    Machine m;
    for (u64 i = 0; i < 20; ++i) m.store(i << 12, 5);
    m.store(7 << 12, 6);
    RemapBatch batch;
    for (u64 i = 1; i < 20; ++i) batch.share(m.guest.memory, Ppn(i), m.guest.memory, Ppn(0));
    batch.run();
    CHECK(batch.done() == 18);
    CHECK(batch.result(6) == RemapResult::kDiffers);
    CHECK(m.pool->totals().in_use == 2);
    CHECK(m.pool->references(m.guest.entry(0).mpn()) == 19);
    m.store(0, 1);
    CHECK(m.load(3 << 12) == 5);
    m.store(7 << 12, 7);
    CHECK(m.load(7 << 12) == 7);
}

TEST_CASE("remap: a page of zeros merges with the zero page, another does not") {
    Machine m;
    m.store(0x5000, 0);
    m.store(0x6FF8, 1);
    CHECK(run_one([&](RemapBatch& batch) { batch.merge_zero(m.guest.memory, Ppn(5)); }) ==
          RemapResult::kDone);
    CHECK(run_one([&](RemapBatch& batch) { batch.merge_zero(m.guest.memory, Ppn(6)); }) ==
          RemapResult::kDiffers);
    CHECK(m.guest.entry(5).state() == PageState::kZero);
    CHECK(m.pool->totals().in_use == 1);
    CHECK(m.load(0x5000) == 0);
    m.store(0x5000, 3);
    CHECK(m.load(0x5000) == 3);
    m.store(0x6FF8, 2);
    CHECK(m.load(0x6FF8) == 2);
}

TEST_CASE("remap: duplicate makes a zero or shared page private without a write") {
    Machine m;
    CHECK(m.load(0x5000) == 0);
    CHECK(run_one([&](RemapBatch& batch) { batch.duplicate(m.guest.memory, Ppn(5)); }) == RemapResult::kDone);
    CHECK(m.guest.entry(5).state() == PageState::kResident);
    CHECK(run_one([&](RemapBatch& batch) { batch.duplicate(m.guest.memory, Ppn(5)); }) ==
          RemapResult::kState);
    CHECK(m.resolve(0x5000, MemoryAccess::kWrite).kind == Resolved::Kind::kHost);
}

TEST_CASE("remap: an evicted page is gone until it is installed again") {
    Machine m;
    m.store(0x5000, 77);
    std::vector<u8> store(kPageSize);
    auto evict = [&](std::span<const u8, kPageSize> content) -> std::optional<PmapEntry> {
        std::memcpy(store.data(), content.data(), kPageSize);
        return PmapEntry::of(PageState::kSwapped, 123);
    };
    CHECK(run_one([&](RemapBatch& batch) { batch.evict(m.guest.memory, Ppn(5), evict); }) ==
          RemapResult::kDone);
    CHECK(m.pool->totals().in_use == 0);
    PmapEntry entry = m.guest.entry(5);
    CHECK(entry.state() == PageState::kSwapped);
    CHECK(entry.slot() == 123);
    CHECK(m.resolve(0x5000, MemoryAccess::kRead).kind == Resolved::Kind::kRefused);
    {
        PageFill fill = PageFill::take(m.guest.memory, Ppn(5));
        REQUIRE(fill);
        CHECK(fill.entry().slot() == 123);
        CHECK_FALSE(PageFill::take(m.guest.memory, Ppn(5)));  // one filler reads and allocates
        CHECK(m.resolve(0x5000, MemoryAccess::kRead).kind == Resolved::Kind::kWait);
    }
    CHECK(m.guest.entry(5) == entry);  // abandoned: as it was
    PageFill fill = PageFill::take(m.guest.memory, Ppn(5));
    Mpn mpn = *m.pool->allocate(VmId(1), Ppn(5));
    std::memcpy(m.pool->host(mpn), store.data(), kPageSize);
    fill.install(mpn);
    CHECK(m.load(0x5000) == 77);
    auto decline = [](std::span<const u8, kPageSize>) { return std::optional<PmapEntry>(); };
    CHECK(run_one([&](RemapBatch& batch) { batch.evict(m.guest.memory, Ppn(5), decline); }) ==
          RemapResult::kDeclined);
    m.store(0x5000, 78);
    CHECK(m.guest.load(0x5000) == 78);
}

TEST_CASE("remap: protect stops stores that hit the TLB, and hazard pages are left alone") {
    Machine m;
    SafepointParticipant participant;
    m.guest.memory.safepoints().add(participant, m.mmu);
    m.store(0x5000, 1);
    CHECK(run_one([&](RemapBatch& batch) { batch.protect(m.guest.memory, Ppn(5), kProtectTrace); }) ==
          RemapResult::kDone);
    participant.enter();
    CHECK(m.mmu.context()->probe_write(0x5000, 8) == nullptr);
    participant.leave();
    participant.add_hazard(Ppn(5));
    CHECK(run_one([&](RemapBatch& batch) { batch.move(m.guest.memory, Ppn(5)); }) == RemapResult::kHazard);
    participant.clear_hazards();
    CHECK(run_one([&](RemapBatch& batch) { batch.move(m.guest.memory, Ppn(5)); }) == RemapResult::kDone);
    CHECK(run_one([&](RemapBatch& batch) { batch.move(m.guest.memory, Ppn(1 << 20)); }) ==
          RemapResult::kState);
    m.guest.memory.safepoints().remove(participant);
}

TEST_CASE("safepoint: a drop waits for a vCPU inside guest code, not for one outside") {
    Machine m;
    SafepointParticipant participant;
    m.guest.memory.safepoints().add(participant, m.mmu);
    std::atomic<int> stage{0};
    std::thread vcpu([&] {
        participant.enter();
        m.store(0x5000, 7);
        stage = 1;
        while (!(participant.attention.load() & SafepointParticipant::kAttentionSafepoint))
            std::this_thread::yield();
        // The remapper waits for us: the right must still work now, and be gone after the poll.
        u8* host = m.mmu.context()->probe_write(0x5000, 8);
        if (host) {
            guest_store<u64>(host, 8);
            stage = 2;
        }
        participant.poll();
        if (!m.mmu.context()->probe_read(0x5000, 8)) ++stage;
        participant.leave();
    });
    while (stage == 0) std::this_thread::yield();
    m.guest.memory.safepoints().drop_and_wait(DropRequest{{Ppn(5)}});
    CHECK(stage >= 2);
    vcpu.join();
    CHECK(stage == 3);
    m.guest.memory.safepoints().drop_and_wait(DropRequest{{}, true});  // outside: returns at once
    CHECK(m.guest.load(0x5000) == 8);
    m.guest.memory.safepoints().remove(participant);
}

TEST_CASE("safepoint: a vCPU that could store into freshly marked code reports the page") {
    struct Listener : CodeWriteListener {
        std::atomic<int> whole_pages{0};
        void code_written(Ppn, u32, u32 size) override { whole_pages += size == kPageSize; }
    } listener;
    Machine m;
    VcpuMmu other(m.guest.memory);
    SafepointParticipant mine, others;
    SafepointDomain& domain = m.guest.memory.safepoints();
    m.guest.memory.set_code_listener(&listener);
    domain.add(mine, m.mmu);
    domain.add(others, other);
    std::atomic<int> stage{0};
    std::thread writer([&] {
        others.enter();
        Resolved result = other.resolve(Gva(0x5000), 8, MemoryAccess::kWrite);
        stage = 1;
        while (stage != 2) std::this_thread::yield();
        guest_store<u64>(result.host, 99);  // after the bytes were read for translation
        others.poll();
        others.leave();
    });
    while (stage != 1) std::this_thread::yield();
    mine.enter();
    m.guest.memory.mark_code(Ppn(5), 0, 64);
    mine.leave();
    CHECK(listener.whole_pages == 0);
    stage = 2;
    writer.join();
    CHECK(listener.whole_pages == 1);
    CHECK_FALSE(m.guest.entry(5).written());
    domain.remove(mine);
    domain.remove(others);
}

TEST_CASE("safepoint: code marks stay while any vCPU that marked the page has blocks on it") {
    Machine m;
    VcpuMmu other(m.guest.memory);
    SafepointParticipant a, b;
    SafepointDomain& domain = m.guest.memory.safepoints();
    domain.add(a, m.mmu);
    domain.add(b, other);
    auto as = [&](SafepointParticipant& vcpu, auto action) {
        vcpu.enter();
        action();
        vcpu.leave();
    };
    as(a, [&] { m.guest.memory.mark_code(Ppn(5), 0, 64); });
    as(b, [&] { m.guest.memory.mark_code(Ppn(5), 64, 64); });
    as(a, [&] { m.guest.memory.unmark_code(Ppn(5)); });
    CHECK(m.guest.memory.overlaps_code(Ppn(5), 64, 1));
    CHECK(m.guest.entry(5).protects(kProtectCode));
    as(b, [&] { m.guest.memory.unmark_code(Ppn(5)); });
    CHECK_FALSE(m.guest.memory.overlaps_code(Ppn(5), 0, 4096));
    CHECK_FALSE(m.guest.entry(5).protects(kProtectCode));
    domain.remove(a);
    domain.remove(b);
}

namespace {

/// The random test: guests whose vCPUs own disjoint words of all pages and know what each must hold.
constexpr u64 kStressPages = 48;
constexpr unsigned kVcpus = 2;
#ifdef SHADOWBOX_SANITIZED
constexpr int kBatches = 1000;
#else
constexpr int kBatches = 10'000;
#endif

struct StressGuest {
    StressGuest(MachinePool& pool, Pager& pager, u64 vm) : guest(pool, pager, vm, kStressPages) {}
    Guest guest;
    std::atomic<u64> failures{0};
};

void run_vcpu(StressGuest& stress, unsigned number, std::atomic<bool>& stop) {
    VcpuMmu mmu(stress.guest.memory);
    SafepointParticipant participant;
    SafepointDomain& domain = stress.guest.memory.safepoints();
    domain.add(participant, mmu);
    SeededRandom random(number + 1);
    std::vector<u64> expected(kStressPages);
    participant.enter();
    while (!stop.load(std::memory_order_relaxed)) {
        if (participant.attention.load(std::memory_order_relaxed)) participant.poll();
        u64 page = random.below(kStressPages), gva = page * kPageSize + number * 64;
        if (random.one_in(8)) {
            // As a page walk reads, without an entry in the TLB: never bytes of another life of the frame.
            u64 walked;
            if (stress.guest.memory.walk_load(Gpa(gva), 8, walked) == PageOutcome::kReady &&
                walked != expected[page])
                ++stress.failures;
            continue;
        }
        bool write = random.one_in(3);
        const u8* host = write ? mmu.context()->probe_write(gva, 8) : mmu.context()->probe_read(gva, 8);
        while (!host) {
            Resolved result = mmu.resolve(Gva(gva), 8, write ? MemoryAccess::kWrite : MemoryAccess::kRead);
            if (result.kind == Resolved::Kind::kHost) {
                host = result.host;
            } else if (result.kind == Resolved::Kind::kWait) {
                mmu.wait_for_page();
            } else {
                ++stress.failures;
                break;
            }
        }
        if (!host) break;
        if (guest_load<u64>(host) != expected[page]) ++stress.failures;
        if (write) {
            // Few values, so that pages become equal, and often zero.
            expected[page] = random.one_in(8);
            guest_store<u64>(const_cast<u8*>(host), expected[page]);
        }
        if (random.one_in(64)) {
            // More threads than processors: without this a batch would wait for time slices.
            std::this_thread::yield();
            if (random.one_in(4)) {
                participant.leave();
                participant.enter();
            }
        }
    }
    participant.leave();
    for (u64 page = 0; page < kStressPages; ++page) {
        if (stress.guest.load(page * kPageSize + number * 64) != expected[page]) ++stress.failures;
    }
    domain.remove(participant);
}

void run_device(StressGuest& stress, std::atomic<bool>& stop) {
    SeededRandom random(77);
    std::vector<u64> expected(kStressPages);
    while (!stop) {
        u64 page = random.below(kStressPages), gpa = page * kPageSize + 2048;
        if (stress.guest.load(gpa) != expected[page]) ++stress.failures;
        expected[page] = random.one_in(8);
        if (random.one_in(2)) {
            stress.guest.store(gpa, expected[page]);
        } else {
            PinnedPage pin = stress.guest.memory.pin(Ppn(page), PageAccess::kWrite);
            guest_store<u64>(pin.host() + 2048, expected[page]);
        }
        std::this_thread::yield();
    }
}

/// A pager that keeps evicted pages in a map.
class ShelfPager : public ZeroFillPager {
 public:
    PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) override {
        PmapEntry entry = memory.pmap().load_stable(ppn);
        if (entry.state() != PageState::kSwapped) return ZeroFillPager::make_resident(memory, ppn, access);
        return PageOutcome::kWait;
    }
    bool wait_resident(GuestMemory& memory, Ppn ppn, PageAccess access, std::stop_token cancel) override {
        PageFill fill = PageFill::take(memory, ppn);
        if (!fill) return ZeroFillPager::wait_resident(memory, ppn, access, cancel);
        Mpn mpn = *memory.pool().allocate(memory.vm(), ppn);
        {
            std::lock_guard lock(mutex);
            guest_copy_in(memory.pool().host(mpn), shelf.at(fill.entry().slot()).content.data(), kPageSize);
        }
        const PmapEntry entry = fill.entry();
        fill.install(mpn);
        discard(memory, entry);
        return true;
    }
    void discard(GuestMemory&, PmapEntry entry) override {
        std::lock_guard lock(mutex);
        auto found = shelf.find(entry.slot());
        if (--found->second.references == 0) shelf.erase(found);
    }
    PmapEntry put(const u8* content, u64 references = 1) {
        Slot slot{std::vector<u8>(kPageSize), references};
        guest_copy_out(slot.content.data(), content, kPageSize);
        std::lock_guard lock(mutex);
        shelf[++next] = std::move(slot);
        return PmapEntry::elsewhere(PageState::kSwapped, next, 0);
    }
    struct Slot {
        std::vector<u8> content;
        u64 references;
    };
    std::mutex mutex;
    std::map<u64, Slot> shelf;
    u64 next = 0;
};

enum Kind : unsigned {
    kMove,
    kShare,
    kMergeZero,
    kDuplicate,
    kEvict,
    kFreeze,
    kSample,
    kStage,
    kEvictStaged,
    kEvictShared
};
constexpr unsigned kKinds = 10;

void run_remapper(std::vector<std::unique_ptr<StressGuest>>& guests, ShelfPager& pager, u64 (&done)[kKinds]) {
    SeededRandom random(4242);
    MachinePool& pool = guests[0]->guest.memory.pool();
    std::vector<Mpn> frozen;
    std::vector<StagedPage> staged;
    auto find = [&](VmId vm) -> GuestMemory* {
        return vm.value >= 1 && vm.value <= guests.size() ? &guests[vm.value - 1]->guest.memory : nullptr;
    };
    for (int count = 0; count < kBatches; ++count) {
        RemapBatch batch;
        std::vector<unsigned> kinds;
        std::vector<FreezePage*> freezes;
        std::vector<StagePage*> stages;
        for (StagedPage& page : staged) {
            const PmapEntry entry = pager.put(page.content());
            batch.evict_staged(std::move(page), entry);
            kinds.push_back(kEvictStaged);
        }
        staged.clear();
        for (u64 i = random.below(30) + 1; i > 0; --i) {
            GuestMemory& memory = guests[random.below(guests.size())]->guest.memory;
            GuestMemory& other = guests[random.below(guests.size())]->guest.memory;
            Ppn ppn(random.below(kStressPages));
            unsigned kind = static_cast<unsigned>(random.below(kKinds));
            if (kind == kEvictStaged) continue;
            kinds.push_back(kind);
            switch (kind) {
                case kMove:
                    batch.move(memory, ppn, random.one_in(2) ? PageZone::kLow : PageZone::kAny);
                    break;
                case kShare: batch.share(memory, ppn, other, Ppn(random.below(kStressPages))); break;
                case kMergeZero: batch.merge_zero(memory, ppn); break;
                case kDuplicate: batch.duplicate(memory, ppn); break;
                case kFreeze: freezes.push_back(&batch.freeze(memory, ppn)); break;
                case kSample: batch.sample(memory, ppn); break;
                case kStage: stages.push_back(&batch.stage(memory, ppn)); break;
                case kEvictShared:
                    batch.evict_shared(pool, memory.pmap().load_stable(ppn).mpn(), find,
                                       [&](std::span<const u8, kPageSize> page, u64 owners) {
                                           return pager.put(page.data(), owners);
                                       });
                    break;
                default:
                    batch.evict(memory, ppn,
                                [&](std::span<const u8, kPageSize> page) { return pager.put(page.data()); });
            }
        }
        batch.run();
        for (std::size_t i = 0; i < kinds.size(); ++i)
            done[kinds[i]] += batch.result(i) == RemapResult::kDone;
        for (FreezePage* freeze : freezes) {
            if (freeze->result() == RemapResult::kDone) frozen.push_back(freeze->mpn());
        }
        for (StagePage* stage : stages) {
            if (stage->result() == RemapResult::kDone) staged.push_back(stage->take());
        }
        while (frozen.size() > 8 || (count + 1 == kBatches && !frozen.empty())) {
            pool.release(frozen.back(), VmId(0), Ppn(frozen.back().value));
            frozen.pop_back();
        }
        std::this_thread::yield();
    }
}

}  // namespace

TEST_CASE("remap: under random remaps of two guests no vCPU and no device ever sees a wrong byte") {
    auto pool = std::move(*MachinePool::create(kStressPages * 8, 4096));
    pool->set_low_zone(512);
    ShelfPager pager;
    {
        std::vector<std::unique_ptr<StressGuest>> guests;
        for (u64 vm = 1; vm <= 2; ++vm) guests.push_back(std::make_unique<StressGuest>(*pool, pager, vm));
        std::atomic<bool> stop{false};
        u64 done[kKinds] = {};
        std::vector<std::thread> users;
        for (auto& guest : guests) {
            users.emplace_back([&] { run_device(*guest, stop); });
            for (unsigned i = 0; i < kVcpus; ++i) users.emplace_back([&, i] { run_vcpu(*guest, i, stop); });
        }
        run_remapper(guests, pager, done);
        stop = true;
        for (std::thread& thread : users) thread.join();
        for (auto& guest : guests) CHECK(guest->failures == 0);
        for (unsigned kind = 0; kind < kKinds; ++kind) {
            INFO("kind " << kind);
            CHECK(done[kind] > 20);
        }
        PoolTotals totals = pool->totals();
        u64 owners = 0, with_pages = 0;
        for (auto& guest : guests) {
            guest->guest.memory.pmap().for_each([&](Ppn ppn, PmapEntry entry) {
                CHECK_FALSE(entry.moving());
                CHECK_FALSE(entry.protects(kProtectMove));
                if (entry.state() != PageState::kResident && entry.state() != PageState::kShared) return;
                ++with_pages;
                std::vector<PageOwner> all = pool->owners(entry.mpn());
                owners += static_cast<u64>(
                    std::count(all.begin(), all.end(), PageOwner{guest->guest.memory.vm(), ppn}));
            });
        }
        CHECK(owners == with_pages);
        for (auto& guest : guests) {
            const Pmap::Counts counted = guest->guest.memory.pmap().count();
            for (unsigned state = 1; state < kPageStates; ++state)
                CHECK(guest->guest.memory.pmap().pages_in(static_cast<PageState>(state)) ==
                      counted.by_state[state]);
        }
        CHECK(totals.by_state[static_cast<unsigned>(MachineState::kPrivate)] + totals.references ==
              with_pages);
    }
    CHECK(pool->totals().in_use == 0);
}
