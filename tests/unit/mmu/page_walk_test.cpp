// SPDX-License-Identifier: MIT
// The page walk in every paging mode: addresses, rights, reserved bits, error codes, A and D bits.
#include "mmu/page_walk.h"

#include "mmu_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kP = 1, kW = 2, kU = 4, kA = 0x20, kD = 0x40, kPs = 0x80, kG = 0x100, kNx = u64{1} << 63;
constexpr u64 kCr0 = 0x80000011, kWp = 0x10000;
constexpr u64 kPse = 0x10, kPae = 0x20, kPge = 0x80, kSmep = 1 << 20, kSmap = 1 << 21, kPke = 1 << 22,
              kLa57 = 1 << 12;
constexpr u64 kLong = 0x500, kNxe = 0x800;
constexpr WalkAccess kRead{}, kWrite{true}, kFetch{false, true}, kUserRead{false, false, true},
    kUserWrite{true, false, true}, kUserFetch{false, true, true};

PagingControl control(u64 cr4, u64 efer, u64 more_cr0 = 0) {
    PagingControl c;
    c.cr0 = kCr0 | more_cr0;
    c.cr3 = Machine::kRoot;
    c.cr4 = cr4;
    c.efer = efer;
    return c;
}

struct Walker : Machine {
    PagingControl c;
    WalkResult walk(u64 gva, WalkAccess access = kRead) {
        return walk_page_tables(c, guest.memory, Gva(gva), access);
    }
    /// The error code, or ~0 when the access is allowed.
    u32 error(u64 gva, WalkAccess access = kRead) {
        WalkResult result = walk(gva, access);
        if (result) return ~0u;
        REQUIRE_FALSE(result.error().wait);
        return result.error().error_code;
    }
};
constexpr u32 kAllowed = ~0u;

}  // namespace

TEST_CASE("page walk: without paging the address is the physical one, 32 bits of it") {
    Walker w;
    w.c = control(0, 0);
    w.c.cr0 = 0x11;
    REQUIRE(w.walk(0x12345678, kUserWrite));
    CHECK(w.walk(0x12345678)->ppn == Ppn(0x12345));
}

TEST_CASE("page walk: 32-bit paging, 4 KiB and 4 MiB pages with PSE-36") {
    Walker w;
    w.c = control(0, 0);
    w.guest.store(Machine::kRoot + 4 * 1, 0x200000 | kP | kW | kU, 4);
    w.guest.store(0x200000 + 4 * 5, 0x345000 | kP | kW, 4);
    WalkResult t = w.walk(0x405678);
    REQUIRE(t);
    CHECK(t->ppn == Ppn(0x345));
    CHECK(t->page_shift == 12);
    CHECK(t->writable);
    CHECK_FALSE(t->user);
    CHECK(t->executable);
    // The top bit of a 32-bit PDE is an address bit, and A was set by the walk.
    CHECK(w.guest.load(Machine::kRoot + 4) % 0x100000000 == (0x200000 | kP | kW | kU | kA));
    // PS without CR4.PSE is ignored: the entry points to a table.
    w.guest.store(Machine::kRoot + 4 * 2, 0x200000 | kP | kPs, 4);
    CHECK(w.walk(0x805000)->ppn == Ppn(0x345));
    w.c.cr4 = kPse;
    w.guest.store(Machine::kRoot + 4 * 3, 0x00C00000 | (0xABu << 13) | kP | kPs, 4);
    t = w.walk(0xC12345, kWrite);
    REQUIRE(t);  // CR0.WP is clear: a supervisor writes anywhere
    CHECK(t->page_shift == 22);
    CHECK(t->ppn == Ppn(0xAB00C12));
    CHECK(t->dirty);
    w.guest.store(Machine::kRoot + 4 * 3, 0x00C00000 | (1u << 21) | kP | kPs, 4);
    CHECK(w.error(0xC12345) == (kPfPresent | kPfReserved));
    CHECK(w.error(0x1000000) == 0);
    CHECK(w.error(0x1000000, kUserFetch) == kPfUser);  // no fetch bit without NXE or SMEP
    w.c.cr4 |= kSmep;
    CHECK(w.error(0x1000000, kUserFetch) == (kPfUser | kPfFetch));
}

