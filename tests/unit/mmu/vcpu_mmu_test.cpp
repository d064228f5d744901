// SPDX-License-Identifier: MIT
// VcpuMmu: a TLB as the manual describes it. Entries stay until told otherwise, and go when told.
#include "mmu/vcpu_mmu.h"

#include "core/seeded_random.h"
#include "mmu_fixture.h"

using namespace shadowbox;

namespace {
constexpr u64 kP = Machine::kP, kW = Machine::kW, kU = Machine::kU, kD = Machine::kD, kG = Machine::kG;
constexpr u64 kPge = 0x80, kPcide = 1 << 17, kSmap = 1 << 21, kPke = 1 << 22, kWp = 0x10000;
constexpr MemoryAccess kRead = MemoryAccess::kRead, kWrite = MemoryAccess::kWrite,
                       kExecute = MemoryAccess::kExecute;
using Kind = Resolved::Kind;

/// Two physical pages with different first words.
struct TwoPages : Machine {
    TwoPages() {
        guest.store(0x10000, 111);
        guest.store(0x11000, 222);
    }
};
}  // namespace

TEST_CASE("vcpu mmu: without paging, reads and writes go to the physical page and then hit the TLB") {
    Machine m;
    m.store(0x5008, 42);
    CHECK(m.load(0x5008) == 42);
    CHECK(m.guest.load(0x5008) == 42);
    CHECK(m.mmu.context()->probe_read(0x5008, 8) != nullptr);
    CHECK(m.mmu.context()->probe_read(0x5FFC, 8) == nullptr);
    CHECK(m.mmu.context()->probe_read(0x5FF8, 8) != nullptr);
}

TEST_CASE("vcpu mmu: a stale translation stays until INVLPG") {
    TwoPages m;
    m.long_mode();
    m.map(0x400000, 0x10000, kP);
    CHECK(m.load(0x400000) == 111);
    m.map(0x400000, 0x11000, kP);
    CHECK(m.load(0x400000) == 111);
    CHECK(guest_load<u64>(m.resolve(0x400000, kRead).host) == 111);  // from the shadow table too
    m.mmu.invlpg(Gva(0x400123));
    CHECK(m.load(0x400000) == 222);
}

TEST_CASE("vcpu mmu: an absent translation is not cached") {
    TwoPages m;
    m.long_mode();
    Resolved fault = m.resolve(0x400000, kRead);
    CHECK(fault.kind == Kind::kFault);
    CHECK(fault.error_code == 0);
    m.map(0x400000, 0x10000, kP);
    CHECK(m.load(0x400000) == 111);
}

TEST_CASE("vcpu mmu: a hit without the needed right walks again before it faults") {
    TwoPages m;
    m.long_mode(0, kWp);
    m.map(0x400000, 0x10000, kP);
    CHECK(m.load(0x400000) == 111);
    CHECK(m.resolve(0x400000, kWrite).error_code == (kPfPresent | kPfWrite));
    CHECK(m.load(0x400000) == 111);
    m.map(0x400000, 0x10000, kP | kW);
    m.store(0x400000, 5);
    CHECK(m.guest.load(0x10000) == 5);
}

TEST_CASE("vcpu mmu: the first write after a read sets D, and only then writes hit") {
    TwoPages m;
    m.long_mode();
    m.map(0x400000, 0x10000, kP | kW);
    CHECK(m.load(0x400000) == 111);
    CHECK(m.mmu.context()->probe_write(0x400000, 8) == nullptr);
    CHECK_FALSE(m.guest.load(m.entry_place(0x400000, 12)) & kD);
    m.store(0x400000, 5);
    CHECK(m.guest.load(m.entry_place(0x400000, 12)) & kD);
    CHECK(m.mmu.context()->probe_write(0x400000, 8) != nullptr);
}

