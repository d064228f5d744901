// SPDX-License-Identifier: MIT
// Which frames of the pool's region are free, by aligned blocks of 512. A guest's first touch reserves a
// block for the guest's 512 PPNs around it, so that MPN and PPN agree in their low 9 bits and the host can
// use large pages; what finds no block of its own is scattered over blocks without a key. Bookkeeping only:
// no host call, no lock (the pool's mutex guards it), no owner.
#pragma once

#include <optional>
#include <unordered_map>
#include <vector>

#include "mmu/page_types.h"

namespace shadowbox {

/// Where in the region a page must lie. The low zone is its beginning: what devices with few address bits
/// reach.
enum class PageZone : u8 { kAny, kLow };

class FrameBlocks {
 public:
    static constexpr u64 kNoKey = ~u64{0};

    /// Block 0 is the host's. All others are free.
    explicit FrameBlocks(u64 blocks);
    /// The blocks below `block` are the low zone. Affects what is taken from now on.
    void set_low_zone(u64 block) { low_end_ = block; }
    bool in_zone(Mpn mpn, PageZone zone) const {
        return zone == PageZone::kAny || mpn.value / kPagesPerLarge < low_end_;
    }

    /// The block reserved for `key`; reserves one if none is yet. nullopt: none is free.
    std::optional<u64> block_for(u64 key, PageZone zone);
    /// Takes that frame if it is free.
    bool take_exactly(Mpn mpn);
    /// Takes some free frame, from blocks without a key as long as there are any.
    std::optional<Mpn> take_scattered(PageZone zone);
    void give_back(Mpn mpn);
    /// The blocks stay reserved while frames of them are in use, without their key.
    void forget_keys(u64 first_key, u64 last_key);

    u64 reserved_blocks() const { return reserved_blocks_; }
    /// Frames of the block that are free.
    unsigned free_frames(u64 block) const { return blocks_[block].free_count; }
    /// True once for each block that was reserved since it was asked last: the host may be asked for a large
    /// page.
    bool take_fresh(u64 block);
    /// The host was asked for a large page there. Ends when the block becomes free or a frame of it goes.
    bool huge(u64 block) const { return blocks_[block].huge; }
    void set_huge(u64 block, bool huge) { blocks_[block].huge = huge; }

 private:
    struct Block {
        u64 free[8] = {};  // bit set: free
        u16 free_count = 0;
        bool reserved = false;
        bool fresh = false;
        bool huge = false;
        u64 key = kNoKey;  // kNoKey: serves scattered pages
    };
    std::optional<u64> new_block(bool low);
    Mpn take_from(u64 number, unsigned index);
    std::optional<Mpn> take_scattered_from(bool low);
    template <class Fits>
    std::optional<u64> next_block(u64 after, Fits fits) const;

    std::vector<Block> blocks_;
    std::vector<u64> free_blocks_;  // unreserved, all frames free; the next one to use is the last
    std::unordered_map<u64, u64> block_of_key_;
    u64 reserved_blocks_ = 0, low_end_ = 0;
    u64 cursor_[2] = {};  // low or not: where scattered frames come from
};

}  // namespace shadowbox
