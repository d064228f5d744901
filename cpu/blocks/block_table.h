// SPDX-License-Identifier: MIT
// Finds a block by where it runs: a hash table of chains through the blocks themselves, which grows with
// their number. Libraries are drawn to a new address at each exec, so blocks of the same bytes pile up by the
// hundred thousand.
#pragma once

#include <vector>

#include "core/integers.h"

namespace shadowbox {

struct Block;

class BlockTable {
 public:
    BlockTable() { clear(); }

    /// First of a chain that holds every block of this RIP and PPN among others; Block::next_in_bucket leads
    /// on.
    Block* chain(u64 rip, u64 ppn) const { return heads_[bucket(rip, ppn)]; }
    /// By the block's own RIP and PPN, which stay until remove().
    void insert(Block* block);
    /// Nothing happens where it is not in the table.
    void remove(Block* block);
    void clear();
    u64 size() const { return size_; }

 private:
    static constexpr unsigned kFirstBits = 14;
    /// All bits of the address count: copies of a library lie at the same offsets of pages drawn at random.
    u64 bucket(u64 rip, u64 ppn) const { return (rip ^ ppn << 32) * 0x9E3779B97F4A7C15 >> (64 - bits_); }
    void grow();

    std::vector<Block*> heads_;
    unsigned bits_ = kFirstBits;
    u64 size_ = 0;
};

}  // namespace shadowbox