TEST_CASE("vcpu mmu: MOV CR3 drops what is not global, CR4.PGE and flush_all drop the rest") {
    TwoPages m;
    m.long_mode(kPge);
    m.map(0x400000, 0x10000, kP);
    m.map(0x500000, 0x10000, kP | kG);
    CHECK(m.load(0x400000) + m.load(0x500000) == 222);
    m.map(0x400000, 0x11000, kP);
    m.map(0x500000, 0x11000, kP | kG);
    m.mmu.set_cr3(Machine::kRoot, false);
    CHECK(m.load(0x400000) == 222);
    CHECK(m.load(0x500000) == 111);
    CHECK(guest_load<u64>(m.resolve(0x500000, kRead).host) == 111);
    SECTION("INVLPG") { m.mmu.invlpg(Gva(0x500000)); }
    SECTION("CR4.PGE") {
        PagingControl c = m.mmu.control();
        m.mmu.set_control(c.cr0, c.cr4 & ~kPge, c.efer);
    }
    SECTION("INVPCID 2") { m.mmu.invpcid(2, 0, Gva(0)); }
    CHECK(m.load(0x500000) == 222);
}

TEST_CASE("vcpu mmu: PCIDs keep their translations apart and across MOV CR3 with bit 63") {
    TwoPages m;
    m.long_mode(kPcide);
    u64 root2 = 0x180000;
    m.next_table = 0x190000;
    m.map(0x400000, 0x10000, kP);
    m.map(0x400000, 0x11000, kP, 12, root2);
    CHECK(m.load(0x400000) == 111);
    m.mmu.set_cr3(root2 | 1, false);
    CHECK(m.load(0x400000) == 222);
    m.map(0x400000, 0x11000, kP);  // of the first root
    m.mmu.set_cr3(Machine::kRoot | 0, true);
    CHECK(m.load(0x400000) == 111);  // kept, hence stale
    SECTION("a flush of the other PCID leaves it") {
        m.mmu.invpcid(1, 1, Gva(0));
        CHECK(m.load(0x400000) == 111);
    }
    SECTION("INVPCID 0 of its own address") {
        m.mmu.invpcid(0, 0, Gva(0x400000));
        CHECK(m.load(0x400000) == 222);
    }
    SECTION("INVPCID 1 of its PCID, from another") {
        m.mmu.set_cr3(root2 | 1, true);
        m.mmu.invpcid(1, 0, Gva(0));
        m.mmu.set_cr3(Machine::kRoot, true);
        CHECK(m.load(0x400000) == 222);
    }
    SECTION("INVPCID 3") {
        m.mmu.invpcid(3, 0, Gva(0));
        CHECK(m.load(0x400000) == 222);
    }
    SECTION("MOV CR3 without bit 63") {
        m.mmu.set_cr3(Machine::kRoot, false);
        CHECK(m.load(0x400000) == 222);
    }
}

TEST_CASE("vcpu mmu: more PCIDs than slots only forget, never mix") {
    Machine m;
    m.long_mode(kPcide);
    for (u64 i = 0; i < 20; ++i) {
        m.guest.store(0x40000 + i * 0x1000, 1000 + i);
        m.map(0x400000, 0x40000 + i * 0x1000, kP, 12, 0x200000 + i * 0x1000);
    }
    SeededRandom random(5);
    for (int round = 0; round < 500; ++round) {
        u64 i = random.below(20);
        m.mmu.set_cr3((0x200000 + i * 0x1000) | i, true);
        REQUIRE(m.load(0x400000) == 1000 + i);
    }
}

TEST_CASE("vcpu mmu: INVLPG of a global page reaches every PCID") {
    TwoPages m;
    m.long_mode(kPcide | kPge);
    m.map(0x400000, 0x10000, kP | kG);
    CHECK(m.load(0x400000) == 111);
    m.mmu.set_cr3(Machine::kRoot | 1, true);
    CHECK(m.load(0x400000) == 111);
    m.map(0x400000, 0x11000, kP | kG);
    m.mmu.invlpg(Gva(0x400000));
    CHECK(m.load(0x400000) == 222);
    m.mmu.set_cr3(Machine::kRoot, true);
    CHECK(m.load(0x400000) == 222);
}

