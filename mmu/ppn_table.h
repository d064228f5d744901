// SPDX-License-Identifier: MIT
// One 64-bit atomic word for every PPN of a 40-bit physical space: a root of 2^14 pointers to leaves of 2^14
// words (64 MiB of guest memory each), made on demand and never freed before the table. Under the pmap and
// the code marks.
#pragma once

#include <atomic>
#include <memory>

#include "core/host/memory_map.h"
#include "mmu/page_types.h"

namespace shadowbox {

class PpnTable {
 public:
    static constexpr unsigned kLeafBits = 14;
    static constexpr unsigned kRootBits = kPhysicalBits - kPageShift - kLeafBits;
    static constexpr u64 kLeafWords = u64{1} << kLeafBits;

    PpnTable();
    ~PpnTable();
    PpnTable(const PpnTable&) = delete;
    PpnTable& operator=(const PpnTable&) = delete;

    static constexpr bool in_range(Ppn ppn) { return ppn.value >> (kPhysicalBits - kPageShift) == 0; }
    /// nullptr: no leaf, the word is 0.
    const std::atomic<u64>* find(Ppn ppn) const {
        if (__builtin_expect(!in_range(ppn), 0)) return nullptr;
        const std::atomic<u64>* leaf = root_[ppn.value >> kLeafBits].load(std::memory_order_acquire);
        return leaf ? leaf + (ppn.value & (kLeafWords - 1)) : nullptr;
    }
    std::atomic<u64>* find(Ppn ppn) {
        return const_cast<std::atomic<u64>*>(static_cast<const PpnTable*>(this)->find(ppn));
    }
    /// Thread safe.
    void make_leaves(Ppn first, u64 count);

    template <class Visit>
    void for_each(Visit visit) const {
        for (u64 i = 0; i < u64{1} << kRootBits; ++i) {
            const std::atomic<u64>* leaf = root_[i].load(std::memory_order_acquire);
            if (!leaf) continue;
            for (u64 j = 0; j < kLeafWords; ++j) visit(Ppn(i << kLeafBits | j), leaf[j]);
        }
    }

 private:
    std::unique_ptr<std::atomic<std::atomic<u64>*>[]> root_;
};

}  // namespace shadowbox
