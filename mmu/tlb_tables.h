// SPDX-License-Identifier: MIT
// All translation caches of one vCPU in one piece of memory: 8 PCID slots of three front TLBs (user,
// supervisor, supervisor with AC) and a shadow table each, and the shadow table of global translations. For
// every TLB index a mask tells which of the 24 contexts have that entry filled, and a bit whether any has, so
// a flush or an INVLPG touches filled entries only.
#pragma once

#include "core/host/memory_map.h"
#include "mmu/device_tables.h"
#include "mmu/shadow_table.h"
#include "mmu/tlb.h"
#include "mmu/vcpu_mmu.h"

namespace shadowbox {

constexpr unsigned kPcidSlots = 8, kPrivileges = 3;
constexpr u64 kGlobalEntry = u64{1} << 63;  ///< in TlbContext::read_ppn, write_ppn and CodeTlbEntry::ppn

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
    /// A range of more than one page is of large pages: aligned to 512.
    void drop_front(const VpnRange& range, u32 contexts, Which which);
    /// What to empty of a data entry.
    static constexpr unsigned kReadSide = 1, kWriteSide = 2;
    /// Calls `data(TlbContext&, index)` for every filled entry with a side that `which` concerns, which tells
    /// the sides to empty, and `code(CodeTlbEntry&)`; true from that empties the entry.
    template <class Data, class Code>
    void sweep(u32 contexts, Which which, Data data, Code code);
    void empty(unsigned context_number, unsigned i, unsigned sides);
    void forget_slots(u32 contexts);
    void forget_returns();
    /// Behind a flush of everything: no slot is taken, and the tables take no host memory.
    void release();

    MemoryMap map;
    Slot slots[kPcidSlots];
    u64 clock = 0;
    /// Which contexts have the entry of an index.
    template <unsigned Entries>
    struct Filled {
        u32 contexts[Entries] = {};
        u64 indices[Entries / 64] = {};  ///< whose `contexts` is not zero

        u32 operator[](unsigned i) const { return contexts[i]; }
        void add(unsigned i, u32 bit) {
            contexts[i] |= bit;
            indices[i / 64] |= u64{1} << i % 64;
        }
        void remove(unsigned i, u32 bit) {
            contexts[i] &= ~bit;
            if (!contexts[i]) indices[i / 64] &= ~(u64{1} << i % 64);
        }
        /// `visit(index, context number)` for each entry of `wanted`; it may remove the entry.
        template <class Visit>
        void for_each(u32 wanted, Visit visit) {
            for (unsigned word = 0; word < Entries / 64; ++word) {
                for (u64 rest = indices[word]; rest; rest &= rest - 1) {
                    const unsigned i = word * 64 + static_cast<unsigned>(__builtin_ctzll(rest));
                    for (u32 in = contexts[i] & wanted; in; in &= in - 1)
                        visit(i, static_cast<unsigned>(__builtin_ctz(in)));
                }
            }
        }
    };
    /// [1]: those with a global translation; [0]: those with another. A new process drops the latter, by far
    /// the fewer. A bit may outlive its translation.
    Filled<kTlbEntries> data_filled[2];
    Filled<kCodeTlbEntries> code_filled[2];
    bool write_right_lost = false;
    Vpn watched[kWatchedPages];  ///< without entries

    /// How many entries hold a right to write, by a hash of the page: most pages that become code have none,
    /// which is known without looking through the entries. A count that reaches its limit stays there. PPN 0
    /// is not told from none. Counts of neighbours are neighbours: programs and the kernel go through memory
    /// in order, and each fill comes here twice.
    class Writers {
     public:
        void replace(u64 old_word, u64 new_word) {
            if (u8& count = counts_[place(old_word)]; old_word && count != kLimit) --count;
            if (u8& count = counts_[place(new_word)]; new_word && count != kLimit) ++count;
        }
        bool none(Ppn ppn) const { return ppn.value && !counts_[place(ppn.value)]; }

     private:
        static constexpr unsigned kBits = 16;
        static constexpr u8 kLimit = 255;
        static unsigned place(u64 ppn_word) {
            const u64 ppn = ppn_word & ~kGlobalEntry;
            return static_cast<unsigned>(ppn ^ ppn >> kBits) % (1u << kBits);
        }
        u8 counts_[1u << kBits] = {};
    };
    Writers writers;
    void set_write(TlbContext& in, unsigned i, u64 tag, u8* page, u64 ppn_word) {
        writers.replace(in.write_ppn[i], ppn_word);
        in.set_write(i, tag, page, ppn_word);
    }
    void empty_write(TlbContext& in, unsigned i) {
        writers.replace(in.write_ppn[i], 0);
        in.empty_write(i);
    }

 private:
    Memory& memory() { return *reinterpret_cast<Memory*>(map.data()); }
    void drop_data(Vpn vpn, u32 contexts, Which which);
    void drop_code(Vpn vpn, u32 contexts, Which which);
    static bool concerns(bool global, Which which) {
        return which == Which::kAll || global == (which == Which::kGlobal);
    }
    static bool concerns(u64 ppn_word, Which which) {
        return concerns((ppn_word & kGlobalEntry) != 0, which);
    }
    /// Contexts whose entry of an index may hold what `which` concerns.
    template <unsigned Entries>
    static u32 filled(const Filled<Entries> (&lists)[2], unsigned i, Which which) {
        return (concerns(false, which) ? lists[0][i] : 0) | (concerns(true, which) ? lists[1][i] : 0);
    }
    void empty(unsigned context_number, unsigned i, CodeTlbEntry& entry) {
        entry = CodeTlbEntry();
        for (auto& list : code_filled) list.remove(i, u32{1} << context_number);
    }

 public:
    DeviceTables devices;  ///< page tables that do not lie in RAM
};

template <class Data, class Code>
void VcpuMmu::Tables::sweep(u32 contexts, Which which, Data data, Code code) {
    forget_slots(contexts);
    for (bool global : {false, true}) {
        if (!concerns(global, which)) continue;
        data_filled[global].for_each(contexts, [&](unsigned i, unsigned number) {
            // Nothing to empty: then the bit had outlived its translation, unless the caller chooses by more
            // than `which`.
            const unsigned sides = data(context(number), i);
            if (sides || which != Which::kAll) empty(number, i, sides);
        });
        code_filled[global].for_each(contexts, [&](unsigned i, unsigned number) {
            CodeTlbEntry& entry = context(number).code[i];
            if (code(entry))
                empty(number, i, entry);
            else if (which != Which::kAll)
                code_filled[global].remove(i, u32{1} << number);
        });
    }
}

}  // namespace shadowbox
