// SPDX-License-Identifier: MIT
#include "cpu/blocks/block_table.h"

#include "cpu/blocks/block.h"

namespace shadowbox {

void BlockTable::insert(Block* block) {
    if (++size_ > heads_.size()) grow();
    Block*& head = heads_[bucket(block->rip, block->ppn)];
    block->next_in_bucket = head;
    head = block;
}

void BlockTable::remove(Block* block) {
    for (Block** at = &heads_[bucket(block->rip, block->ppn)]; *at; at = &(*at)->next_in_bucket) {
        if (*at != block) continue;
        *at = block->next_in_bucket;
        --size_;
        return;
    }
}

void BlockTable::clear() {
    bits_ = kFirstBits;
    heads_.assign(size_t{1} << bits_, nullptr);
    size_ = 0;
}

/// Twice as many buckets: no chain is long, whatever the number of blocks.
void BlockTable::grow() {
    ++bits_;
    std::vector<Block*> old(size_t{1} << bits_, nullptr);
    old.swap(heads_);
    for (Block* block : old) {
        while (block) {
            Block* next = block->next_in_bucket;
            Block*& head = heads_[bucket(block->rip, block->ppn)];
            block->next_in_bucket = head;
            head = block;
            block = next;
        }
    }
}

}  // namespace shadowbox
