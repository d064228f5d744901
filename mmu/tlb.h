// SPDX-License-Identifier: MIT
// The TLB: the small arrays in front of the shadow table that cpu/ probes inline. One TlbContext per
// (PCID slot, privilege and AC); switching is a pointer swap (design section 3). An entry is made by a
// page walk and dropped by INVLPG, INVPCID, MOV CR3/CR4 and by remapping; nothing else.
//
// A tag is the linear address of the page (low 12 bits zero); kNoTag never equals a page address. The probe
// compares ((gva + size - 1) & ~0xFFF) with the tag at index(gva): one compare checks page, right and
// page crossing at once. The host byte of gva is gva + host_delta.
#pragma once

#include "mmu/page_types.h"

namespace shadowbox {

constexpr unsigned kTlbEntries = 1024;
constexpr unsigned kCodeTlbEntries = 256;
constexpr u64 kNoTag = 1;

struct TlbEntry {
    u64 read_tag = kNoTag;   ///< page address if data reads hit
    u64 write_tag = kNoTag;  ///< page address if writes hit: guest right, dirty bit set, no protect reason
    u64 host_delta = 0;      ///< host pointer minus linear address (modulo 2^64)
    u64 ppn = 0;             ///< physical page, for dropping by PPN; bit 63: global
};

struct CodeTlbEntry {
    u64 tag = kNoTag;
    u64 host_delta = 0;
    u64 ppn = 0;  ///< bit 63: global
    u64 unused = 0;
};

struct TlbContext {
    TlbEntry data[kTlbEntries];
    CodeTlbEntry code[kCodeTlbEntries];

    static unsigned index(u64 gva) { return static_cast<unsigned>(gva >> kPageShift) % kTlbEntries; }
    static unsigned code_index(u64 gva) { return static_cast<unsigned>(gva >> kPageShift) % kCodeTlbEntries; }

    /// Host pointer if a read of `size` bytes at `gva` hits, else nullptr.
    const u8* probe_read(u64 gva, unsigned size) const {
        const TlbEntry& entry = data[index(gva)];
        if (__builtin_expect(((gva + size - 1) & ~kPageOffsetMask) != entry.read_tag, 0)) return nullptr;
        return reinterpret_cast<const u8*>(gva + entry.host_delta);
    }
    u8* probe_write(u64 gva, unsigned size) const {
        const TlbEntry& entry = data[index(gva)];
        if (__builtin_expect(((gva + size - 1) & ~kPageOffsetMask) != entry.write_tag, 0)) return nullptr;
        return reinterpret_cast<u8*>(gva + entry.host_delta);
    }
    const CodeTlbEntry* probe_code(u64 gva) const {
        const CodeTlbEntry& entry = code[code_index(gva)];
        return (gva & ~kPageOffsetMask) == entry.tag ? &entry : nullptr;
    }
};

}  // namespace shadowbox
