// SPDX-License-Identifier: MIT
// MachinePool: accounting to the last page, placement, sharing, pins, and that no byte of a former owner
// shows.
#include "mmu/machine_pool.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <map>

#include "core/seeded_random.h"

using namespace shadowbox;

namespace {
std::unique_ptr<MachinePool> make_pool(u64 capacity, u64 reserved) {
    return std::move(*MachinePool::create(capacity, reserved));
}
u64 sum(const PoolTotals& totals) {
    u64 all = 0;
    for (u64 count : totals.by_state) all += count;
    return all;
}
}  // namespace

TEST_CASE("pool: the cap is exact, and a freed page can be had again") {
    auto pool = make_pool(100, 4096);
    std::vector<Mpn> pages;
    for (u64 i = 0; i < 100; ++i) {
        auto mpn = pool->allocate(VmId(1), Ppn(i * 512));
        REQUIRE(mpn);
        pages.push_back(*mpn);
    }
    CHECK_FALSE(pool->allocate(VmId(1), Ppn(7)));
    CHECK(pool->available() == 0);
    pool->release(pages[3], VmId(1), Ppn(3 * 512));
    CHECK(pool->available() == 1);
    CHECK(pool->allocate(VmId(2), Ppn(9)));
    CHECK_FALSE(pool->allocate(VmId(2), Ppn(10)));
    CHECK(sum(pool->totals()) == pool->reserved());
}

TEST_CASE("pool: pages of one 2 MiB of a guest get one aligned block") {
    auto pool = make_pool(4096, 8192);
    Mpn first = *pool->allocate(VmId(1), Ppn(1000));
    Mpn other_guest = *pool->allocate(VmId(2), Ppn(1001));
    Mpn second = *pool->allocate(VmId(1), Ppn(1001));
    CHECK(first.value % 512 == 1000 % 512);
    CHECK(second == first + 1);
    CHECK(other_guest.value / 512 != first.value / 512);
    CHECK(other_guest.value % 512 == 1001 % 512);
}

TEST_CASE("pool: when blocks run out, scattered pages serve up to the cap") {
    auto pool = make_pool(1024, 1024);
    std::map<u64, bool> seen;
    for (u64 i = 0; i < 1024; ++i) {
        auto mpn = pool->allocate(VmId(1), Ppn(i * 600));
        REQUIRE(mpn);
        CHECK_FALSE(seen[mpn->value]);
        seen[mpn->value] = true;
    }
    CHECK_FALSE(pool->allocate(VmId(1), Ppn(5)));
}

TEST_CASE("pool: a page handed out never shows bytes of its last owner") {
    auto pool = make_pool(64, 512);
    SeededRandom random(1);
    std::map<u64, Mpn> held;
    for (int round = 0; round < 5000; ++round) {
        u64 ppn = random.below(200);
        if (auto found = held.find(ppn); found != held.end()) {
            pool->release(found->second, VmId(1), Ppn(ppn));
            held.erase(found);
        } else if (auto mpn = pool->allocate(VmId(1), Ppn(ppn))) {
            const u8* host = pool->host(*mpn);
            REQUIRE(host[0] == 0);
            REQUIRE(std::memcmp(host, host + 1, kPageSize - 1) == 0);
            std::memset(pool->host(*mpn), 0xA5, kPageSize);
            held[ppn] = *mpn;
        }
        if (random.one_in(500)) pool->trim();
        PoolTotals totals = pool->totals();
        REQUIRE(totals.in_use == held.size());
        REQUIRE(sum(totals) == totals.reserved);
    }
}

TEST_CASE("pool: owners of a shared page are all known, and the last one can claim it") {
    auto pool = make_pool(16, 512);
    Mpn mpn = *pool->allocate(VmId(1), Ppn(5));
    CHECK(pool->state(mpn) == MachineState::kPrivate);
    REQUIRE(pool->retain(mpn, VmId(2), Ppn(6)));
    REQUIRE(pool->retain(mpn, VmId(1), Ppn(7)));
    CHECK(pool->state(mpn) == MachineState::kShared);
    CHECK(pool->owners(mpn).size() == 3);
    CHECK(pool->totals().references == 3);
    CHECK(pool->totals().in_use == 1);
    CHECK_FALSE(pool->claim_private(mpn, VmId(1), Ppn(5)));
    pool->release(mpn, VmId(1), Ppn(5));
    pool->release(mpn, VmId(2), Ppn(6));
    CHECK(pool->owners(mpn) == std::vector<PageOwner>{{VmId(1), Ppn(7)}});
    CHECK(pool->claim_private(mpn, VmId(1), Ppn(7)));
    CHECK(pool->state(mpn) == MachineState::kPrivate);
    CHECK(pool->totals().references == 0);
    pool->rename_owner(mpn, VmId(1), Ppn(7), Ppn(8));
    pool->release(mpn, VmId(1), Ppn(8));
    CHECK(pool->totals().in_use == 0);
}

TEST_CASE("pool: a pinned page outlives its owner until the pin goes") {
    auto pool = make_pool(1, 512);
    Mpn mpn = *pool->allocate(VmId(1), Ppn(5));
    pool->pin(mpn);
    pool->release(mpn, VmId(1), Ppn(5));
    CHECK(pool->state(mpn) == MachineState::kDying);
    CHECK_FALSE(pool->allocate(VmId(1), Ppn(5)));
    pool->unpin(mpn);
    CHECK(pool->allocate(VmId(1), Ppn(5)));
}

