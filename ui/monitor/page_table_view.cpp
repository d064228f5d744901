// SPDX-License-Identifier: MIT
#include "ui/monitor/page_table_view.h"

#include <cstring>

#include "mmu/page_rights.h"

namespace shadowbox {

namespace {

constexpr u64 kPresent = 1, kWritable = 2, kUser = 4, kLarge = 1 << 7, kNoExecute = u64{1} << 63;
constexpr u64 kAddress = 0x000FFFFFFFFFF000;
constexpr u64 kMostEntries = 2'000'000;

class Walk {
 public:
    Walk(const PagingControl& control, const GuestMemory& memory,
         const std::function<void(const TableEntry&)>& visit)
        : control_(control), memory_(memory), visit_(visit) {
        pae_ = control.cr4 & cr::kPae;
        long_ = control.efer & cr::kLma;
        top_ = long_ ? (control.cr4 & cr::kLa57 ? 5 : 4) : pae_ ? 3 : 2;
    }

    bool run() {
        TableEntry root;
        root.user = root.writable = true;
        if (!long_ && pae_) return pointer_table(root);
        u64 table = long_ ? control_.cr3 & kAddress : control_.cr3 & 0xFFFFF000;
        return walk_table(Gpa(table), top_, root);
    }

 private:
    unsigned index_bits() const { return pae_ || long_ ? 9 : 10; }
    unsigned shift(unsigned level) const { return 12 + index_bits() * (level - 1); }

    /// PAE: four registers, loaded with CR3 (SDM 3A 4.4.1).
    bool pointer_table(const TableEntry& root) {
        for (unsigned i = 0; i < 4; ++i) {
            u64 raw = control_.pdpte[i];
            if (!(raw & kPresent)) continue;
            TableEntry entry = root;
            entry.level = 3, entry.index = i, entry.first = Gva(u64{i} << 30), entry.span = u64{1} << 30,
            entry.raw = raw;
            entry.target = Gpa(raw & kAddress);
            visit_(entry);
            if (!walk_table(entry.target, 2, entry)) return false;
        }
        return true;
    }

    bool walk_table(Gpa table, unsigned level, const TableEntry& above) {
        alignas(8) u8 bytes[kPageSize];
        if (!memory_.peek(table, bytes)) return true;  // points at no memory: maps nothing
        unsigned size = pae_ || long_ ? 8 : 4;
        for (unsigned i = 0; i < kPageSize / size; ++i) {
            u64 raw = 0;
            std::memcpy(&raw, bytes + i * size, size);
            if (!(raw & kPresent)) continue;
            if (++seen_ > kMostEntries) return false;
            if (!walk_entry(make_entry(raw, i, level, above))) return false;
        }
        return true;
    }

    TableEntry make_entry(u64 raw, unsigned index, unsigned level, const TableEntry& above) const {
        TableEntry entry;
        entry.level = level, entry.index = index, entry.raw = raw, entry.span = u64{1} << shift(level);
        u64 first = above.first.value + (u64{index} << shift(level));
        if (level == top_ && long_ && index >= 256) first |= ~u64{0} << (shift(level) + 9);  // canonical
        entry.first = Gva(first);
        bool can_be_large = level == 2 ? pae_ || long_ || (control_.cr4 & cr::kPse) : level == 3 && long_;
        entry.leaf = level == 1 || (can_be_large && (raw & kLarge));
        u64 target = raw & (size_mask());
        if (entry.leaf && level > 1) target &= ~(entry.span - 1);
        if (entry.leaf && level == 2 && !pae_ && !long_) target |= (raw >> 13 & 0xFF) << 32;  // PSE-36
        entry.target = Gpa(target);
        entry.user = above.user && (raw & kUser);
        entry.writable = above.writable && (raw & kWritable);
        entry.no_execute =
            above.no_execute || ((control_.efer & cr::kNxe) && (pae_ || long_) && (raw & kNoExecute));
        return entry;
    }
    u64 size_mask() const { return pae_ || long_ ? kAddress : 0xFFFFF000; }

    bool walk_entry(const TableEntry& entry) {
        visit_(entry);
        return entry.leaf || walk_table(entry.target, entry.level - 1, entry);
    }

    const PagingControl& control_;
    const GuestMemory& memory_;
    const std::function<void(const TableEntry&)>& visit_;
    bool pae_, long_;
    unsigned top_;
    u64 seen_ = 0;
};

}  // namespace

bool visit_page_tables(const PagingControl& control, const GuestMemory& memory,
                       const std::function<void(const TableEntry&)>& visit) {
    return Walk(control, memory, visit).run();
}

std::string entry_flags(u64 raw, bool present) {
    static constexpr struct {
        unsigned bit;
        char letter;
    } kFlags[] = {{63, 'X'}, {8, 'G'}, {7, 'P'}, {6, 'D'}, {5, 'A'}, {4, 'C'}, {3, 'T'}, {2, 'U'}, {1, 'W'}};
    std::string text;
    for (auto [bit, letter] : kFlags) text += raw >> bit & 1 ? (present && bit == 7 ? 'S' : letter) : '-';
    if (present) text += raw & 1 ? 'P' : '-';
    return text;
}

}  // namespace shadowbox
