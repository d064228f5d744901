// SPDX-License-Identifier: MIT
// ShadowTable by itself: entries of both sizes, and which pages it says must go from the front TLB.
#include "mmu/shadow_table.h"

#include <catch2/catch.hpp>
#include <memory>

using namespace shadowbox;

namespace {
Translation mapping(u64 ppn, unsigned page_shift, bool dirty = true) {
    Translation t;
    t.ppn = Ppn(ppn);
    t.page_shift = static_cast<u8>(page_shift);
    t.writable = t.executable = true;
    t.dirty = dirty;
    return t;
}
/// Zeroed, as in tlb_tables.h.
std::unique_ptr<ShadowTable> table() { return std::make_unique<ShadowTable>(); }
u64 found(const ShadowTable& in, u64 vpn) {
    Translation t;
    return in.find(Vpn(vpn), t) ? t.ppn.value : ~u64{0};
}
constexpr u64 kNone = ~u64{0};
bool is(const VpnRange& range, u64 first, u64 count) {
    return !range.everything && range.first == Vpn(first) && range.count == count;
}
}  // namespace

TEST_CASE("shadow table: one large entry answers for its 512 pages and no other") {
    auto t = table();
    CHECK(is(t->insert(Vpn(0x80205), mapping(0x1405, 21)), 0x80205, 1));
    CHECK(found(*t, 0x80200) == 0x1400);
    CHECK(found(*t, 0x803FF) == 0x15FF);
    CHECK(found(*t, 0x801FF) == kNone);
    CHECK(found(*t, 0x80400) == kNone);
    CHECK(t->large_entries() == 1);
    Translation piece;
    REQUIRE(t->find(Vpn(0x80300), piece));
    CHECK(piece.page_shift == 21);
    CHECK((piece.writable && piece.executable && piece.dirty && !piece.user && !piece.global));
    CHECK(is(t->insert(Vpn(0x80300), mapping(0x1900, 21)), 0x80300, 1));  // in its place
    CHECK(found(*t, 0x80205) == 0x1805);
    CHECK(t->large_entries() == 1);
    CHECK(is(t->drop(Vpn(0x80201)), 0x80200, 512));
    CHECK(found(*t, 0x80205) == kNone);
    CHECK(is(t->drop(Vpn(0x80201)), 0x80201, 1));
    CHECK(t->large_entries() == 0);
}

TEST_CASE("shadow table: a small page found in a large one drops it, and the reverse") {
    auto t = table();
    (void)t->insert(Vpn(0x80200), mapping(0x1400, 21));
    CHECK(is(t->insert(Vpn(0x80207), mapping(0x99, 12)), 0x80200, 512));
    CHECK(found(*t, 0x80207) == 0x99);
    CHECK(found(*t, 0x80206) == kNone);
    (void)t->insert(Vpn(0x80207), mapping(0x1407, 21));
    CHECK(found(*t, 0x80207) == 0x1407);
    CHECK(is(t->drop(Vpn(0x80300)), 0x80200, 512));
    CHECK(found(*t, 0x80207) == kNone);  // the small entry went when the large one came
}

TEST_CASE("shadow table: a large entry that is driven out is told, with the sign of its address") {
    auto t = table();
    const u64 high = 0xFFFF'8000'0000'0000 >> 12;
    for (u64 k = 0; k < 4; ++k) CHECK(t->insert(Vpn(high + k * 513 * 512), mapping(k << 9, 21)).single());
    CHECK(is(t->insert(Vpn(high + u64{4} * 513 * 512 + 3), mapping(4 << 9 | 3, 21)), high, 512));
    CHECK(t->large_entries() == 4);
    CHECK(found(*t, high) == kNone);
}

TEST_CASE("shadow table: halves of a 4 MiB page are entered one by one and dropped together") {
    auto t = table();
    (void)t->insert(Vpn(0x401), mapping(0x801, 22));
    CHECK(found(*t, 0x600) == kNone);
    (void)t->insert(Vpn(0x601), mapping(0xA01, 22));
    CHECK(t->large_entries() == 2);
    CHECK(is(t->drop(Vpn(0x7FF)), 0x400, 1024));
    CHECK(found(*t, 0x401) == kNone);
    (void)t->insert(Vpn(0x401), mapping(0x801, 22));
    CHECK(is(t->drop(Vpn(0x7FF)), 0x400, 1024));  // the half that is not here may be all there is
    CHECK(t->large_entries() == 0);
}

TEST_CASE("shadow table: INVLPG of a 1 GiB page whose piece at that address is not here drops all") {
    auto t = table();
    (void)t->insert(Vpn(0x40201), mapping(0x80201, 30));
    CHECK(found(*t, 0x40401) == kNone);
    CHECK(is(t->drop(Vpn(0x90000)), 0x90000, 1));
    CHECK(t->drop(Vpn(0x7FFFF)).everything);
    CHECK(found(*t, 0x40201) == kNone);
    CHECK(is(t->drop(Vpn(0x7FFFF)), 0x7FFFF, 1));
}

TEST_CASE("shadow table: a flush empties it, and generations come round without bringing entries back") {
    auto t = table();
    (void)t->insert(Vpn(0x100), mapping(0x1, 12));
    (void)t->insert(Vpn(0x80200), mapping(0x1400, 21));
    (void)t->insert(Vpn(0x40201), mapping(0x80201, 30));
    for (u64 flush = 0; flush < (1 << 19) + 5; ++flush) {
        t->flush();
        if (flush % 4096 && flush < (1 << 19) - 10) continue;
        REQUIRE(found(*t, 0x100) == kNone);
        REQUIRE(found(*t, 0x80200) == kNone);
        REQUIRE(found(*t, 0x40201) == kNone);
        REQUIRE(t->large_entries() == 0);
        (void)t->insert(Vpn(0x80200), mapping(0x1400, 21));
        REQUIRE(found(*t, 0x80200) == 0x1400);
    }
}
