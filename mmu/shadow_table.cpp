// SPDX-License-Identifier: MIT
// ShadowTable: what changes it.
#include "mmu/shadow_table.h"

#include <cstring>

namespace shadowbox {

ShadowTable::Entry& ShadowTable::place_in(Entry (&set)[kWays], u64 key) {
    Entry* free = nullptr;
    for (Entry& entry : set) {
        if (entry.key == key) return entry;
        if (!free && !current(entry)) free = &entry;
    }
    return free ? *free : set[next_victim_++ % kWays];
}

bool ShadowTable::erase(Entry (&set)[kWays], u64 key) {
    for (Entry& entry : set) {
        if (entry.key != key) continue;
        entry.key = 0;
        return true;
    }
    return false;
}

VpnRange ShadowTable::insert(Vpn vpn, const Translation& t) {
    const u64 data = t.ppn.value | u64{t.writable} << 32 | u64{t.user} << 33 | u64{t.executable} << 34 |
                     u64{t.dirty} << 35 | u64{t.global} << 36 | u64{t.page_shift} << 40 |
                     u64{t.protection_key} << 48;
    if (t.page_shift > kPageShift) return insert_large(vpn, t, data);
    const VpnRange gone = drop_large(vpn);
    const u64 key = key_of(vpn);
    place_in(small_[set_of(vpn)], key) = {key, data};
    return gone;
}

VpnRange ShadowTable::insert_large(Vpn vpn, const Translation& t, u64 data) {
    erase(small_[set_of(vpn)], key_of(vpn));
    const u64 key = key_of(first_of(vpn));
    Entry& place = place_in(large_[large_set_of(vpn)], key);
    VpnRange gone{vpn, 1};
    if (!current(place)) {
        ++large_entries_;
    } else if (place.key != key) {
        // The key has the VPN's lower 45 bits, which are all that a canonical address has.
        const u64 victim = static_cast<u64>(static_cast<i64>(place.key) >> 19) << kPageShift;
        gone = {Gva(victim).vpn(), kPagesPerLarge};
    }
    had_large_ = true;
    place = {key, data - vpn.value % kPagesPerLarge};
    const u64 region = vpn.value >> 9;
    regions_[region / 64 % (kRegions / 64)] |= u64{1} << region % 64;
    if (t.page_shift == 30) giants_[giant_of(vpn) / 64] |= u64{1} << giant_of(vpn) % 64;
    if (t.page_shift == 22) has_4m_ = true;
    return gone;
}

VpnRange ShadowTable::drop_large(Vpn vpn) {
    const auto erased = [this](Vpn piece) {
        if (!may_be_large(piece) || !erase(large_[large_set_of(piece)], key_of(first_of(piece))))
            return false;
        --large_entries_;
        return true;
    };
    bool any = erased(vpn);
    if (!has_4m_) return any ? VpnRange{first_of(vpn), kPagesPerLarge} : VpnRange{vpn, 1};
    any |= erased(Vpn(vpn.value ^ kPagesPerLarge));
    return any ? VpnRange{Vpn(vpn.value & ~u64{2 * kPagesPerLarge - 1}), 2 * kPagesPerLarge}
               : VpnRange{vpn, 1};
}

VpnRange ShadowTable::drop(Vpn vpn) {
    if (giants_[giant_of(vpn) / 64] >> giant_of(vpn) % 64 & 1) {
        flush();
        return {vpn, 0, true};
    }
    erase(small_[set_of(vpn)], key_of(vpn));
    return drop_large(vpn);
}

void ShadowTable::flush() {
    // Generations number from 1, so that zeroed entries belong to none.
    if (++flushes_ == kGenerationMask) {
        std::memset(small_, 0, sizeof small_);
        std::memset(large_, 0, sizeof large_);
        flushes_ = 0;
    }
    if (!had_large_) return;
    std::memset(regions_, 0, sizeof regions_);
    std::memset(giants_, 0, sizeof giants_);
    large_entries_ = 0;
    had_large_ = has_4m_ = false;
}

}  // namespace shadowbox
