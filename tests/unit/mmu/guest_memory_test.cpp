// SPDX-License-Identifier: MIT
// GuestMemory: copies, the physical map, pins, code marks, dirty log and traces.
#include "mmu/guest_memory.h"

#include "mmu/remap.h"
#include "mmu_fixture.h"

using namespace shadowbox;

namespace {
struct CodeWrites : CodeWriteListener {
    struct Write {
        Ppn ppn;
        u32 offset, size;
    };
    std::vector<Write> writes;
    void code_written(Ppn ppn, u32 offset, u32 size) override { writes.push_back({ppn, offset, size}); }
};
struct TracedWrites : WriteTraceListener {
    int count = 0;
    void traced_write(Ppn) override { ++count; }
};
std::vector<u8> pattern(std::size_t size) {
    std::vector<u8> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<u8>(i * 7 + i / 251);
    return bytes;
}
}  // namespace

TEST_CASE("guest memory: a copy across pages comes back, at any alignment and size") {
    Machine m;
    for (u64 start : {0x1000ull, 0x1FFFull, 0x1FF9ull, 0x2003ull}) {
        for (std::size_t size : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 4096u, 10000u}) {
            std::vector<u8> out = pattern(size), in(size);
            REQUIRE(m.guest.memory.write(Gpa(start), out));
            REQUIRE(m.guest.memory.read(Gpa(start), in));
            CHECK(in == out);
        }
    }
}

TEST_CASE("guest memory: what is not RAM reads as ones, swallows writes and says so") {
    Machine m(16);
    std::vector<u8> bytes(8192, 1);
    CHECK_FALSE(m.guest.memory.read(Gpa(15 * 0x1000), bytes));
    CHECK(bytes[0] == 0);
    CHECK(bytes[8191] == 0xFF);
    CHECK_FALSE(m.guest.memory.write(Gpa(0xFF'FFFF'F000), bytes));
    CHECK_FALSE(m.guest.memory.read(Gpa(~u64{0} - 100), std::span(bytes).first(50)));
}

TEST_CASE("guest memory: peek changes no state and reading makes nothing resident") {
    Machine m;
    std::vector<u8> bytes(100, 1);
    CHECK(m.guest.memory.peek(Gpa(0x5000), bytes));
    CHECK(bytes[50] == 0);
    CHECK(m.guest.memory.read(Gpa(0x5000), bytes));
    CHECK(m.guest.entry(5).state() == PageState::kUntouched);
    CHECK(m.pool->totals().in_use == 0);
}

TEST_CASE("guest memory: equal contents hash equally however the pages are backed") {
    Machine a(64), b(64);
    a.guest.store(0x5000, 7);
    CHECK(a.guest.memory.content_hash() != b.guest.memory.content_hash());
    b.guest.store(0x9000, 1);
    b.guest.store(0x9000, 0);
    b.guest.store(0x5000, 7);
    b.load(0x8000);
    CHECK(a.guest.memory.content_hash() == b.guest.memory.content_hash());
}

TEST_CASE("guest memory: unmapped pages are freed and become MMIO, moved ones keep their bytes") {
    Machine m;
    m.store(0x5000, 7);
    m.store(0x6000, 8);
    m.guest.memory.relocate(Ppn(5), Ppn(6), 2);  // overlapping
    CHECK(m.resolve(0x5000, MemoryAccess::kRead).kind == Resolved::Kind::kMmio);
    CHECK(m.load(0x6000) == 7);
    CHECK(m.load(0x7000) == 8);
    CHECK(m.pool->owners(m.guest.entry(6).mpn()) == std::vector<PageOwner>{{VmId(1), Ppn(6)}});
    m.guest.memory.unmap(Ppn(6), 2);
    CHECK(m.pool->totals().in_use == 0);
    CHECK(m.resolve(0x6000, MemoryAccess::kRead).kind == Resolved::Kind::kMmio);
    m.guest.memory.map_ram(Ppn(6), 1);
    CHECK(m.load(0x6000) == 0);
}

