// SPDX-License-Identifier: MIT
// Guest memory for those who must not block: what is away or has no room is an answer, and is told of.
#include "tests/pool_hog.h"
#include "tests/unit/mmu/mmu_fixture.h"

using namespace shadowbox;
using shadowbox::test::Hog;

TEST_CASE("memory answer: a full pool is an answer, a repeated write does all of it, and room is told") {
    Machine m(64, 4);
    GuestMemory& memory = m.guest.memory;
    std::vector<u8> bytes(4096, 7);
    int told = 0;
    {
        Hog hog(*m.pool);
        MemoryAnswer answer = memory.try_write(Gpa(0x5800), bytes);
        CHECK(answer.outcome == MemoryOutcome::kPoolFull);
        CHECK(answer.ppn == Ppn(5));
        memory.when_ready(answer, [&] { ++told; });
        CHECK(told == 0);
        auto pin = memory.try_pin(Ppn(6), PageAccess::kWrite);
        REQUIRE_FALSE(pin);
        CHECK(pin.error().outcome == MemoryOutcome::kPoolFull);
        CHECK(memory.try_read(Gpa(0x5800), bytes).ready());  // untouched pages need none
        CHECK(bytes[9] == 0);
    }
    CHECK(told == 1);
    bytes.assign(4096, 7);
    CHECK(memory.try_write(Gpa(0x5800), bytes).ready());
    CHECK(m.guest.load(0x67F8) == 0x0707070707070707);
}

TEST_CASE("memory answer: what is no RAM says so, and the rest is copied all the same") {
    Machine m(2);
    m.guest.store(0x1FF8, 0x1122334455667788);
    u8 bytes[16];
    MemoryAnswer answer = m.guest.memory.try_read(Gpa(0x1FF8), bytes);
    CHECK(answer.outcome == MemoryOutcome::kNotRam);
    CHECK(answer.ppn == Ppn(2));
    CHECK(bytes[0] == 0x88);
    CHECK(bytes[8] == 0xFF);
    auto pin = m.guest.memory.try_pin(Ppn(2), PageAccess::kRead);
    REQUIRE_FALSE(pin);
    CHECK(pin.error().outcome == MemoryOutcome::kNotRam);
}

TEST_CASE("memory answer: a page that is being remapped answers kWait, and the remap's end is told once") {
    Machine m;
    GuestMemory& memory = m.guest.memory;
    m.guest.store(0x5000, 1);
    PmapEntry entry = memory.pmap().lock(Ppn(5));
    memory.pmap().unlock(Ppn(5), entry.with(PmapEntry::kMoving).protect(kProtectMove));
    u8 bytes[8] = {2};
    MemoryAnswer answer = memory.try_write(Gpa(0x5000), bytes);
    CHECK(answer.outcome == MemoryOutcome::kWait);
    CHECK(memory.try_read(Gpa(0x5000), bytes).ready());
    auto pin = memory.try_pin(Ppn(5), PageAccess::kRead);
    REQUIRE_FALSE(pin);
    CHECK(pin.error().outcome == MemoryOutcome::kWait);
    int told = 0;
    memory.when_ready(answer, [&] { ++told; });
    memory.when_ready({MemoryOutcome::kWait, Ppn(6)}, [&] { told += 10; });  // another page: at once
    CHECK(told == 10);
    memory.end_move(Ppn(5));
    memory.end_move(Ppn(5));
    CHECK(told == 11);
    CHECK(memory.try_write(Gpa(0x5000), bytes).ready());
}

TEST_CASE("memory answer: a read pin leaves a shared and a zero page as they are") {
    Machine m;
    Guest other(*m.pool, m.pager, 2, 64);
    GuestMemory& memory = m.guest.memory;
    m.guest.store(0x5000, 42);
    const Mpn mpn = m.guest.entry(5).mpn();
    REQUIRE(m.pool->retain(mpn, VmId(2), Ppn(7)));
    for (auto [guest, ppn] : {std::pair(&m.guest, Ppn(5)), std::pair(&other, Ppn(7))})
        guest->memory.pmap().set(ppn, PmapEntry::of(PageState::kShared, mpn.value, kProtectCow));
    {
        auto shared = memory.try_pin(Ppn(5), PageAccess::kRead);
        auto zero = memory.try_pin(Ppn(6), PageAccess::kRead);
        REQUIRE((shared && zero));
        CHECK(m.guest.entry(5).state() == PageState::kShared);
        CHECK(m.guest.entry(6).state() == PageState::kZero);
        CHECK(m.pool->pinned(mpn));
        // The writer gets a copy; the pin keeps what it had.
        m.guest.store(0x5000, 43);
        CHECK(m.guest.entry(5).mpn() != mpn);
        CHECK(guest_load<u64>(shared->host()) == 42);
        CHECK(guest_load<u64>(zero->host()) == 0);
    }
    CHECK_FALSE(m.pool->pinned(mpn));
    CHECK(other.load(0x7000) == 42);
}
