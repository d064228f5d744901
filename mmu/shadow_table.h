// SPDX-License-Identifier: MIT
// A shadow table: the larger cache behind the front TLB, Vpn -> Ppn and guest rights, 4096 sets of 4. One per
// PCID slot for its own translations and one per vCPU for global ones. It holds no host pointer and no MPN:
// those come from the pmap at each fill, so remapping never touches it.
//
//   key   63..19 VPN (45 bits)    18..0 generation; a flush is a new generation
//   data  27..0 PPN   32 W  33 U  34 X  35 D  36 G   47..40 page shift   51..48 protection key
//
// Pieces of large pages are separate entries. INVLPG must drop all pieces of one (SDM 3A 4.10.4.1), so the
// table remembers which 2 MiB regions (hashed) and which 1 GiB regions ever gave it a piece.
#pragma once

#include <cstring>

#include "mmu/page_walk.h"

namespace shadowbox {

/// What INVLPG must drop: pages [first, first+count), or everything.
struct VpnRange {
    Vpn first;
    u64 count = 1;
    bool everything = false;
};

class ShadowTable {
   public:
    static constexpr unsigned kSets = 4096, kWays = 4;

    /// Lives in zeroed memory; no constructor runs (mmu/tlb_tables.h).
    bool find(Vpn vpn, Translation& t) const {
        u64 key = key_of(vpn);
        const Entry* set = sets_[set_of(vpn)];
        for (unsigned way = 0; way < kWays; ++way) {
            if (set[way].key != key) continue;
            u64 data = set[way].data;
            t.ppn = Ppn(data & 0xFFF'FFFF);
            t.page_shift = static_cast<u8>(data >> 40);
            t.writable = data >> 32 & 1;
            t.user = data >> 33 & 1;
            t.executable = data >> 34 & 1;
            t.dirty = data >> 35 & 1;
            t.global = data >> 36 & 1;
            t.protection_key = data >> 48 & 15;
            return true;
        }
        return false;
    }

    void insert(Vpn vpn, const Translation& t) {
        u64 key = key_of(vpn);
        Entry* set = sets_[set_of(vpn)];
        Entry* place = nullptr;
        for (unsigned way = 0; way < kWays; ++way) {
            if (set[way].key == key) {
                place = &set[way];
                break;
            }
            if (!place && (set[way].key & kGenerationMask) != generation()) place = &set[way];
        }
        if (!place) place = &set[next_victim_++ % kWays];
        *place = {key, t.ppn.value | u64{t.writable} << 32 | u64{t.user} << 33 | u64{t.executable} << 34 |
                           u64{t.dirty} << 35 | u64{t.global} << 36 | u64{t.page_shift} << 40 |
                           u64{t.protection_key} << 48};
        if (t.page_shift > 12) remember_large(vpn, t.page_shift);
    }

    void flush() {
        // Generations number from 1, so that zeroed entries belong to none.
        if (++flushes_ == kGenerationMask) {
            std::memset(sets_, 0, sizeof sets_);
            flushes_ = 0;
        }
        std::memset(large_regions_, 0, sizeof large_regions_);
        giant_count_ = 0;
        has_4m_ = false;
    }

    /// What an INVLPG of `vpn` concerns, as far as this table's entries can tell.
    VpnRange extent(Vpn vpn) const {
        for (unsigned i = 0; i < giant_count_ && i < kGiants; ++i) {
            if (giants_[i] == vpn.value >> 18) return {vpn, 0, true};
        }
        if (giant_count_ > kGiants) return {vpn, 0, true};
        if (!has_region(vpn)) return {vpn, 1, false};
        if (has_4m_) return {Vpn(vpn.value & ~u64{1023}), 1024, false};
        return {Vpn(vpn.value & ~u64{511}), 512, false};
    }
    void drop(const VpnRange& range) {
        if (range.everything) {
            flush();
            return;
        }
        for (u64 i = 0; i < range.count; ++i) drop(range.first + i);
    }
    void drop(Vpn vpn) {
        u64 key = key_of(vpn);
        for (Entry& entry : sets_[set_of(vpn)]) {
            if (entry.key == key) entry.key = 0;
        }
    }

   private:
    struct Entry {
        u64 key, data;
    };
    static constexpr u64 kGenerationMask = (1 << 19) - 1;
    static constexpr unsigned kGiants = 8;

    u64 generation() const { return flushes_ + 1; }
    u64 key_of(Vpn vpn) const { return vpn.value << 19 | generation(); }
    static unsigned set_of(Vpn vpn) { return static_cast<unsigned>(vpn.value ^ vpn.value >> 12) % kSets; }
    bool has_region(Vpn vpn) const {
        u64 region = vpn.value >> 9;
        return large_regions_[region / 64 % 64] >> region % 64 & 1;
    }
    void remember_large(Vpn vpn, unsigned page_shift) {
        if (page_shift == 30) {
            for (unsigned i = 0; i < giant_count_ && i < kGiants; ++i) {
                if (giants_[i] == vpn.value >> 18) return;
            }
            if (giant_count_ < kGiants) giants_[giant_count_] = vpn.value >> 18;
            if (giant_count_ <= kGiants) ++giant_count_;
            return;
        }
        u64 region = vpn.value >> 9;
        large_regions_[region / 64 % 64] |= u64{1} << region % 64;
        if (page_shift == 22) {  // both halves
            region ^= 1;
            large_regions_[region / 64 % 64] |= u64{1} << region % 64;
            has_4m_ = true;
        }
    }

    alignas(64) Entry sets_[kSets][kWays];
    u64 large_regions_[64];
    u64 giants_[kGiants];
    u64 flushes_;
    unsigned next_victim_;
    unsigned giant_count_;  // kGiants + 1: too many to remember
    bool has_4m_;
};

}  // namespace shadowbox
