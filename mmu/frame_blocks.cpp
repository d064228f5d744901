// SPDX-License-Identifier: MIT
#include "mmu/frame_blocks.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace shadowbox {

FrameBlocks::FrameBlocks(u64 blocks) : blocks_(blocks) {
    blocks_[0].reserved = true;
    for (u64 number = blocks - 1; number > 0; --number) {
        std::fill_n(blocks_[number].free, 8, ~u64{0});
        blocks_[number].free_count = kPagesPerLarge;
        free_blocks_.push_back(number);
    }
}

/// An unreserved block of the low zone, or of the rest.
std::optional<u64> FrameBlocks::new_block(bool low) {
    auto fits = [&](u64 number) { return (number < low_end_) == low; };
    auto found = std::find_if(free_blocks_.rbegin(), free_blocks_.rend(), fits);
    if (found == free_blocks_.rend()) return std::nullopt;
    const u64 number = *found;
    free_blocks_.erase(std::next(found).base());
    blocks_[number].reserved = blocks_[number].fresh = true;
    blocks_[number].key = kNoKey;
    ++reserved_blocks_;
    return number;
}

std::optional<u64> FrameBlocks::block_for(u64 key, PageZone zone) {
    if (auto found = block_of_key_.find(key); found != block_of_key_.end()) {
        if (zone == PageZone::kLow && found->second >= low_end_) return std::nullopt;
        return found->second;
    }
    std::optional<u64> number = new_block(zone == PageZone::kLow);
    if (!number) return std::nullopt;
    blocks_[*number].key = key;
    block_of_key_.emplace(key, *number);
    return number;
}

Mpn FrameBlocks::take_from(u64 number, unsigned index) {
    Block& block = blocks_[number];
    block.free[index / 64] &= ~(u64{1} << index % 64);
    --block.free_count;
    return Mpn(number * kPagesPerLarge + index);
}

bool FrameBlocks::take_exactly(Mpn mpn) {
    const u64 number = mpn.value / kPagesPerLarge;
    const unsigned index = static_cast<unsigned>(mpn.value % kPagesPerLarge);
    if (!(blocks_[number].free[index / 64] >> index % 64 & 1)) return false;
    take_from(number, index);
    return true;
}

/// The first block behind `after`, round about, for which `fits`.
template <class Fits>
std::optional<u64> FrameBlocks::next_block(u64 after, Fits fits) const {
    for (u64 step = 1; step <= blocks_.size(); ++step) {
        const u64 number = (after + step) % blocks_.size();
        if (fits(number)) return number;
    }
    return std::nullopt;
}

std::optional<Mpn> FrameBlocks::take_scattered_from(bool low) {
    u64& cursor = cursor_[low];
    auto fits = [&](u64 number) {
        return (number < low_end_) == low && blocks_[number].reserved && blocks_[number].free_count > 0;
    };
    if (!fits(cursor)) {
        std::optional<u64> number =
            next_block(cursor, [&](u64 other) { return fits(other) && blocks_[other].key == kNoKey; });
        if (!number) number = new_block(low);
        // No block of our own to be had: take from what was reserved for others.
        if (!number) number = next_block(cursor, fits);
        if (!number) return std::nullopt;
        cursor = *number;
    }
    const Block& block = blocks_[cursor];
    for (unsigned word = 0; word < 8; ++word) {
        if (block.free[word])
            return take_from(cursor, word * 64 + static_cast<unsigned>(std::countr_zero(block.free[word])));
    }
    return std::nullopt;
}

std::optional<Mpn> FrameBlocks::take_scattered(PageZone zone) {
    // The low zone is scarce: whoever does not need it gets it last.
    std::optional<Mpn> mpn;
    if (zone == PageZone::kAny) mpn = take_scattered_from(false);
    return mpn ? mpn : take_scattered_from(true);
}

void FrameBlocks::give_back(Mpn mpn) {
    const u64 number = mpn.value / kPagesPerLarge;
    const unsigned index = static_cast<unsigned>(mpn.value % kPagesPerLarge);
    Block& block = blocks_[number];
    block.free[index / 64] |= u64{1} << index % 64;
    if (++block.free_count < kPagesPerLarge) return;
    block.reserved = block.fresh = false;
    if (block.key != kNoKey) block_of_key_.erase(block.key);
    block.key = kNoKey;
    --reserved_blocks_;
    free_blocks_.push_back(number);
}

void FrameBlocks::forget_keys(u64 first_key, u64 last_key) {
    std::erase_if(block_of_key_, [&](const auto& entry) {
        if (entry.first < first_key || entry.first > last_key) return false;
        blocks_[entry.second].key = kNoKey;
        return true;
    });
}

bool FrameBlocks::take_fresh(u64 block) { return std::exchange(blocks_[block].fresh, false); }

}  // namespace shadowbox
