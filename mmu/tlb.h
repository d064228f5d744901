// SPDX-License-Identifier: MIT
// The TLB: the small arrays in front of the shadow table that cpu/ probes inline. One TlbContext per
// (PCID slot, privilege and AC); switching is a pointer swap (design section 3). An entry is made by a
// page walk and dropped by INVLPG, INVPCID, MOV CR3/CR4 and by remapping; nothing else.
//
// A tag is the linear address of the page (low 12 bits zero). gva ^ tag is the offset in the page on a hit
// and at least 4096 otherwise, so one unsigned compare with 4096 - size checks page, right and page crossing
// at once; the host byte is page + offset. Without the right, a tag is the address of a page that belongs at
// another index: no gva that comes here can match it. Emitted code (cpu/jit) makes the same probe with these
// offsets. Reads and writes hit separately: a copy between pages of one index does not drive them out in
// turn.
#pragma once

#include "mmu/page_types.h"

namespace shadowbox {

constexpr unsigned kTlbEntries =
    8192;  ///< 32 MiB: random loads over as much took 2.7 s with 1024, 2.3 with 4096, 1.8 with 8192
constexpr unsigned kCodeTlbBits = 12, kCodeTlbEntries = 1 << kCodeTlbBits;
constexpr u64 kNoTag = 1;  ///< of an empty CodeTlbEntry

struct TlbEntry {
    u64 read_tag;    ///< page address if data reads hit
    u8* read_page;   ///< host address of that page
    u64 write_tag;   ///< page address if writes hit: guest right, dirty bit set, no protect reason
    u8* write_page;  ///< host address of that page, which need not be the one for reads
};

struct CodeTlbEntry {
    u64 tag = kNoTag;
    u64 host_delta = 0;
    u64 ppn_word = 0;  ///< PPN; bit 63: global
    u64 ppn() const { return ppn_word & ~(u64{1} << 63); }
    u64 key = u64{1} << 63;  ///< code_key() of tag and ppn; empty: of no canonical page
};

/// The page that one place of emitted code accessed last (cpu/jit): the next access there needs no look into
/// the TLB. Slots come from TLB entries with the right in question, and all go whenever anything of the
/// context is dropped.
struct PageSlot {
    u64 page;   ///< guest address; none: kNoPage
    u64 delta;  ///< host minus guest address
};
constexpr unsigned kPageSlots = 16;  ///< for reads, and as many for writes
/// Not canonical, and drawn at random: a guest's address on it would be taken for a hit, so no guest may know
/// it.
extern const u64 kNoPage;

/// Where a call comes back to (cpu/jit): the guest RIP behind it, and host code that goes on there.
struct ReturnSite {
    u64 rip;
    const u8* code;
};
/// Never a RIP that a RET pops, for the same reason as kNoPage.
extern const ReturnSite kNoReturnSite;
constexpr unsigned kReturnRing = 32;  ///< 8 bytes each: an offset in it is one byte, which wraps around

struct TlbContext {
    u8 return_top = 0;                           ///< offset of the newest entry
    const ReturnSite* return_ring[kReturnRing];  ///< call sites that emitted code will most likely return to
    PageSlot stack;                              ///< for reads and writes off RSP
    PageSlot read_slots[kPageSlots], write_slots[kPageSlots];
    u64 slots_filled = 1;
    TlbEntry data[kTlbEntries];
    CodeTlbEntry code[kCodeTlbEntries];
    u64 read_ppn[kTlbEntries],
        write_ppn[kTlbEntries];  ///< physical pages, for dropping by PPN; bit 63: global

    TlbContext() {
        for (unsigned i = 0; i < kTlbEntries; ++i) empty(i);
        forget_slots();
        forget_returns();
    }

    void forget_returns() {
        for (const ReturnSite*& site : return_ring) site = &kNoReturnSite;
    }
    void forget_slots() {
        if (!slots_filled) return;
        stack.page = kNoPage;
        for (unsigned i = 0; i < kPageSlots; ++i) read_slots[i].page = write_slots[i].page = kNoPage;
        slots_filled = 0;
    }

    static unsigned index(u64 gva) { return static_cast<unsigned>(gva >> kPageShift) % kTlbEntries; }
    /// Parts of programs lie at large powers of two from each other: a multiplication spreads their pages'
    /// numbers.
    static unsigned code_index(u64 gva) {
        return static_cast<unsigned>((gva >> kPageShift) * 0x9E3779B97F4A7C15 >> (64 - kCodeTlbBits));
    }

    /// Page and PPN in one word: what emitted code compares to know that a page of code is still mapped where
    /// it was. Only pages of the 48-bit address space and PPNs below 2^27 have one; others get the empty
    /// entry's, and are never found equal.
    static u64 code_key(u64 tag, u64 ppn) {
        bool narrow = static_cast<u64>(static_cast<i64>(tag << 16) >> 16) == tag && ppn >> 27 == 0;
        return narrow ? (tag >> kPageShift & 0xF'FFFF'FFFF) | ppn << 36 : u64{1} << 63;
    }
    static u64 no_tag(unsigned i) { return u64{i ^ 1} << kPageShift; }
    bool readable(unsigned i) const { return index(data[i].read_tag) == i; }
    bool writable(unsigned i) const { return index(data[i].write_tag) == i; }
    void set_read(unsigned i, u64 tag, u8* page, u64 ppn) {
        data[i].read_tag = tag, data[i].read_page = page, read_ppn[i] = ppn;
    }
    void set_write(unsigned i, u64 tag, u8* page, u64 ppn) {
        data[i].write_tag = tag, data[i].write_page = page, write_ppn[i] = ppn;
    }
    void empty_read(unsigned i) { set_read(i, no_tag(i), nullptr, 0); }
    void empty_write(unsigned i) { set_write(i, no_tag(i), nullptr, 0); }
    void empty(unsigned i) { empty_read(i), empty_write(i); }
    /// Takes both rights away, whatever page the entry is of; the next access comes to resolve().
    void forget_rights(u64 gva) {
        unsigned i = index(gva);
        data[i].read_tag = data[i].write_tag = no_tag(i);
        forget_slots();
    }

    /// Host pointer if a read of `size` bytes at `gva` hits, else nullptr.
    const u8* probe_read(u64 gva, unsigned size) const {
        const TlbEntry& entry = data[index(gva)];
        u64 offset = gva ^ entry.read_tag;
        return __builtin_expect(offset <= kPageSize - size, 1) ? entry.read_page + offset : nullptr;
    }
    u8* probe_write(u64 gva, unsigned size) const {
        const TlbEntry& entry = data[index(gva)];
        u64 offset = gva ^ entry.write_tag;
        return __builtin_expect(offset <= kPageSize - size, 1) ? entry.write_page + offset : nullptr;
    }
    const CodeTlbEntry* probe_code(u64 gva) const {
        const CodeTlbEntry& entry = code[code_index(gva)];
        return (gva & ~kPageOffsetMask) == entry.tag ? &entry : nullptr;
    }
};

}  // namespace shadowbox
