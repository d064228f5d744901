// SPDX-License-Identifier: MIT
#include "tests/fuzz/reference_walk.h"

#include <cstring>

namespace shadowbox::fuzz {

namespace {

constexpr unsigned kMaxPhyAddr = kPhysicalBits;

bool bit(u64 value, unsigned number) { return value >> number & 1; }
u64 field(u64 value, unsigned high, unsigned low) {
    return value >> low & ((u64{1} << (high - low + 1)) - 1);
}
bool any(u64 value, unsigned high, unsigned low) { return high >= low && field(value, high, low) != 0; }

u64 load(const std::vector<u8>& memory, u64 where, unsigned size) {
    u64 value = ~u64{0};
    if (where + size <= memory.size()) {
        value = 0;
        memcpy(&value, memory.data() + where, size);
    }
    return size == 4 ? value & 0xFFFFFFFF : value;
}
void set_bits(std::vector<u8>& memory, u64 where, u64 bits) {
    if (where + 1 <= memory.size()) memory[where] = static_cast<u8>(memory[where] | bits);
}

struct Level {
    unsigned high, low;  // bits of the linear address that index the table
    bool may_map;        // bit 7 says that the entry maps a page
};

struct Entry {
    u64 where, value;
};

bool reserved_bits_set(const PagingControl& c, u64 entry, const Level& level, bool maps_large) {
    bool pae = bit(c.cr4, 5), long_mode = bit(c.efer, 10);
    if (!pae) return maps_large && bit(entry, 21);  // figure 4-4: PSE-36 with 40 bits uses 20:13, bit 21 is 0
    if (long_mode ? any(entry, 51, kMaxPhyAddr) : any(entry, 62, kMaxPhyAddr)) return true;
    if (bit(entry, 63) && !bit(c.efer, 11)) return true;                 // XD without NXE
    if (bit(entry, 7) && !level.may_map && level.low > 12) return true;  // PS in a PML4E or PML5E
    if (maps_large && level.low == 30 && any(entry, 29, 13)) return true;
    if (maps_large && level.low == 21 && any(entry, 20, 13)) return true;
    return false;
}

u32 error_code(const PagingControl& c, WalkAccess a, bool present, bool reserved, bool key) {
    u32 code = 0;
    if (present) code |= 1;
    if (a.write) code |= 2;
    if (a.user) code |= 4;
    if (reserved) code |= 8;
    if (a.execute && (bit(c.cr4, 20) || (bit(c.cr4, 5) && bit(c.efer, 11)))) code |= 16;
    if (key) code |= 32;
    return code;
}

/// SDM 3A 4.6.2.
bool key_denies(const PagingControl& c, const ReferenceResult& r, WalkAccess a) {
    if (!bit(c.efer, 10) || !bit(c.cr4, 22)) return false;
    if (a.execute || !r.user) return false;
    bool access_disable = bit(c.pkru, 2 * r.key), write_disable = bit(c.pkru, 2 * r.key + 1);
    if (access_disable) return true;
    if (!a.write || !write_disable) return false;
    return a.user || bit(c.cr0, 16);
}

/// SDM 3A 4.6.1, sentence by sentence.
bool rights_deny(const PagingControl& c, const ReferenceResult& r, WalkAccess a) {
    if (!a.user) {
        if (a.execute) return r.user ? bit(c.cr4, 20) || !r.executable : !r.executable;
        if (r.user && bit(c.cr4, 21) && !a.explicit_ac) return true;
        if (a.write) return bit(c.cr0, 16) && !r.writable;
        return false;
    }
    if (!r.user) return true;
    if (a.execute) return !r.executable;
    return a.write && !r.writable;
}

}  // namespace

ReferenceResult reference_walk(const PagingControl& c, std::vector<u8>& memory, u64 gva, WalkAccess access) {
    ReferenceResult r;
    if (!bit(c.cr0, 31)) {
        r.gpa = gva & 0xFFFFFFFF;
        return r;
    }
    bool pae = bit(c.cr4, 5), long_mode = bit(c.efer, 10);
    std::vector<Level> levels;
    if (!pae)
        levels = {{31, 22, bit(c.cr4, 4)}, {21, 12, true}};
    else if (!long_mode)
        levels = {{29, 21, true}, {20, 12, true}};
    else
        levels = {{47, 39, false}, {38, 30, true}, {29, 21, true}, {20, 12, true}};
    if (pae && long_mode && bit(c.cr4, 12)) levels.insert(levels.begin(), Level{56, 48, false});
    unsigned size = pae ? 8 : 4;
    u64 table = !pae ? c.cr3 & 0xFFFFF000 : field(c.cr3, kMaxPhyAddr - 1, 12) << 12;
    if (pae && !long_mode) {
        u64 pdpte = c.pdpte[field(gva, 31, 30)];
        if (!bit(pdpte, 0)) {
            r.fault = error_code(c, access, false, false, false);
            return r;
        }
        table = field(pdpte, kMaxPhyAddr - 1, 12) << 12;
    }
    std::vector<Entry> path;
    for (const Level& level : levels) {
        u64 where = table + field(gva, level.high, level.low) * size, entry = load(memory, where, size);
        path.push_back({where, entry});
        if (!bit(entry, 0)) {
            r.fault = error_code(c, access, false, false, false);
            return r;
        }
        bool maps_large = level.low > 12 && level.may_map && bit(entry, 7);
        if (reserved_bits_set(c, entry, level, maps_large)) {
            r.fault = error_code(c, access, true, true, false);
            return r;
        }
        if (!bit(entry, 1)) r.writable = false;
        if (!bit(entry, 2)) r.user = false;
        if (pae && bit(entry, 63)) r.executable = false;
        if (maps_large || level.low == 12) {
            u64 frame = pae ? field(entry, kMaxPhyAddr - 1, level.low) << level.low
                            : field(entry, 31, level.low) << level.low;
            if (!pae && maps_large) frame |= field(entry, 20, 13) << 32;
            r.gpa = frame | field(gva, level.low - 1, 0);
            r.page_shift = level.low;
            r.global = bit(entry, 8) && bit(c.cr4, 7);
            if (long_mode && pae) r.key = static_cast<u8>(field(entry, 62, 59));
            break;
        }
        table = pae ? field(entry, kMaxPhyAddr - 1, 12) << 12 : field(entry, 31, 12) << 12;
    }
    bool key = key_denies(c, r, access);
    if (key || rights_deny(c, r, access)) {
        r.fault = error_code(c, access, true, false, key);
        return r;
    }
    for (const Entry& entry : path) set_bits(memory, entry.where, 0x20);
    if (access.write) set_bits(memory, path.back().where, 0x40);
    return r;
}

}  // namespace shadowbox::fuzz
