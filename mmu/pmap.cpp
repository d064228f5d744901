// SPDX-License-Identifier: MIT
// Pmap: the waits of the PPN lock, and text for views.
#include "mmu/pmap.h"

#include <cstdlib>

#include "mmu/spin_wait.h"

namespace shadowbox {

PpnTable::PpnTable() : root_(new std::atomic<std::atomic<u64>*>[u64{1} << kRootBits]()) {}

PpnTable::~PpnTable() {
    for (u64 i = 0; i < u64{1} << kRootBits; ++i) std::free(root_[i].load());
}

void PpnTable::make_leaves(Ppn first, u64 count) {
    if (count == 0) return;
    VM_CHECK(in_range(first) && in_range(first + (count - 1)));
    for (u64 i = first.value >> kLeafBits; i <= (first.value + count - 1) >> kLeafBits; ++i) {
        if (root_[i].load(std::memory_order_acquire)) continue;
        // calloc: the host gives zero pages only as they are touched.
        auto* leaf = static_cast<std::atomic<u64>*>(std::calloc(kLeafWords, sizeof(std::atomic<u64>)));
        VM_CHECK(leaf != nullptr);
        std::atomic<u64>* none = nullptr;
        if (!root_[i].compare_exchange_strong(none, leaf, std::memory_order_acq_rel)) std::free(leaf);
    }
}

PmapEntry Pmap::lock(Ppn ppn) {
    std::atomic<u64>* entry = table_.find(ppn);
    if (!entry) return PmapEntry();
    SpinWait spin;
    for (;;) {
        u64 word = entry->load(std::memory_order_relaxed);
        if (PmapEntry(word).state() == PageState::kMmio) return PmapEntry();
        if (!(word & PmapEntry::kBusy) &&
            entry->compare_exchange_weak(word, word | PmapEntry::kBusy, std::memory_order_acquire)) {
            return PmapEntry(word);
        }
        spin.pause();
    }
}

PmapEntry Pmap::wait_stable(Ppn ppn) const {
    SpinWait spin;
    for (;;) {
        PmapEntry entry = load(ppn);
        if (!entry.busy()) return entry;
        spin.pause();
    }
}

void Pmap::changed(PageState from, PageState to) {
    if (from != PageState::kMmio)
        counts_[static_cast<unsigned>(from)].fetch_sub(1, std::memory_order_relaxed);
    if (to != PageState::kMmio) counts_[static_cast<unsigned>(to)].fetch_add(1, std::memory_order_relaxed);
}

u64 Pmap::Counts::total() const {
    u64 sum = 0;
    for (u64 count : by_state) sum += count;
    return sum;
}

Pmap::Counts Pmap::count() const {
    Counts counts;
    for_each([&](Ppn, PmapEntry entry) {
        ++counts.by_state[static_cast<unsigned>(entry.state())];
        for (unsigned bit = 0; bit < kProtectReasons; ++bit)
            counts.protected_by[bit] += entry.reasons() >> bit & 1;
    });
    return counts;
}

const char* page_state_name(PageState state) {
    static const char* const kNames[kPageStates] = {"mmio",      "untouched", "resident",   "zero",
                                                    "shared",    "patched",   "compressed", "swapped",
                                                    "ballooned", "rom"};
    return static_cast<unsigned>(state) < kPageStates ? kNames[static_cast<unsigned>(state)] : "invalid";
}

const char* protect_reason_name(unsigned bit) {
    static const char* const kNames[kProtectReasons] = {"cow", "code", "trace",   "dirty-log",
                                                        "rom", "move", "snapshot"};
    return bit < kProtectReasons ? kNames[bit] : "invalid";
}

std::string describe(PmapEntry entry) {
    std::string text = page_state_name(entry.state());
    if (entry.has_mpn()) {
        text += fmt::format(" {}", entry.mpn());
    } else if (entry.slot()) {
        text += fmt::format(" slot 0x{:x}", entry.slot());
    }
    for (unsigned bit = 0; bit < kProtectReasons; ++bit) {
        if (entry.reasons() >> bit & 1) text += std::string(" ") + protect_reason_name(bit);
    }
    if (entry.cached()) text += " cached";
    if (entry.written()) text += " written";
    if (entry.moving()) text += " moving";
    if (entry.busy()) text += " busy";
    return text;
}

}  // namespace shadowbox