TEST_CASE("guest memory: the end of a guest returns every page") {
    auto pool = std::move(*MachinePool::create(512, 1024));
    ZeroFillPager pager;
    {
        Guest guest(*pool, pager, 3, 64);
        std::vector<u8> rom(20000, 1);
        REQUIRE(guest.memory.map_rom(Ppn(100), rom));
        for (u64 i = 0; i < 64; i += 3) guest.store(i << 12, i);
        CHECK(pool->totals().in_use == 22 + 5);
    }
    CHECK(pool->totals().in_use == 0);
}

TEST_CASE("guest memory: ROM that does not fit the pool is an error and takes nothing") {
    auto pool = std::move(*MachinePool::create(3, 1024));
    ZeroFillPager pager;
    GuestMemory memory(*pool, pager, VmId(1));
    std::vector<u8> rom(4 * 4096, 1);
    Expected<void> refused = memory.map_rom(Ppn(0), rom);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kOutOfMemory);
    CHECK(pool->totals().in_use == 0);
}

TEST_CASE("guest memory: a pin gives the guest's own page, and no remap moves it") {
    Machine m;
    m.store(0x5000, 7);
    m.store(0x6000, 0);  // a page of its own, though all zeros
    {
        PinnedPage pin = m.guest.memory.pin(Ppn(5), PageAccess::kWrite);
        PinnedPage zeros_pin = m.guest.memory.pin(Ppn(6), PageAccess::kRead);
        REQUIRE(pin);
        REQUIRE(zeros_pin);
        guest_store<u64>(pin.host(), 8);
        CHECK(m.load(0x5000) == 8);
        CHECK(m.guest.entry(6).state() == PageState::kResident);
        RemapBatch batch;
        batch.move(m.guest.memory, Ppn(5));
        batch.merge_zero(m.guest.memory, Ppn(6));
        batch.run();
        CHECK(batch.result(0) == RemapResult::kPinned);
        CHECK(batch.result(1) == RemapResult::kPinned);
    }
    RemapBatch batch;
    batch.move(m.guest.memory, Ppn(5));
    batch.run();
    CHECK(batch.result(0) == RemapResult::kDone);
    CHECK(m.load(0x5000) == 8);
    CHECK_FALSE(m.guest.memory.pin(Ppn(1 << 20), PageAccess::kRead));
}

TEST_CASE("guest memory: stores to a page with cached code are told by line, from CPU and device") {
    Machine m;
    CodeWrites writes;
    m.guest.memory.set_code_listener(&writes);
    m.store(0x5000, 1);
    REQUIRE(m.mmu.context()->probe_write(0x5000, 8));
    m.guest.memory.mark_code(Ppn(5), 128, 10);
    CHECK(m.mmu.context()->probe_write(0x5000, 8) == nullptr);
    CHECK(m.guest.memory.overlaps_code(Ppn(5), 191, 1));
    CHECK_FALSE(m.guest.memory.overlaps_code(Ppn(5), 192, 4000));
    CHECK_FALSE(m.guest.memory.overlaps_code(Ppn(5), 0, 128));
    Resolved write = m.resolve(0x5000, MemoryAccess::kWrite);
    CHECK(write.code_page);
    CHECK(m.mmu.context()->probe_write(0x5000, 8) == nullptr);
    m.guest.memory.notify_code_write(Ppn(5), 0, 8);
    CHECK(writes.writes.empty());
    m.guest.store(0x5000 + 124, 0);
    REQUIRE(writes.writes.size() == 1);
    CHECK(writes.writes[0].offset == 124);
    { PinnedPage pin = m.guest.memory.pin(Ppn(5), PageAccess::kWrite); }
    CHECK(writes.writes.size() == 2);
    m.guest.memory.unmark_code(Ppn(5));
    m.store(0x5000, 1);
    CHECK(m.mmu.context()->probe_write(0x5000, 8) != nullptr);
    m.guest.store(0x5000 + 128, 0);
    CHECK(writes.writes.size() == 2);
}

