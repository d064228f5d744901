// SPDX-License-Identifier: MIT
#include "cpu/blocks/code_budget.h"

#include <algorithm>

namespace shadowbox {

CodeBudget::Share::Share(CodeBudget& budget, std::function<void()> ask)
    : budget_(budget), ask_(std::move(ask)) {
    std::lock_guard lock(budget_.mutex_);
    budget_.shares_.push_back(this);
    ++budget_.count_;
}

CodeBudget::Share::~Share() {
    std::lock_guard lock(budget_.mutex_);
    std::erase(budget_.shares_, this);
    --budget_.count_;
    budget_.used_ -= bytes_;
}

void CodeBudget::Share::set(u64 bytes) {
    const u64 before = bytes_.exchange(bytes, std::memory_order_relaxed);
    const u64 used = budget_.used_.fetch_add(bytes - before, std::memory_order_relaxed) + bytes - before;
    if (bytes > before && used > budget_.limit()) budget_.ask_largest();
}

u64 CodeBudget::Share::room() const {
    const u64 limit = budget_.limit(), used = budget_.used(), own = bytes();
    const u64 free = limit > used ? limit - used : 0;
    return std::max(own + free, std::max(limit / std::max(budget_.count_.load(), 1u), kLeastShare));
}

/// Of those that have not been asked yet: who sleeps through it, as in a paused guest, does not keep others
/// from giving theirs.
void CodeBudget::ask_largest() {
    std::lock_guard lock(mutex_);
    Share* largest = nullptr;
    for (Share* share : shares_) {
        if (share->asked_ || share->bytes() <= kLeastShare) continue;
        if (!largest || share->bytes() > largest->bytes()) largest = share;
    }
    if (!largest) return;
    largest->asked_ = true;
    largest->ask_();
}

}  // namespace shadowbox