TEST_CASE("page walk: PAE takes its first level from the registers, and they carry no rights") {
    Walker w;
    w.c = control(kPae, kNxe);
    w.c.pdpte[3] = 0x200000 | kP;
    w.guest.store(0x200000 + 8 * 1, 0x201000 | kP | kW | kU);
    w.guest.store(0x201000 + 8 * 2, 0xAB'CDEF'F000 | kP | kW | kU | kNx);
    WalkResult t = w.walk(0xC0202123, kUserWrite);
    REQUIRE(t);
    CHECK(t->ppn == Ppn(0xABCDEFF));
    CHECK_FALSE(t->executable);
    CHECK(w.error(0xC0202123, kFetch) == (kPfPresent | kPfFetch));
    CHECK(w.error(0x202123) == 0);
    w.guest.store(0x200000 + 8 * 2, 0xAB'CDE0'0000 | kP | kPs);
    t = w.walk(0xC0512345);
    REQUIRE(t);
    CHECK(t->page_shift == 21);
    CHECK(t->ppn == Ppn(0xABCDE00 + 0x112));
    // PAE has no ignored high bits: 62:40 are reserved, and so are the low ones of a large page.
    for (unsigned bit : {13u, 20u, 40u, 51u, 52u, 62u}) {
        w.guest.store(0x200000 + 8 * 2, 0xAB'CDE0'0000 | kP | kPs | u64{1} << bit);
        CHECK(w.error(0xC0512345) == (kPfPresent | kPfReserved));
    }
}

TEST_CASE("page walk: 4 and 5 levels, with 4 KiB, 2 MiB and 1 GiB pages") {
    for (unsigned levels : {4u, 5u}) {
        Walker w;
        w.c = control(kPae | kPge | (levels == 5 ? kLa57 : 0), kLong | kNxe);
        unsigned top = levels == 5 ? 48 : 39;
        u64 gva = levels == 5 ? 0x00AB'CDEF'1234'5678 : 0x0000'6DEF'1234'5678;
        w.guest.store(w.entry_place(gva, 12, Machine::kRoot, top), 0x77000 | kP | kG);
        WalkResult t = w.walk(gva);
        REQUIRE(t);
        CHECK(t->ppn == Ppn(0x77));
        CHECK(t->global);
        CHECK_FALSE(t->writable);
        CHECK_FALSE(t->dirty);
        u64 other = gva ^ u64 { 1 } << 38;
        w.guest.store(w.entry_place(other, 21, Machine::kRoot, top), 0x40200000 | kP | kPs);
        CHECK(w.walk(other)->ppn == Ppn(0x40200 + (other >> 12 & 511)));
        u64 giant = gva ^ u64 { 1 } << 37;
        w.guest.store(w.entry_place(giant, 30, Machine::kRoot, top), 0x80000000 | kP | kPs);
        CHECK(w.walk(giant)->ppn == Ppn(0x80000 + (giant >> 12 & 0x3FFFF)));
        CHECK(w.walk(giant)->page_shift == 30);
        w.c.cr4 &= ~kPge;
        CHECK_FALSE(w.walk(gva)->global);
    }
}

