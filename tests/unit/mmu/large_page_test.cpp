// SPDX-License-Identifier: MIT
// VcpuMmu and large pages: walked once, dropped whole, and never confused when the guest splits or merges
// them.
#include <algorithm>
#include <optional>

#include "core/seeded_random.h"
#include "mmu_fixture.h"

using namespace shadowbox;

namespace {
constexpr u64 kP = Machine::kP, kW = Machine::kW, kU = Machine::kU, kA = Machine::kA, kD = Machine::kD,
              kPs = Machine::kPs, kG = Machine::kG, kNx = Machine::kNx;
constexpr u64 kPge = 0x80, kPcide = 1 << 17, kWp = 0x10000, kLargeSize = u64{1} << 21;
constexpr u64 kPage = kPageSize;
constexpr MemoryAccess kRead = MemoryAccess::kRead, kWrite = MemoryAccess::kWrite,
                       kExecute = MemoryAccess::kExecute;
using Kind = Resolved::Kind;
}  // namespace

TEST_CASE("large pages: one walk serves every piece, for writes once D is set") {
    for (unsigned shift : {21u, 30u}) {
        CAPTURE(shift);
        Machine m(1 << 20, 4096);
        m.long_mode();
        const u64 gva = u64{1} << 39;
        m.map(gva, 0x40000000, kP | kW, shift);
        const MmuCounters& c = m.mmu.counters();
        for (u64 i = 0; i < 512; ++i)
            REQUIRE(m.access(gva + i * kPage, kRead).gpa == Gpa(0x40000000 + i * kPage));
        CHECK(c.walks == 1);
        CHECK(c.large_hits == 511);
        CHECK(m.mmu.large_entries() == 1);
        REQUIRE(m.access(gva + kPage, kWrite).kind == Kind::kHost);
        CHECK(c.walks == 2);
        CHECK((m.guest.load(m.entry_place(gva, shift)) & kD) != 0);
        const u64 before = c.walks;
        for (u64 i = 0; i < 512; ++i) REQUIRE(m.access(gva + i * kPage, kWrite).kind == Kind::kHost);
        CHECK(c.walks == before);
        // The next 2 MiB of a 1 GiB page are an entry of their own.
        if (shift == 30) CHECK(m.access(gva + kLargeSize, kRead).gpa == Gpa(0x40000000 + kLargeSize));
        CHECK(m.mmu.large_entries() == (shift == 30 ? 2 : 1));
    }
}

TEST_CASE("large pages: pieces in the front TLB go with an entry that others drive out") {
    Machine m(1 << 20, 4096);
    m.long_mode();
    auto gva_of = [](u64 k) { return (u64{1} << 39) + k * 513 * kLargeSize; };  // all in one set
    for (u64 k = 0; k < 5; ++k) m.map(gva_of(k), 0x40000000 + k * kLargeSize, kP | kW, 21);
    for (u64 page : {3, 200}) REQUIRE(m.access(gva_of(0) + page * kPage, kWrite).kind == Kind::kHost);
    REQUIRE(m.access(gva_of(0) + 9 * kPage, kExecute).kind == Kind::kHost);
    for (u64 k = 1; k < 5; ++k) {
        CHECK(m.mmu.context()->probe_write(gva_of(0) + 200 * kPage, 8) != nullptr);
        REQUIRE(m.access(gva_of(k), kRead).kind == Kind::kHost);
    }
    CHECK(m.mmu.large_entries() == 4);
    CHECK(m.mmu.context()->probe_write(gva_of(0) + 200 * kPage, 8) == nullptr);
    CHECK(m.mmu.context()->probe_read(gva_of(0) + 3 * kPage, 8) == nullptr);
    CHECK(m.mmu.context()->probe_code(gva_of(0) + 9 * kPage) == nullptr);
    CHECK(m.mmu.context()->probe_read(gva_of(1), 8) != nullptr);
}

