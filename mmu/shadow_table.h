// SPDX-License-Identifier: MIT
// A shadow table: the larger cache behind the front TLB, Vpn -> Ppn and guest rights. One per PCID slot for
// its own translations and one per vCPU for global ones. It holds no host pointer and no MPN: those come from
// the pmap at each fill, so remapping never touches it. VcpuMmu is the only user; the front TLB is the user's
// affair.
//
//   small  4096 sets of 4, a 4 KiB page each
//   large   512 sets of 4, 512 pages each: a 2 MiB page, half of a 4 MiB page, or 2 MiB of a 1 GiB page
//
//   key   63..19 VPN (45 bits), of a large entry its first page's    18..0 generation; a flush is a new
//   generation data  27..0 PPN   32 W  33 U  34 X  35 D  36 G   47..40 page shift   51..48 protection key
//
// The front TLB has a translation of a large page in pieces of 4 KiB, and INVLPG must drop all of them (SDM
// 3A 4.10.4.1). So they may be there only as long as the large entry is here: whatever drops one returns the
// pages to drop in front.
#pragma once

#include "mmu/page_walk.h"

namespace shadowbox {

/// What must go from the front TLB: pages [first, first+count), or everything.
struct VpnRange {
    Vpn first;
    u64 count = 1;
    bool everything = false;
    bool single() const { return count == 1; }
};

class ShadowTable {
 public:
    static constexpr unsigned kSets = 4096, kLargeSets = 512, kWays = 4;

    /// Lives in zeroed memory; no constructor runs (mmu/tlb_tables.h).
    bool find(Vpn vpn, Translation& t) const {
        // Large first: a page has both entries only if the guest made a large page of small ones and has not
        // told us yet.
        const Entry* entry =
            may_be_large(vpn) ? find_in(large_[large_set_of(vpn)], key_of(first_of(vpn))) : nullptr;
        if (!entry) entry = find_in(small_[set_of(vpn)], key_of(vpn));
        if (!entry) return false;
        const u64 data = entry->data;
        t.page_shift = static_cast<u8>(data >> 40);
        t.ppn = Ppn((data & 0xFFF'FFFF) + (t.page_shift > kPageShift ? vpn.value % kPagesPerLarge : 0));
        t.writable = data >> 32 & 1;
        t.user = data >> 33 & 1;
        t.executable = data >> 34 & 1;
        t.dirty = data >> 35 & 1;
        t.global = data >> 36 & 1;
        t.protection_key = data >> 48 & 15;
        return true;
    }

    /// Enters what a walk found, in place of what was known of the page. Returns the pages of large entries
    /// that had to go, or else just `vpn`.
    [[nodiscard]] VpnRange insert(Vpn vpn, const Translation& t);
    /// Drops the translations of `vpn`. Returns all pages of what went; those may be in the front TLB
    /// although nothing was here.
    [[nodiscard]] VpnRange drop(Vpn vpn);
    void flush();

    unsigned large_entries() const { return large_entries_; }

 private:
    struct Entry {
        u64 key, data;
    };
    static constexpr u64 kGenerationMask = (1 << 19) - 1;
    static constexpr unsigned kRegions = 4096, kGiants = 1024;

    u64 generation() const { return flushes_ + 1; }
    bool current(const Entry& entry) const { return (entry.key & kGenerationMask) == generation(); }
    u64 key_of(Vpn vpn) const { return vpn.value << 19 | generation(); }
    static Vpn first_of(Vpn vpn) { return Vpn(vpn.value & ~u64{kPagesPerLarge - 1}); }
    static unsigned set_of(Vpn vpn) { return static_cast<unsigned>(vpn.value ^ vpn.value >> 12) % kSets; }
    static unsigned large_set_of(Vpn vpn) {
        return static_cast<unsigned>(vpn.value >> 9 ^ vpn.value >> 18) % kLargeSets;
    }
    static const Entry* find_in(const Entry (&set)[kWays], u64 key) {
        for (const Entry& entry : set) {
            if (entry.key == key) return &entry;
        }
        return nullptr;
    }
    /// Spares most pages outside of large ones the search for a large entry.
    bool may_be_large(Vpn vpn) const {
        const u64 region = vpn.value >> 9;
        return regions_[region / 64 % (kRegions / 64)] >> region % 64 & 1;
    }
    static unsigned giant_of(Vpn vpn) {
        return static_cast<unsigned>(vpn.value >> 18 ^ vpn.value >> 28) % kGiants;
    }

    Entry& place_in(Entry (&set)[kWays], u64 key);
    bool erase(Entry (&set)[kWays], u64 key);
    VpnRange drop_large(Vpn vpn);
    VpnRange insert_large(Vpn vpn, const Translation& t, u64 data);

    alignas(64) Entry small_[kSets][kWays];
    Entry large_[kLargeSets][kWays];
    // What large entries there have been since the last flush, by hashes.
    u64 regions_[kRegions / 64];  ///< 2 MiB regions
    u64 giants_[kGiants / 64];    ///< 1 GiB pages: pieces of one are not found from each other
    u64 flushes_;
    unsigned next_victim_;
    unsigned large_entries_;
    bool had_large_;
    bool has_4m_;  ///< then all large entries are halves of 4 MiB pages
};

}  // namespace shadowbox