TEST_CASE("vcpu mmu: one INVLPG drops every piece of a large page") {
    for (unsigned shift : {21u, 30u}) {
        CAPTURE(shift);
        Machine m(1 << 20, 4096);
        m.long_mode();
        u64 gva = u64{1} << 39;
        m.map(gva, 0x40000000, kP | kW, shift);
        for (u64 piece : {0u, 7u, 511u}) m.store(gva + piece * 0x1000, piece + 1);
        // To other memory, of zeros.
        m.map(gva, 0x80000000, kP | kW, shift);
        CHECK(m.load(gva + 511 * 0x1000) == 512);
        m.mmu.invlpg(Gva(gva + 0x3000));
        for (u64 piece : {0u, 7u, 511u}) CHECK(m.load(gva + piece * 0x1000) == 0);
    }
}

TEST_CASE("vcpu mmu: both halves of a 4 MiB page go with one INVLPG") {
    Machine m(1 << 18, 4096);
    m.mmu.set_control(0x80000011, 0x10, 0);
    m.mmu.set_cr3(0x1000, false);
    m.guest.store(0x1000 + 4, 0x00800000 | kP | kW | 0x80, 4);
    m.store(0x400000, 1);
    m.store(0x7FF000, 2);
    m.guest.store(0x1000 + 4, 0x00C00000 | kP | kW | 0x80, 4);
    CHECK(m.load(0x7FF000) == 2);
    m.mmu.invlpg(Gva(0x400000));
    CHECK(m.load(0x7FF000) == 0);
}

TEST_CASE("vcpu mmu: user, supervisor and supervisor with AC have contexts of their own") {
    TwoPages m;
    m.long_mode(kSmap);
    m.map(0x400000, 0x10000, kP | kU | kW);
    m.map(0x500000, 0x11000, kP | kW);
    m.mmu.set_privilege(true, false);
    CHECK(m.load(0x400000) == 111);
    CHECK(m.resolve(0x500000, kRead).error_code == (kPfPresent | kPfUser));
    // A descriptor table access at CPL 3 is made as supervisor.
    CHECK(m.mmu.resolve(Gva(0x500000), 8, kRead, true).kind == Kind::kHost);
    CHECK(m.mmu.implicit_supervisor_context()->probe_read(0x500000, 8) != nullptr);
    CHECK(m.mmu.context()->probe_read(0x500000, 8) == nullptr);
    m.mmu.set_privilege(false, false);
    CHECK(m.mmu.context()->probe_read(0x400000, 8) == nullptr);
    CHECK(m.resolve(0x400000, kRead).error_code == kPfPresent);
    m.mmu.set_privilege(false, true);
    CHECK(m.load(0x400000) == 111);
    m.mmu.set_privilege(false, false);
    CHECK(m.mmu.context()->probe_read(0x400000, 8) == nullptr);
}

TEST_CASE("vcpu mmu: CR0.WP and PKRU changes take effect on cached translations") {
    TwoPages m;
    m.long_mode(kPke);
    m.map(0x400000, 0x10000, kP | kU);
    m.store(0x400000, 5);
    PagingControl c = m.mmu.control();
    m.mmu.set_control(c.cr0 | kWp, c.cr4, c.efer);
    CHECK(m.resolve(0x400000, kWrite).error_code == (kPfPresent | kPfWrite));
    CHECK(m.load(0x400000) == 5);
    m.mmu.set_pkru(1);
    CHECK(m.resolve(0x400000, kRead).error_code == (kPfPresent | kPfKey));
    m.mmu.set_pkru(0);
    CHECK(m.load(0x400000) == 5);
}

TEST_CASE("vcpu mmu: code fetches have their own entries and rights") {
    TwoPages m;
    m.long_mode();
    m.map(0x400000, 0x10000, kP | Machine::kNx);
    m.map(0x500000, 0x11000, kP);
    CHECK(m.resolve(0x400000, kExecute).error_code == (kPfPresent | kPfFetch));
    Resolved code = m.resolve(0x500010, kExecute);
    REQUIRE(code.kind == Kind::kHost);
    CHECK(code.gpa == Gpa(0x11010));
    const CodeTlbEntry* entry = m.mmu.context()->probe_code(0x500010);
    REQUIRE(entry);
    CHECK(reinterpret_cast<u8*>(0x500010 + entry->host_delta) == code.host);
    CHECK(m.mmu.context()->probe_read(0x500010, 1) == nullptr);
    m.mmu.invlpg(Gva(0x500000));
    CHECK(m.mmu.context()->probe_code(0x500010) == nullptr);
}

