// SPDX-License-Identifier: MIT
#include "mmu/page_epochs.h"

namespace shadowbox {

namespace {
constexpr u64 word_of(PageEpochs::Stamp stamp) { return stamp.accessed | u64{stamp.dirtied} << 32; }
constexpr PageEpochs::Stamp stamp_of(u64 word) {
    return {static_cast<u32>(word), static_cast<u32>(word >> 32)};
}
}  // namespace

void PageEpochs::stamp_now(Ppn ppn, bool write) {
    std::atomic<u64>* word = table_.find(ppn);
    const u32 epoch = now();
    if (!word || !epoch) return;
    u64 before = word->load(std::memory_order_relaxed);
    for (;;) {
        Stamp stamp = stamp_of(before);
        const bool first_access = stamp.accessed != epoch, first_write = write && stamp.dirtied != epoch;
        if (!first_access && !first_write) return;
        stamp.accessed = epoch;
        if (write) stamp.dirtied = epoch;
        if (!word->compare_exchange_weak(before, word_of(stamp), std::memory_order_relaxed)) continue;
        if (first_access) accessed_.fetch_add(1, std::memory_order_relaxed);
        if (first_write) dirtied_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
}

PageEpochs::Stamp PageEpochs::at(Ppn ppn) const {
    const std::atomic<u64>* word = table_.find(ppn);
    return word ? stamp_of(word->load(std::memory_order_relaxed)) : Stamp{};
}

void PageEpochs::next() {
    if (on()) ended_accessed_ = accessed_.exchange(0), ended_dirtied_ = dirtied_.exchange(0);
    now_.store(last_.fetch_add(1) + 1, std::memory_order_seq_cst);
}

void PageEpochs::stop() {
    now_.store(0, std::memory_order_seq_cst);
    accessed_ = dirtied_ = ended_accessed_ = ended_dirtied_ = 0;
}

}  // namespace shadowbox
