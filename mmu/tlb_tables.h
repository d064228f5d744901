// SPDX-License-Identifier: MIT
// All translation caches of one vCPU in one piece of memory: 8 PCID slots of three front TLBs (user,
// supervisor, supervisor with AC) and a shadow table each, and the shadow table of global translations. For
// every TLB index a mask tells which of the 24 contexts have that entry filled, so a flush or an INVLPG
// touches filled entries only.
#pragma once

#include "core/host/memory_map.h"
#include "mmu/shadow_table.h"
#include "mmu/tlb.h"
#include "mmu/vcpu_mmu.h"

namespace shadowbox {

constexpr unsigned kPcidSlots = 8, kPrivileges = 3;
constexpr u64 kGlobalEntry = u64{1} << 63;  ///< in TlbEntry::ppn and CodeTlbEntry::ppn

struct VcpuMmu::Tables {
    struct Slot {
        bool used = false;
        u16 pcid = 0;
        u64 last_use = 0;
    };
    /// The contiguous, page-aligned, zeroed memory of all tables.
    struct Memory {
        TlbContext contexts[kPcidSlots][kPrivileges];
        ShadowTable shadows[kPcidSlots];
        ShadowTable global;
    };

    Tables();
    TlbContext& context(unsigned slot, unsigned privilege) { return memory().contexts[slot][privilege]; }
    TlbContext& context(unsigned number) {
        return memory().contexts[number / kPrivileges][number % kPrivileges];
    }
    ShadowTable& shadow(unsigned slot) { return memory().shadows[slot]; }
    ShadowTable& global() { return memory().global; }
    static constexpr u32 all_contexts() { return (u32{1} << kPcidSlots * kPrivileges) - 1; }
    static constexpr u32 contexts_of(unsigned slot) { return u32{7} << slot * kPrivileges; }

    /// The slot of `pcid`, or -1.
    int slot_of(u16 pcid) const;
    /// The slot of `pcid`, taken from the least recently used PCID if need be.
    unsigned take_slot(u16 pcid);

    enum class Which { kAll, kNonGlobal, kGlobal };
    void flush_front(u32 contexts, Which which);
    void drop_front(Vpn vpn, u32 contexts, Which which);
    void drop_front(const VpnRange& range, u32 contexts, Which which);
    /// Calls `visit(TlbContext&, index)` / `visit(CodeTlbEntry&)` for every filled entry; true from it empties the
    /// entry.
    template <class Data, class Code>
    void sweep(u32 contexts, Data data, Code code);
    void empty(TlbContext& context, unsigned i);
    void forget_slots(u32 contexts);

    MemoryMap map;
    Slot slots[kPcidSlots];
    u64 clock = 0;
    u32 data_filled[kTlbEntries] = {};
    u32 code_filled[kCodeTlbEntries] = {};
    bool write_right_lost = false;

   private:
    Memory& memory() { return *reinterpret_cast<Memory*>(map.data()); }
    static bool concerns(u64 ppn_word, Which which) {
        return which == Which::kAll || ((ppn_word & kGlobalEntry) != 0) == (which == Which::kGlobal);
    }
};

template <class Data, class Code>
void VcpuMmu::Tables::sweep(u32 contexts, Data data, Code code) {
    forget_slots(contexts);
    for (unsigned i = 0; i < kTlbEntries; ++i) {
        // Most masks are empty: four at a time.
        if (i % 4 == 0 &&
            !((data_filled[i] | data_filled[i + 1] | data_filled[i + 2] | data_filled[i + 3]) & contexts)) {
            i += 3;
            continue;
        }
        for (u32 rest = data_filled[i] & contexts; rest; rest &= rest - 1) {
            unsigned number = static_cast<unsigned>(__builtin_ctz(rest));
            if (!data(context(number), i)) continue;
            empty(context(number), i);
            data_filled[i] &= ~(u32{1} << number);
        }
    }
    for (unsigned i = 0; i < kCodeTlbEntries; ++i) {
        if (i % 4 == 0 &&
            !((code_filled[i] | code_filled[i + 1] | code_filled[i + 2] | code_filled[i + 3]) & contexts)) {
            i += 3;
            continue;
        }
        for (u32 rest = code_filled[i] & contexts; rest; rest &= rest - 1) {
            unsigned number = static_cast<unsigned>(__builtin_ctz(rest));
            CodeTlbEntry& entry = context(number).code[i];
            if (!code(entry)) continue;
            entry = CodeTlbEntry();
            code_filled[i] &= ~(u32{1} << number);
        }
    }
}

}  // namespace shadowbox