TEST_CASE(
    "vcpu mmu: reads of one page and writes of another at the same index both stay; INVLPG drops either") {
    TwoPages m;
    m.long_mode();
    constexpr u64 kReadPage = 0x400000, kWritePage = 0x400000 + kTlbEntries * kPageSize;
    m.map(kReadPage, 0x10000, kP);
    m.map(kWritePage, 0x11000, kP | kW);
    const TlbContext& tlb = *m.mmu.context();
    REQUIRE(m.resolve(kReadPage, kRead).kind == Kind::kHost);
    REQUIRE(m.resolve(kWritePage, kWrite).kind == Kind::kHost);
    CHECK(tlb.probe_read(kReadPage, 1));
    CHECK(tlb.probe_write(kWritePage, 1));
    CHECK_FALSE(tlb.probe_read(kWritePage, 1));
    CHECK_FALSE(tlb.probe_write(kReadPage, 1));
    m.mmu.invlpg(Gva(kReadPage));
    CHECK_FALSE(tlb.probe_read(kReadPage, 1));
    CHECK(tlb.probe_write(kWritePage, 1));
    REQUIRE(m.resolve(kWritePage, kRead).kind == Kind::kHost);
    m.mmu.drop_write(Ppn(0x11));
    CHECK(tlb.probe_read(kWritePage, 1));
    CHECK_FALSE(tlb.probe_write(kWritePage, 1));
    m.mmu.invlpg(Gva(kWritePage));
    CHECK_FALSE(tlb.probe_read(kWritePage, 1));
}

TEST_CASE("vcpu mmu: a read takes the place for writes from another page only when asked for both") {
    TwoPages m;
    m.long_mode();
    constexpr u64 kPage = 0x400000, kOther = 0x400000 + kTlbEntries * kPageSize;
    m.map(kPage, 0x10000, kP | kW);
    m.map(kOther, 0x11000, kP | kW);
    const TlbContext& tlb = *m.mmu.context();
    REQUIRE(m.resolve(kPage, kWrite).kind == Kind::kHost);
    m.mmu.invlpg(Gva(kPage));
    REQUIRE(m.resolve(kOther, kWrite).kind == Kind::kHost);
    REQUIRE(m.resolve(kPage, kRead).kind == Kind::kHost);
    CHECK(tlb.probe_write(kOther, 1));
    CHECK_FALSE(tlb.probe_write(kPage, 1));
    REQUIRE(m.mmu.resolve(Gva(kPage), 1, kRead, false, VcpuMmu::FillSides::kBoth).kind == Kind::kHost);
    CHECK(tlb.probe_write(kPage, 1));
    CHECK_FALSE(tlb.probe_write(kOther, 1));
}

TEST_CASE("vcpu mmu: MMIO is never in the TLB") {
    Machine m(256);
    for (int i = 0; i < 2; ++i) {
        Resolved result = m.resolve(0xFEE00030, kRead, 4);
        CHECK(result.kind == Kind::kMmio);
        CHECK(result.gpa == Gpa(0xFEE00030));
    }
    CHECK(m.mmu.context()->probe_read(0xFEE00030, 4) == nullptr);
}