TEST_CASE("guest memory: A and D updates by the page walk count as writes to code") {
    Machine m;
    CodeWrites writes;
    m.guest.memory.set_code_listener(&writes);
    m.long_mode();
    m.map(0x400000, 0x10000, Machine::kP | Machine::kW);
    u64 place = m.entry_place(0x400000, 12);
    m.guest.memory.mark_code(Gpa(place).ppn(), static_cast<u32>(place & 4095), 1);
    m.load(0x400000);
    REQUIRE(writes.writes.size() == 1);
    CHECK(writes.writes[0].offset == (place & 4095));
    m.store(0x400000, 1);
    CHECK(writes.writes.size() == 2);
}

TEST_CASE("guest memory: a page that is unmapped takes its code with it") {
    Machine m;
    CodeWrites writes;
    m.guest.memory.set_code_listener(&writes);
    m.guest.memory.mark_code(Ppn(5), 0, 64);
    m.guest.memory.unmap(Ppn(5), 1);
    REQUIRE(writes.writes.size() == 1);
    CHECK(writes.writes[0].size == 4096);
    CHECK_FALSE(m.guest.memory.overlaps_code(Ppn(5), 0, 4096));
}

TEST_CASE("guest memory: the dirty log names exactly the pages written since it was read") {
    Machine m(64);
    m.store(0x5000, 1);
    m.store(0x6000, 1);
    m.load(0x7000);
    m.guest.memory.start_dirty_log();
    CHECK(m.guest.memory.take_dirty_log().empty());
    m.store(0x5000, 2);
    m.store(0x5000, 3);
    m.guest.store(0x8000, 1);
    m.store(0x7000, 1);
    m.load(0x6000);
    m.load(0x9000);
    CHECK(m.guest.memory.take_dirty_log() == std::vector<Ppn>{Ppn(5), Ppn(7), Ppn(8)});
    CHECK(m.guest.memory.take_dirty_log().empty());
    m.store(0x5000, 4);
    CHECK(m.guest.memory.take_dirty_log() == std::vector<Ppn>{Ppn(5)});
    m.guest.memory.stop_dirty_log();
    m.store(0x5000, 5);
    CHECK(m.mmu.context()->probe_write(0x5000, 8) != nullptr);
}

TEST_CASE("guest memory: every store into a traced page is seen") {
    Machine m;
    TracedWrites traced;
    m.guest.memory.set_trace_listener(&traced);
    m.store(0x5000, 1);
    m.guest.memory.set_trace(Ppn(5), true);
    for (int i = 0; i < 3; ++i) m.store(0x5000, 2);
    m.guest.store(0x5008, 1);
    CHECK(traced.count == 4);
    m.guest.memory.set_trace(Ppn(5), false);
    m.store(0x5000, 2);
    m.store(0x5000, 2);
    CHECK(traced.count == 4);
}

TEST_CASE("pmap: one protect reason never clears another") {
    PmapEntry entry = PmapEntry::of(PageState::kResident, 0x1234, kProtectCode);
    entry = entry.protect(kProtectCow).unprotect(kProtectCode);
    CHECK(entry.reasons() == kProtectCow);
    CHECK(entry.mpn() == Mpn(0x1234));
    CHECK(entry.state() == PageState::kResident);
    CHECK(describe(entry) == "resident mpn 0x1234 cow");
    CHECK(entry.with_mpn(Mpn(0xFF'FFFF'FFFF)).without(PmapEntry::kMoving).mpn() == Mpn(0xFF'FFFF'FFFF));
}

TEST_CASE("pmap: the counts by state cover every page") {
    Machine m(100);
    m.store(0x5000, 1);
    m.load(0x6000);
    m.guest.memory.unmap(Ppn(50), 10);
    Pmap::Counts counts = m.guest.memory.pmap().count();
    CHECK(counts.total() == 90);
    CHECK(counts.by_state[static_cast<unsigned>(PageState::kUntouched)] == 88);
    CHECK(counts.by_state[static_cast<unsigned>(PageState::kResident)] == 1);
    CHECK(counts.by_state[static_cast<unsigned>(PageState::kZero)] == 1);
}
