// SPDX-License-Identifier: MIT
// The pmap of one guest: PPN -> what backs it. One 64-bit atomic word per page, in a two-level table over the
// whole 40-bit physical space; a missing leaf means MMIO.
//
//   63              24 23..16 15  14..8     7         6       5       4     3..0
//  +------------------+------+---+---------+---------+-------+-------+-----+-------+
//  | MPN or slot      | spare| A | protect | written | cached| moving| busy| state |
//  +------------------+------+---+---------+---------+-------+-------+-----+-------+
//
//   busy     the PPN lock: held for a few hundred nanoseconds, never across a wait for anybody, a system call
//            or the first touch of host memory. A reader who only wants a host pointer spins until it is
//            clear.
//   moving   somebody owns a remap of this page (mmu/remap.h) or its swap-in (PageFill in mmu/fill_page.h):
//            readable if it has an MPN, but no write, pin or other remap until it is clear. The owner may
//            wait for vCPUs meanwhile.
//   cached   a vCPU may hold a host pointer to this MPN, or be walking it. While set, the MPN changes only by
//            the remap protocol.
//   written  a vCPU may hold the right to write without asking.
//   protect  reasons why a write must ask first (ProtectReason). Each has its own bit; clearing one never
//            clears another.
//   A        some access went through the slow path since the bit was last cleared (sampling).
//   slot     of a page that is elsewhere: 32 bits of the pager's number, above them 8 of its generation, so
//            that a slot's second life is not taken for its first.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "core/check.h"
#include "mmu/page_types.h"
#include "mmu/ppn_table.h"

namespace shadowbox {

enum class PageState : u8 {
    kMmio,       ///< no memory: a device or nothing
    kUntouched,  ///< RAM, never written; reads as zeros
    kResident,   ///< a machine page of its own
    kZero,       ///< the zero page, read-only
    kShared,     ///< a machine page with several owners, read-only
    kPatched,    ///< a reference page and a difference
    kCompressed,
    kSwapped,
    kBallooned,  ///< given up by the guest's balloon driver
    kRom,        ///< a machine page of its own that the guest cannot change
};
constexpr unsigned kPageStates = 10;
const char* page_state_name(PageState state);

/// Why a write must take the slow path. Bits.
enum ProtectReason : u8 {
    kProtectCow = 1,        ///< the content has several owners, or is the zero page
    kProtectCode = 2,       ///< holds cached code
    kProtectTrace = 4,      ///< somebody wants to see every write
    kProtectDirtyLog = 8,   ///< clean since the dirty log was last read
    kProtectRom = 16,       ///< RAM that the chipset makes read-only (PAM)
    kProtectMove = 32,      ///< a remap has the content frozen; comes and goes with 'moving'
    kProtectSnapshot = 64,  ///< a copy of the content is being taken; the first write calls it off
};
constexpr unsigned kProtectReasons = 7;
const char* protect_reason_name(unsigned bit);
/// Reasons that end with the first write, which goes on without asking anybody.
constexpr u8 kProtectUntilWrite = kProtectDirtyLog | kProtectSnapshot;

/// One word of the pmap, by value.
class PmapEntry {
 public:
    static constexpr u64 kBusy = 1 << 4, kMoving = 1 << 5, kCached = 1 << 6, kWritten = 1 << 7,
                         kAccessed = 1 << 15;
    static constexpr unsigned kReasonShift = 8, kNumberShift = 24, kGenerationShift = 32;