TEST_CASE("large pages: a page fault drops every piece") {
    Machine m(1 << 20, 4096);
    m.long_mode(kPge, kWp);
    const u64 gva = u64{1} << 39;
    const u64 global = GENERATE(u64{0}, kG);
    m.map(gva, 0x40000000, kP | global, 21);
    for (u64 i : {0, 7, 300}) REQUIRE(m.access(gva + i * kPage, kRead).kind == Kind::kHost);
    m.map(gva, 0x80000000, kP | global, 21);
    CHECK(m.access(gva + 300 * kPage, kRead).gpa == Gpa(0x40000000 + 300 * kPage));
    CHECK(m.access(gva + 7 * kPage, kWrite).kind == Kind::kFault);
    CHECK(m.mmu.context()->probe_read(gva + 300 * kPage, 8) == nullptr);
    CHECK(m.access(gva + 300 * kPage, kRead).gpa == Gpa(0x80000000 + 300 * kPage));
}

TEST_CASE(
    "large pages: what the last walk of a page found is what is found next, with another G bit or size") {
    const u64 gva = GENERATE(u64{1} << 39, 0xFFFF'8000'0000'0000);
    const u64 old_global = GENERATE(u64{0}, kG), new_global = GENERATE(u64{0}, kG);
    const bool old_large = GENERATE(false, true), new_large = GENERATE(false, true);
    CAPTURE(gva, old_global, new_global, old_large, new_large);
    Machine m(1 << 20, 4096);
    m.long_mode(kPge, kWp);
    const u64 small = m.entry_place(gva, 12), directory = m.entry_place(gva, 21),
              link = m.guest.load(directory);
    auto map = [&](u64 gpa, u64 bits, bool large) {
        if (!large) m.guest.store(small, gpa | bits);
        m.guest.store(directory, large ? gpa | bits | kPs : link);
    };
    map(0x40000000, kP | old_global, old_large);
    REQUIRE(m.access(gva, kRead).gpa == Gpa(0x40000000));
    map(0x80000000, kP | kW | new_global, new_large);
    REQUIRE(m.access(gva, kWrite).gpa == Gpa(0x80000000));
    // CR0.WP empties the front TLB and nothing behind it.
    PagingControl c = m.mmu.control();
    m.mmu.set_control(c.cr0 ^ kWp, c.cr4, c.efer);
    const u64 walks = m.mmu.counters().walks;
    CHECK(m.access(gva, kRead).gpa == Gpa(0x80000000));
    CHECK(m.mmu.counters().walks == walks);
}

TEST_CASE("large pages: with A20 masked each piece of 4 KiB is masked") {
    Machine m(1 << 20, 4096);
    m.next_table = 0x200000;
    m.mmu.set_control(0x80000011, 0x20, 0xD00);
    const u64 root = 0x400000;
    m.mmu.set_cr3(root, false);
    const u64 gva = u64{1} << 39;
    m.map(gva, 0x40000000, kP | kW, 21, root);
    CHECK(m.access(gva + 0x1FF000, kRead).gpa == Gpa(0x401FF000));
    m.guest.memory.set_a20(false);
    CHECK(m.access(gva + 0x1FF000, kRead).gpa == Gpa(0x400FF000));
    CHECK(m.access(gva + 0x0FF000, kRead).gpa == Gpa(0x400FF000));
    m.guest.memory.set_a20(true);
    CHECK(m.access(gva + 0x1FF000, kRead).gpa == Gpa(0x401FF000));
    CHECK(m.mmu.counters().walks == 1);
}

namespace {

/// A translation as the guest's tables say it, with its size.
struct Mapping {
    u64 first_vpn, pages, first_ppn;
    bool writable, executable, global;
    bool covers(u64 vpn) const { return vpn - first_vpn < pages; }
    bool permits(MemoryAccess access) const {
        return access == kWrite ? writable : access == kExecute ? executable : true;
    }
};

struct Leaf {
    u64 place, entry;
    unsigned shift;
};

/// What the manual lets a TLB answer (SDM 3A 4.10.2, 4.10.4): what the tables of the current address space
/// say; what they said since the last invalidation; global ones of any address space. And nothing else.
class Model {
 public:
    static constexpr unsigned kSpaces = 3;

    Model(u64 seed, bool long_mode)
        : random_(seed), long_mode_(long_mode), shift_(long_mode ? 21 : 22), machine_(1 << 20, 4096) {
        lay_out();
        if (long_mode_)
            machine_.mmu.set_control(0x80010011, 0x20 | kPge | kPcide, 0xD00);
        else
            machine_.mmu.set_control(0x80010011, 0x10 | kPge, 0);
        switch_to(0, false);
    }

    void step() {
        switch (random_.below(16)) {
            case 0:
            case 1:
            case 2: modify(); break;
            case 3: invalidate(); break;
            case 4:
                if (random_.one_in(2))
                    switch_to(static_cast<unsigned>(random_.below(kSpaces)), random_.one_in(2));
                break;
            default: access();
        }
        if (random_.one_in(500)) machine_.guest.memory.set_a20(a20_ = !a20_);
    }
    Machine& machine() { return machine_; }
    u64 sure = 0, stale_seen = 0, faults = 0;  ///< accesses: one answer was right; an old one came; fault

 private:
    /// A 2 or 4 MiB region of which some pages are used.
    struct Region {
        u64 gva;
        std::vector<u64> pages;
        u64 table[kSpaces];  ///< its page table, linked or not
        u64 giant_table[kSpaces];
        bool high;
    };
    SeededRandom random_;
    bool long_mode_;
    unsigned shift_;
    Machine machine_;
    std::vector<Region> regions_;
    u64 roots_[kSpaces];
    u64 next_ = 0x200000;  // an even megabyte, so that A20 leaves tables alone
    std::vector<Mapping> stale_[kSpaces], stale_global_;
    unsigned space_ = 0;
    bool a20_ = true;

    u64 take() { return std::exchange(next_, next_ + kPage); }
    unsigned entry_size() const { return long_mode_ ? 8 : 4; }
    u64 get(u64 place) {
        return long_mode_ ? machine_.guest.load(place) : machine_.guest.load(place) & 0xFFFF'FFFF;
    }
    void put(u64 place, u64 entry) { machine_.guest.store(place, entry, entry_size()); }
    u64 place(u64 table, u64 gva, unsigned shift) const {
        return table + (gva >> shift & (4096 / entry_size() - 1)) * entry_size();
    }

    void lay_out() {
        for (u64& root : roots_) root = take();
        for (u64 k = 0; k < 8; ++k) {
            u64 giants[kSpaces] = {};
            for (unsigned part = 0; part < 2; ++part) {
                Region region;
                region.high = k >= 6;
                // The first regions of all k meet in one set of the table for large entries.
                const u64 base = region.high ? 0xFFFF'8000'0000'0000 : u64{1} << 39;
                region.gva = long_mode_ ? base + k * 513 * kLargeSize + part * 100 * kLargeSize
                                        : (k * 37 + part * 500 + 1) << 22;
                for (u64 page : {0, 5, 511}) {
                    region.pages.push_back(region.gva + page * kPage);
                    if (!long_mode_) region.pages.push_back(region.gva + (page + 512) * kPage);
                }
                for (unsigned s = 0; s < kSpaces; ++s) {
                    region.table[s] = take();
                    if (long_mode_ && part == 0) giants[s] = take();
                    region.giant_table[s] = giants[s];
                    if (!long_mode_) continue;
                    const u64 upper = place(roots_[s], region.gva, 39);
                    if (!get(upper)) put(upper, take() | kP | kW | kU);
                    put(place(get(upper) & ~u64{0xFFF}, region.gva, 30), giants[s] | kP | kW | kU);
                }
                regions_.push_back(region);
            }
        }
        REQUIRE(next_ < 0x300000);
    }

    u64 giant_place(unsigned space, u64 gva) {
        return place(get(place(roots_[space], gva, 39)) & 0xFF'FFFF'F000, gva, 30);
    }

    /// The test's own walk.
    std::optional<Leaf> leaf(unsigned space, u64 gva) {
        u64 table = roots_[space];
        for (unsigned shift = long_mode_ ? 39 : 22;; shift -= long_mode_ ? 9 : 10) {
            const u64 at = place(table, gva, shift), entry = get(at);
            if (!(entry & kP)) return std::nullopt;
            if (shift == 12 || (entry & kPs)) return Leaf{at, entry, shift};
            table = entry & 0xFF'FFFF'F000;
        }
    }
    Mapping mapping(const Leaf& leaf, u64 gva) const {
        const u64 pages = u64{1} << (leaf.shift - 12);
        return {gva >> 12 & ~(pages - 1),
                pages,
                (leaf.entry & 0xFF'FFFF'F000) >> 12 & ~(pages - 1),
                (leaf.entry & kW) != 0,
                !(leaf.entry & kNx),
                (leaf.entry & kG) != 0};
    }

    Region& any_region() { return regions_[random_.below(regions_.size())]; }
    u64 any_page(const Region& region) { return region.pages[random_.below(region.pages.size())]; }
    u64 attributes(const Region& region) {
        u64 bits = kP | kU;
        if (!random_.one_in(4)) bits |= kW;
        if (long_mode_ && random_.one_in(4)) bits |= kNx;
        if (region.high ? !random_.one_in(4) : random_.one_in(4)) bits |= kG;
        return bits;
    }

    /// The guest changes an entry. What it said before may be cached from now on until it is invalidated.
    void modify() {
        const unsigned space = static_cast<unsigned>(random_.below(kSpaces));
        const Region& region = any_region();
        const u64 gva = any_page(region), link = kP | kW | kU;
        std::vector<std::optional<Leaf>> before;
        for_each_page([&](u64 page) { before.push_back(leaf(space, page)); });
        const u64 directory = long_mode_ ? region.giant_table[space] : roots_[space];
        switch (random_.below(long_mode_ ? 8 : 6)) {
            case 0:
            case 1:
                put(place(directory, gva, shift_),
                    (0x10000000 + (random_.below(8) << shift_)) | attributes(region) | kPs);
                break;
            case 2: put(place(directory, gva, shift_), region.table[space] | link); break;
            case 3:
            case 4:
                put(place(region.table[space], gva, 12),
                    random_.one_in(6) ? 0 : (0x700000 + random_.below(64) * kPage) | attributes(region));
                break;
            case 5:
                if (std::optional<Leaf> at = leaf(space, gva))
                    put(at->place, at->entry & ~(random_.one_in(2) ? kA | kD : kD));
                break;
            case 6:
                put(giant_place(space, gva),
                    random_.one_in(8) ? 0 : ((1 + random_.below(3)) << 30) | attributes(region) | kPs);
                break;
            default: put(giant_place(space, gva), region.giant_table[space] | link);
        }
        unsigned i = 0;
        for_each_page([&](u64 page) {
            const std::optional<Leaf> old = before[i++], now = leaf(space, page);
            if (!old || (now && now->place == old->place && now->entry == old->entry)) return;
            const Mapping was = mapping(*old, page);
            (was.global ? stale_global_ : stale_[space]).push_back(was);
        });
    }
    template <class Visit>
    void for_each_page(Visit visit) {
        for (const Region& region : regions_) {
            for (u64 page : region.pages) visit(page);
        }
    }

    static void forget(std::vector<Mapping>& list, u64 gva) {
        std::erase_if(list, [&](const Mapping& m) { return m.covers(gva >> 12); });
    }
    void forget_all(bool global) {
        for (auto& list : stale_) list.clear();
        if (global) stale_global_.clear();
    }
    void invalidate() {
        const u64 gva = any_page(any_region()) + random_.below(kPage);
        VcpuMmu& mmu = machine_.mmu;
        const unsigned kind = static_cast<unsigned>(random_.below(long_mode_ ? 24 : 16)),
                       space = static_cast<unsigned>(random_.below(kSpaces));
        if (kind < 14) {
            mmu.invlpg(Gva(gva));
            forget(stale_[space_], gva);
            forget(stale_global_, gva);
        } else if (kind < 16) {
            PagingControl c = mmu.control();
            mmu.set_control(c.cr0, c.cr4 ^ kPge, c.efer);
            mmu.set_control(c.cr0, c.cr4, c.efer);
            forget_all(true);
        } else if (kind < 20) {
            mmu.invpcid(0, static_cast<u16>(space), Gva(gva));
            forget(stale_[space], gva);
        } else if (kind < 22) {
            mmu.invpcid(1, static_cast<u16>(space), Gva(0));
            stale_[space].clear();
        } else {
            mmu.invpcid(kind == 22 ? 2 : 3, 0, Gva(0));
            forget_all(kind == 22);
        }
    }
    void switch_to(unsigned space, bool keep) {
        space_ = space;
        machine_.mmu.set_cr3(roots_[space] | (long_mode_ ? space : 0), keep && long_mode_);
        if (!long_mode_)
            forget_all(false);  // all are PCID 0
        else if (!keep)
            stale_[space].clear();
    }

    /// The page that an access reaches, as a vCPU makes it: front TLB first.
    std::optional<u64> reach(u64 gva, MemoryAccess access) {
        const TlbContext& tlb = *machine_.mmu.context();
        constexpr u64 kPpnBits = ~(u64{1} << 63);
        const unsigned i = TlbContext::index(gva);
        if (access == kRead && tlb.probe_read(gva, 8)) return tlb.read_ppn[i] & kPpnBits;
        if (access == kWrite && tlb.probe_write(gva, 8)) return tlb.write_ppn[i] & kPpnBits;
        if (access == kExecute && tlb.probe_code(gva)) return tlb.probe_code(gva)->ppn();
        const Resolved result = machine_.access(gva, access);
        if (result.kind == Kind::kFault) return std::nullopt;
        REQUIRE(result.kind == Kind::kHost);
        return result.gpa.ppn().value;
    }

    void access() {
        const u64 gva = any_page(any_region()), vpn = gva >> 12;
        const MemoryAccess kind = random_.one_in(3) ? kWrite : random_.one_in(4) ? kExecute : kRead;
        std::vector<Mapping> others;
        const auto consider = [&](const Mapping& m) {
            if (m.covers(vpn)) others.push_back(m);
        };
        for (const Mapping& m : stale_[space_]) consider(m);
        for (const Mapping& m : stale_global_) consider(m);
        for (unsigned s = 0; s < kSpaces; ++s) {
            std::optional<Leaf> at = s == space_ ? std::nullopt : leaf(s, gva);
            if (at && (at->entry & kG)) consider(mapping(*at, gva));
        }
        const std::optional<Leaf> at = leaf(space_, gva);
        const auto is_of = [&](const Mapping& m, u64 ppn) {
            const u64 expected = m.first_ppn + (vpn - m.first_vpn);
            return m.permits(kind) && ppn == (a20_ ? expected : expected & ~u64{1 << 8});
        };
        CAPTURE(gva, space_, static_cast<int>(kind), others.size(), at.has_value());
        const std::optional<u64> ppn = reach(gva, kind);
        if (!ppn) {
            ++faults;
            REQUIRE_FALSE((at && mapping(*at, gva).permits(kind)));
            forget(stale_[space_], gva);
            return;
        }
        if (at && is_of(mapping(*at, gva), *ppn)) {
            if (!others.empty()) return;
            ++sure;
            REQUIRE((get(at->place) & kA) != 0);
            if (kind == kWrite) REQUIRE((get(at->place) & kD) != 0);
            return;
        }
        ++stale_seen;
        REQUIRE(std::any_of(others.begin(), others.end(), [&](const Mapping& m) { return is_of(m, *ppn); }));
    }
};

}  // namespace

TEST_CASE("large pages: split, merged and flushed at random, every access finds what the manual allows") {
    const bool long_mode = GENERATE(true, false);
    const u64 seed = GENERATE(1, 2, 3);
    CAPTURE(long_mode, seed);
    Model model(seed, long_mode);
    u64 most_large = 0;
    for (int i = 0; i < 30000; ++i) {
        model.step();
        most_large = std::max<u64>(most_large, model.machine().mmu.large_entries());
    }
    // All that is to be tested took place.
    CHECK(model.sure > 3000);
    CHECK(model.stale_seen > 300);
    CHECK(model.faults > 300);
    CHECK(model.machine().mmu.counters().large_hits > 300);
    CHECK(most_large > 4);
}