TEST_CASE("page walk: reserved bits of 4-level entries, by level") {
    struct Row {
        unsigned shift, bit;
        bool large, fault;
    };
    static const Row kRows[] = {
        {39, 7, false, true},   {39, 40, false, true}, {39, 51, false, true}, {39, 52, false, false},
        {30, 40, false, true},  {30, 13, true, true},  {30, 29, true, true},  {30, 12, true, false},
        {21, 13, true, true},   {21, 20, true, true},  {21, 12, true, false}, {21, 58, true, false},
        {12, 7, false, false},  {12, 40, false, true}, {12, 51, false, true}, {12, 52, false, false},
        {12, 62, false, false},
    };
    for (const Row& row : kRows) {
        CAPTURE(row.shift, row.bit, row.large);
        Walker w;
        w.c = control(kPae, kLong | kNxe);
        u64 gva = 0x1234'5678'9000;
        unsigned leaf = row.large ? row.shift : 12;
        w.guest.store(w.entry_place(gva, leaf), kP | kW | (row.large ? kPs : 0));
        u64 place = w.entry_place(gva, row.shift);
        REQUIRE(w.error(gva) == kAllowed);
        w.guest.store(place, w.guest.load(place) | u64{1} << row.bit);
        CHECK(w.error(gva, kUserWrite) ==
              (row.fault ? kPfPresent | kPfReserved | kPfUser | kPfWrite : kPfPresent | kPfUser | kPfWrite));
    }
}

TEST_CASE("page walk: XD is reserved while EFER.NXE is clear") {
    Walker w;
    w.c = control(kPae, kLong);
    w.map(0x5000, 0x77000, kP | kW | kNx);
    CHECK(w.error(0x5000) == (kPfPresent | kPfReserved));
    w.c.efer |= kNxe;
    CHECK(w.error(0x5000) == kAllowed);
    CHECK(w.error(0x5000, kFetch) == (kPfPresent | kPfFetch));
}

TEST_CASE("page walk: rights of user and supervisor, every combination of U, W, WP, SMEP, SMAP and AC") {
    for (unsigned bits = 0; bits < 64; ++bits) {
        bool user_page = bits & 1, writable = bits & 2, wp = bits & 4, smep = bits & 8, smap = bits & 16,
             ac = bits & 32;
        CAPTURE(bits);
        Walker w;
        w.c = control(kPae | (smep ? kSmep : 0) | (smap ? kSmap : 0), kLong | kNxe, wp ? kWp : 0);
        w.map(0x5000, 0x77000, kP | (user_page ? kU : 0) | (writable ? kW : 0));
        auto expect = [&](WalkAccess access, bool allowed) {
            access.explicit_ac = ac && !access.user;
            u32 code = kPfPresent | (access.write ? u32{kPfWrite} : 0) | (access.user ? u32{kPfUser} : 0) |
                       (access.execute ? u32{kPfFetch} : 0);
            CHECK(w.error(0x5000, access) == (allowed ? kAllowed : code));
        };
        expect(kUserRead, user_page);
        expect(kUserWrite, user_page && writable);
        expect(kUserFetch, user_page);
        bool smap_bars = smap && user_page && !ac;
        expect(kRead, !smap_bars);
        expect(kWrite, !smap_bars && (writable || !wp));
        expect(kFetch, !(smep && user_page));
    }
}

TEST_CASE("page walk: protection keys concern data of user pages only") {
    Walker w;
    w.c = control(kPae | kPke, kLong | kNxe);
    w.map(0x5000, 0x77000, kP | kW | kU | u64{5} << 59);
    w.map(0x6000, 0x78000, kP | kW | u64{5} << 59);
    u32 base = kPfPresent | kPfKey;
    w.c.pkru = 1u << 10;  // AD of key 5
    CHECK(w.error(0x5000, kUserRead) == (base | kPfUser));
    CHECK(w.error(0x5000, kRead) == base);
    CHECK(w.error(0x5000, kUserFetch) == kAllowed);
    CHECK(w.error(0x6000, kWrite) == kAllowed);
    w.c.pkru = 2u << 10;  // WD
    CHECK(w.error(0x5000, kUserRead) == kAllowed);
    CHECK(w.error(0x5000, kUserWrite) == (base | kPfUser | kPfWrite));
    CHECK(w.error(0x5000, kWrite) == kAllowed);  // a supervisor is bound by WD only with WP
    w.c.cr0 |= kWp;
    CHECK(w.error(0x5000, kWrite) == (base | kPfWrite));
    w.c.pkru = ~(3u << 10);
    CHECK(w.error(0x5000, kUserWrite) == kAllowed);
    // The key is named also when another right is missing.
    w.c.pkru = 1u << 10;
    w.map(0x5000, 0x77000, kP | kU | u64{5} << 59);
    CHECK(w.error(0x5000, kUserWrite) == (base | kPfUser | kPfWrite));
}