    constexpr PmapEntry() = default;
    constexpr explicit PmapEntry(u64 word) : word_(word) {}
    static constexpr PmapEntry of(PageState state, u64 number = 0, u8 reasons = 0) {
        return PmapEntry(static_cast<u64>(state) | u64{reasons} << kReasonShift | number << kNumberShift);
    }
    /// A page that is elsewhere: in the pager's slot `slot` (32 bits) in its life `generation`.
    static constexpr PmapEntry elsewhere(PageState state, u64 slot, u8 generation, u8 reasons = 0) {
        return of(state, slot | u64{generation} << kGenerationShift, reasons);
    }
    constexpr u64 word() const { return word_; }
    constexpr PageState state() const { return static_cast<PageState>(word_ & 15); }
    /// MPN, or slot with its generation.
    constexpr u64 number() const { return word_ >> kNumberShift; }
    constexpr u64 slot() const { return number() & 0xFFFF'FFFF; }
    constexpr u8 generation() const { return static_cast<u8>(number() >> kGenerationShift); }
    constexpr Mpn mpn() const { return Mpn(word_ >> kNumberShift); }
    constexpr u8 reasons() const { return word_ >> kReasonShift & ((1 << kProtectReasons) - 1); }
    constexpr bool protects(u8 any_of) const { return reasons() & any_of; }
    constexpr bool busy() const { return word_ & kBusy; }
    constexpr bool moving() const { return word_ & kMoving; }
    constexpr bool cached() const { return word_ & kCached; }
    constexpr bool written() const { return word_ & kWritten; }
    constexpr bool accessed() const { return word_ & kAccessed; }
    /// kResident, kZero, kShared or kRom: mpn() can be read.
    constexpr bool has_mpn() const {
        return 1u << (word_ & 15) & (1u << static_cast<unsigned>(PageState::kResident) |
                                     1u << static_cast<unsigned>(PageState::kZero) |
                                     1u << static_cast<unsigned>(PageState::kShared) |
                                     1u << static_cast<unsigned>(PageState::kRom));
    }
    /// RAM in any state, ROM not included.
    constexpr bool is_ram() const { return state() != PageState::kMmio && state() != PageState::kRom; }
    /// A private page that a device or the page walker may write now.
    constexpr bool writable_now() const {
        return state() == PageState::kResident && !moving() &&
               !protects(kProtectCow | kProtectRom | kProtectMove);
    }
    constexpr PmapEntry with_state(PageState state) const {
        return PmapEntry((word_ & ~u64{15}) | static_cast<u64>(state));
    }
    constexpr PmapEntry with_number(u64 number) const {
        return PmapEntry((word_ & ((u64{1} << kNumberShift) - 1)) | number << kNumberShift);
    }
    constexpr PmapEntry with_mpn(Mpn mpn) const { return with_number(mpn.value); }
    constexpr PmapEntry with(u64 bits) const { return PmapEntry(word_ | bits); }
    constexpr PmapEntry without(u64 bits) const { return PmapEntry(word_ & ~bits); }
    constexpr PmapEntry protect(u8 reasons) const { return with(u64{reasons} << kReasonShift); }
    constexpr PmapEntry unprotect(u8 reasons) const { return without(u64{reasons} << kReasonShift); }
    friend constexpr bool operator==(PmapEntry, PmapEntry) = default;

 private:
    u64 word_ = 0;
};

class Pmap {
 public:
    /// The entry as it is, perhaps busy. MMIO for what was never mapped and beyond the physical space.
    PmapEntry load(Ppn ppn) const {
        const std::atomic<u64>* entry = table_.find(ppn);
        return PmapEntry(entry ? entry->load(std::memory_order_acquire) : 0);
    }
    /// The entry at a moment when nobody held its lock.
    PmapEntry load_stable(Ppn ppn) const {
        PmapEntry entry = load(ppn);
        return __builtin_expect(entry.busy(), 0) ? wait_stable(ppn) : entry;
    }
    /// Takes the PPN lock and returns the entry without the busy bit. MMIO cannot be locked: then the result
    /// is kMmio, and unlock() must not be called.
    PmapEntry lock(Ppn ppn);
    /// Publishes `entry` and releases the lock.
    void unlock(Ppn ppn, PmapEntry entry) { set(ppn, entry.without(PmapEntry::kBusy)); }
    /// Stores an entry whatever was there: only for the calls that change the physical map, on pages with
    /// leaves.
    void set(Ppn ppn, PmapEntry entry) {
        std::atomic<u64>& word = *table_.find(ppn);
        const PageState before = PmapEntry(word.load(std::memory_order_relaxed)).state();
        word.store(entry.word(), std::memory_order_release);
        if (before != entry.state()) changed(before, entry.state());
    }
    /// Replaces `expected` (not busy) by `desired`, without the lock: only to set kCached, kWritten,
    /// kAccessed.
    bool exchange(Ppn ppn, PmapEntry expected, PmapEntry desired) {
        u64 word = expected.word();
        return table_.find(ppn)->compare_exchange_strong(word, desired.word(), std::memory_order_acq_rel);
    }
    /// Makes sure that [first, first+count) has leaves. The map-changing calls of GuestMemory use this.
    void make_leaves(Ppn first, u64 count) { table_.make_leaves(first, count); }
    static bool in_range(Ppn ppn) { return PpnTable::in_range(ppn); }

    /// Calls `visit(Ppn, PmapEntry)` for every page that is not MMIO, in PPN order.
    template <class Visit>
    void for_each(Visit visit) const {
        table_.for_each([&](Ppn ppn, const std::atomic<u64>& word) {
            PmapEntry entry(word.load(std::memory_order_acquire));
            if (entry.state() != PageState::kMmio) visit(ppn, entry);
        });
    }
    /// Pages in a state now, kept as pages change it; kMmio is not counted.
    u64 pages_in(PageState state) const {
        return counts_[static_cast<unsigned>(state)].load(std::memory_order_relaxed);
    }
    struct Counts {
        u64 by_state[kPageStates] = {};
        u64 protected_by[kProtectReasons] = {};  ///< per ProtectReason bit
        u64 total() const;
    };
    /// Visits every page, for what has no counter and for checking those that are kept.
    Counts count() const;

 private:
    PmapEntry wait_stable(Ppn ppn) const;
    void changed(PageState from, PageState to);
    PpnTable table_;
    std::atomic<u64> counts_[kPageStates] = {};
};

/// "resident mpn 0x12, code cow" for logs and views.
std::string describe(PmapEntry entry);

}  // namespace shadowbox