TEST_CASE("vcpu mmu: reading untouched memory costs no page; writing it after reading gives one of its own") {
    Machine m;
    CHECK(m.load(0x5000) == 0);
    CHECK(m.guest.entry(5).state() == PageState::kZero);
    CHECK(m.pool->totals().in_use == 0);
    CHECK(m.mmu.context()->probe_write(0x5000, 8) == nullptr);
    // A pointer to the zero page may be held, so the write must not happen at once.
    CHECK(m.resolve(0x5000, kWrite).kind == Kind::kWait);
    m.store(0x5000, 9);
    CHECK(m.load(0x5000) == 9);
    CHECK(m.guest.entry(5).state() == PageState::kResident);
    CHECK(m.pool->host(m.pool->zero_page())[0] == 0);
    m.store(0x6000, 9);  // written first: no wait
    CHECK(m.pool->totals().in_use == 2);
}

TEST_CASE("vcpu mmu: an exhausted pool refuses and loses nothing") {
    Machine m(4096, 2);
    m.store(0x5000, 1);
    m.store(0x6000, 2);
    CHECK(m.resolve(0x7000, kWrite).kind == Kind::kRefused);
    CHECK(m.load(0x8000) == 0);
    CHECK(m.resolve(0x8000, kWrite).kind == Kind::kRefused);
    CHECK(m.load(0x5000) + m.load(0x6000) == 3);
}

TEST_CASE("vcpu mmu: ROM reads, and swallows writes") {
    Machine m(256);
    std::vector<u8> content(5000, 0x5A);
    REQUIRE(m.guest.memory.map_rom(Ppn(0xF0), content));
    CHECK(m.load(0xF0000) == 0x5A5A5A5A5A5A5A5A);
    Resolved write = m.resolve(0xF0000, kWrite);
    REQUIRE(write.kind == Kind::kHost);
    CHECK(write.rom);
    guest_store<u64>(write.host, 1);
    CHECK(m.load(0xF0000) == 0x5A5A5A5A5A5A5A5A);
    CHECK(m.load(0xF1F00) == 0);
    m.guest.memory.set_rom(Ppn(0xF0), 1, false);
    m.store(0xF0000, 7);
    CHECK(m.load(0xF0000) == 7);
    m.guest.memory.set_rom(Ppn(0xF0), 1, true);
    CHECK(m.resolve(0xF0000, kWrite).rom);
    CHECK(m.load(0xF0000) == 7);
}

TEST_CASE("vcpu mmu: A20 masked, odd megabytes are the even ones") {
    Machine m;
    m.store(0x500, 7);
    m.store(0x100500, 8);
    m.guest.memory.set_a20(false);
    CHECK(m.load(0x100500) == 7);
    m.guest.memory.set_a20(true);
    CHECK(m.load(0x100500) == 8);
}

TEST_CASE("vcpu mmu: drop_write leaves reading, drop_ppn leaves nothing") {
    TwoPages m;
    m.store(0x10000, 1);
    m.store(0x11000, 2);
    m.mmu.drop_write(Ppn(0x10));
    CHECK(m.mmu.context()->probe_write(0x10000, 8) == nullptr);
    CHECK(m.mmu.context()->probe_read(0x10000, 8) != nullptr);
    CHECK(m.mmu.context()->probe_write(0x11000, 8) != nullptr);
    m.mmu.drop_ppn(Ppn(0x10));
    CHECK(m.mmu.context()->probe_read(0x10000, 8) == nullptr);
    CHECK(m.mmu.context()->probe_read(0x11000, 8) != nullptr);
}

TEST_CASE(
    "vcpu mmu: after drop_write no address of the page is written without asking, whatever came and went "
    "before") {
    Machine m(8192, 16384);
    m.long_mode(kPcide);
    SeededRandom random(23);
    // 16 pages at 64 addresses each; many share a TLB index, so entries drive each other out.
    auto gva_of = [](u64 page, u64 alias) {
        return 0x7000'0000'0000 + (alias * kTlbEntries + alias / 32 * 4 + page % 4) * 0x1000;
    };
    for (u64 page = 0; page < 16; ++page) {
        for (u64 alias = page; alias < 64; alias += 16)
            m.map(gva_of(page, alias), 0x400000 + page * 0x1000, Machine::kP | Machine::kW);
    }
    u64 roots[2] = {Machine::kRoot, Machine::kRoot + 1};  // two PCIDs see the same tables
    for (int step = 0; step < 20000; ++step) {
        const u64 page = random.below(16), alias = page + 16 * random.below(4);
        if (random.one_in(8))
            m.mmu.set_cr3(roots[random.below(2)], true);
        else if (random.one_in(16))
            m.mmu.invlpg(Gva(gva_of(page, alias)));
        else if (random.one_in(64))
            m.mmu.flush_all();
        else if (random.one_in(4)) {
            m.mmu.drop_write(Ppn(0x400 + page));
            for (u64 root : roots) {
                m.mmu.set_cr3(root, true);
                for (u64 other = page; other < 64; other += 16)
                    REQUIRE(m.mmu.context()->probe_write(gva_of(page, other), 8) == nullptr);
            }
        } else
            m.store(gva_of(page, alias), static_cast<u64>(step));
    }
}