TEST_CASE("page walk: A on every level, D in the leaf of a write, neither when the access faults") {
    Walker w;
    w.c = control(kPae, kLong | kNxe, kWp);
    u64 gva = 0x1234'5678'9000;
    w.map(gva, 0x77000, kP | kW);
    u64 places[4];
    for (unsigned i = 0; i < 4; ++i) places[i] = w.entry_place(gva, 39 - 9 * i);
    CHECK(w.error(gva, kUserRead) == (kPfPresent | kPfUser));
    for (u64 place : places) CHECK((w.guest.load(place) & (kA | kD)) == 0);
    CHECK_FALSE(w.walk(gva)->dirty);
    for (u64 place : places) CHECK((w.guest.load(place) & (kA | kD)) == kA);
    CHECK(w.walk(gva, kWrite)->dirty);
    for (unsigned i = 0; i < 4; ++i) CHECK((w.guest.load(places[i]) & kD) == (i == 3 ? kD : 0));
}

TEST_CASE("page walk: rights are the intersection of all levels") {
    for (unsigned shift : {39u, 30u, 21u, 12u}) {
        Walker w;
        w.c = control(kPae, kLong | kNxe);
        u64 gva = 0x1234'5678'9000;
        w.map(gva, 0x77000, kP | kW | kU);
        u64 place = w.entry_place(gva, shift);
        u64 entry = w.guest.load(place);
        w.guest.store(place, entry & ~kW);
        CHECK_FALSE(w.walk(gva)->writable);
        w.guest.store(place, entry & ~kU);
        CHECK_FALSE(w.walk(gva)->user);
        w.guest.store(place, entry | kNx);
        CHECK_FALSE(w.walk(gva)->executable);
        w.guest.store(place, entry & ~kP);
        CHECK(w.error(gva, kUserWrite) == (kPfUser | kPfWrite));
    }
}

TEST_CASE("page walk: tables outside RAM read as all ones and fault on reserved bits") {
    Walker w;
    w.c = control(kPae, kLong | kNxe);
    w.c.cr3 = 0xF0'0000'0000;
    CHECK(w.error(0x5000) == (kPfPresent | kPfReserved));
}

TEST_CASE("page walk: a viewer's walk finds the same page and sets no bit") {
    Walker w;
    w.c = control(kPae, kLong | kNxe);
    w.map(0x5000, 0x77000, kP);
    u64 hash = w.guest.memory.content_hash();
    WalkResult t = peek_translation(w.c, w.guest.memory, Gva(0x5123));
    REQUIRE(t);
    CHECK(t->ppn == Ppn(0x77));
    CHECK_FALSE(peek_translation(w.c, w.guest.memory, Gva(0x9000)));
    CHECK(w.guest.memory.content_hash() == hash);
}

TEST_CASE("page walk: the canonical rule has 48 or 57 bits") {
    CHECK(is_canonical(0x0000'7FFF'FFFF'FFFF, 0));
    CHECK_FALSE(is_canonical(0x0000'8000'0000'0000, 0));
    CHECK(is_canonical(0xFFFF'8000'0000'0000, 0));
    CHECK(is_canonical(0x00FF'8000'0000'0000, kLa57));
    CHECK_FALSE(is_canonical(0x0100'0000'0000'0000, kLa57));
}