TEST_CASE("pool: blocks of a guest that ended serve the next one") {
    auto pool = make_pool(512, 512);
    for (int guest = 1; guest <= 5; ++guest) {
        std::vector<Mpn> pages;
        for (u64 i = 0; i < 512; ++i) pages.push_back(*pool->allocate(VmId(guest), Ppn(i)));
        for (u64 i = 0; i < 512; ++i) CHECK(pages[i].value % 512 == i);
        for (u64 i = 0; i < 512; ++i) pool->release(pages[i], VmId(guest), Ppn(i));
        pool->forget_vm(VmId(guest));
        pool->trim();
    }
}

TEST_CASE("pool: guests leave the reserve to those who make room") {
    auto pool = make_pool(10, 512);
    pool->set_reserve(3);
    std::vector<Mpn> pages;
    for (u64 i = 0; i < 7; ++i) pages.push_back(*pool->allocate(VmId(1), Ppn(i)));
    CHECK(pool->available() == 0);
    CHECK_FALSE(pool->allocate(VmId(1), Ppn(7)));
    for (u64 i = 7; i < 10; ++i) CHECK(pool->allocate({{VmId(1), Ppn(i)}, PagePurpose::kProgress}));
    CHECK_FALSE(pool->allocate({{VmId(1), Ppn(10)}, PagePurpose::kProgress}));
    CHECK(pool->totals().in_use == 10);
}

TEST_CASE("pool: the low zone is given to who asks for it, to others last") {
    auto pool = make_pool(2048, 2048);
    pool->set_low_zone(512 + 1);  // rounds up: block 0, which is the host's, and block 1
    std::map<bool, u64> low;
    for (u64 i = 0; i < 1536; ++i) {
        Mpn mpn = *pool->allocate(VmId(1), Ppn(i * 600));
        CHECK_FALSE(pool->in_zone(mpn, PageZone::kLow));
    }
    const PageRequest request{{VmId(2), Ppn(3)}, PagePurpose::kGuest, PageZone::kLow};
    std::vector<Mpn> taken;
    for (u64 i = 0; i < 100; ++i) {
        taken.push_back(*pool->allocate(request));
        CHECK(pool->in_zone(taken.back(), PageZone::kLow));
    }
    for (u64 i = 0; i < 412; ++i) ++low[pool->in_zone(*pool->allocate(VmId(1), Ppn(i)), PageZone::kLow)];
    CHECK(low[true] == 412);
    CHECK_FALSE(pool->allocate(request));
    pool->release(taken[50], VmId(2), Ppn(3));
    CHECK(*pool->allocate(request) == taken[50]);
}

TEST_CASE("pool: a page has at most so many owners, and says so") {
    auto pool = make_pool(16, 512);
    Mpn mpn = *pool->allocate(VmId(1), Ppn(0));
    for (u64 i = 1; i < MachinePool::kMostOwners; ++i) REQUIRE(pool->retain(mpn, VmId(1), Ppn(i)));
    CHECK_FALSE(pool->retain(mpn, VmId(1), Ppn(9999)));
    CHECK(pool->owners(mpn).size() == MachinePool::kMostOwners);
    SeededRandom random(3);
    std::vector<u64> left;
    for (u64 i = 0; i < MachinePool::kMostOwners; ++i) left.push_back(i);
    while (left.size() > 1) {
        std::swap(left[random.below(left.size())], left.back());
        pool->release(mpn, VmId(1), Ppn(left.back()));
        left.pop_back();
    }
    CHECK(pool->claim_private(mpn, VmId(1), Ppn(left[0])));
}

TEST_CASE("pool: a page that a device reads is nobody's to write, though its other owners left") {
    auto pool = make_pool(16, 512);
    Mpn mpn = *pool->allocate(VmId(1), Ppn(0));
    REQUIRE(pool->retain(mpn, VmId(2), Ppn(0)));
    pool->pin(mpn);
    pool->release(mpn, VmId(2), Ppn(0));
    CHECK_FALSE(pool->claim_private(mpn, VmId(1), Ppn(0)));
    pool->unpin(mpn);
    CHECK(pool->claim_private(mpn, VmId(1), Ppn(0)));
}

TEST_CASE("pool: who waits for room is told once, when there is some") {
    auto pool = make_pool(2, 512);
    int told = 0;
    auto tell = [&] { ++told; };
    pool->when_room(tell);
    CHECK(told == 1);  // there is room now
    Mpn a = *pool->allocate(VmId(1), Ppn(0)), b = *pool->allocate(VmId(1), Ppn(1));
    pool->when_room(tell);
    pool->when_room(tell);
    CHECK(told == 1);
    SECTION("a page was released") { pool->release(a, VmId(1), Ppn(0)); }
    SECTION("the cap was raised") { pool->set_capacity(3); }
    SECTION("a dying page lost its pin") {
        pool->pin(b);
        pool->release(b, VmId(1), Ppn(1));
        CHECK(told == 1);
        pool->unpin(b);
    }
    CHECK(told == 3);
    pool->trim();
    CHECK(told == 3);
}
