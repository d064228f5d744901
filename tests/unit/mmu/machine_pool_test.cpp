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
    pool->retain(mpn, VmId(2), Ppn(6));
    pool->retain(mpn, VmId(1), Ppn(7));
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