TEST_CASE("vcpu mmu: PDPTEs are checked for reserved bits and used until the next load") {
    TwoPages m;
    m.guest.store(0x3000, 0x4000 | kP);
    m.guest.store(0x4000, 0x5000 | kP | kW | kU);
    m.guest.store(0x5000 + 8 * 7, 0x10000 | kP);
    auto read = [&](Pdptes& pdptes) { return m.mmu.read_pdptes(0x3000, pdptes); };
    using Read = VcpuMmu::PdpteRead;
    Pdptes pdptes, other;
    REQUIRE(read(pdptes) == Read::kRead);
    m.mmu.set_pdptes(pdptes);
    m.mmu.set_control(0x80000011, 0x20, 0);
    m.mmu.set_cr3(0x3000, false);
    CHECK(m.load(0x7000) == 111);
    m.guest.store(0x3000, 0);
    m.mmu.flush_all();
    CHECK(m.load(0x7000) == 111);
    for (u64 reserved : {u64{2}, u64{4}, u64{0x20}, u64{0x100}, u64{1} << 40, u64{1} << 63}) {
        m.guest.store(0x3008, kP | reserved);
        CHECK(read(other) == Read::kReserved);
        m.guest.store(0x3008, reserved);
        CHECK(read(other) == Read::kRead);
    }
}

TEST_CASE("vcpu mmu: random mappings, flushes and switches always agree with a fresh walk after INVLPG") {
    // The model: whatever was changed is flushed, so every later access must see the tables.
    Machine m(8192, 16384);
    m.long_mode(kPcide | kPge);
    SeededRandom random(99);
    for (u64 i = 0; i < 64; ++i) m.guest.store(0x400000 + i * 0x1000, i);
    u64 mapped[2][32] = {};
    bool global[2][32] = {};
    auto gva_of = [](u64 page) { return 0x7000'0000'0000 + page * 0x1000 * 513; };
    u64 roots[2] = {Machine::kRoot, 0x180000};
    m.next_table = 0x190000;
    u64 current = 0;
    for (int step = 0; step < 20000; ++step) {
        u64 page = random.below(32);
        switch (random.below(8)) {
            case 0: {
                u64 target = random.below(64);
                bool g = random.one_in(4);
                for (u64 space = 0; space < 2; ++space) {
                    if (!g && !global[space][page] && space != current) continue;
                    m.map(gva_of(page), 0x400000 + target * 0x1000, kP | (g ? kG : 0), 12, roots[space]);
                    mapped[space][page] = target + 1;
                    global[space][page] = g;
                }
                m.mmu.invpcid(0, 0, Gva(gva_of(page)));
                m.mmu.invpcid(0, 1, Gva(gva_of(page)));
                m.mmu.invlpg(Gva(gva_of(page)));
                break;
            }
            case 1:
                current ^= 1;
                m.mmu.set_cr3(roots[current] | current, random.one_in(2));
                break;
            default: {
                Resolved result = m.access(gva_of(page), kRead);
                if (!mapped[current][page]) {
                    REQUIRE(result.kind == Kind::kFault);
                } else {
                    REQUIRE(result.kind == Kind::kHost);
                    REQUIRE(guest_load<u64>(result.host) == mapped[current][page] - 1);
                }
            }
        }
    }
}
