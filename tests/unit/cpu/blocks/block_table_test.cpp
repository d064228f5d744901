// SPDX-License-Identifier: MIT
#include <catch2/catch.hpp>
#include <set>

#include "core/seeded_random.h"
#include "cpu/blocks/block.h"

using namespace shadowbox;

namespace {

bool finds(const BlockTable& table, const Block* wanted) {
    for (const Block* block = table.chain(wanted->rip, wanted->ppn); block; block = block->next_in_bucket) {
        if (block == wanted) return true;
    }
    return false;
}

/// As after many execs: one page's bytes at thousands of addresses.
std::vector<Block> blocks_of_one_page(unsigned count) {
    std::vector<Block> blocks(count);
    for (unsigned i = 0; i < count; ++i) {
        blocks[i].rip = 0x7F00'0000'0123 + u64{i} * 0x1000;
        blocks[i].ppn = 0x4242;
    }
    return blocks;
}

}  // namespace

TEST_CASE("block table: chains stay short however many blocks of one page there are") {
    std::vector<Block> blocks = blocks_of_one_page(100000);
    BlockTable table;
    for (Block& block : blocks) table.insert(&block);
    CHECK(table.size() == blocks.size());
    u64 steps = 0;
    for (const Block& wanted : blocks) {
        REQUIRE(finds(table, &wanted));
        for (const Block* block = table.chain(wanted.rip, wanted.ppn); block; block = block->next_in_bucket)
            ++steps;
    }
    CHECK(steps < 3 * blocks.size());
}

TEST_CASE("block table: holds what was inserted and not removed since") {
    std::vector<Block> blocks = blocks_of_one_page(40000);
    std::set<unsigned> held;
    BlockTable table;
    SeededRandom random(17);
    for (int step = 0; step < 200000; ++step) {
        const unsigned i = static_cast<unsigned>(random.below(blocks.size()));
        if (held.count(i)) {
            table.remove(&blocks[i]);
            held.erase(i);
        } else {
            table.insert(&blocks[i]);
            held.insert(i);
        }
    }
    CHECK(table.size() == held.size());
    for (unsigned i = 0; i < blocks.size(); ++i) REQUIRE(finds(table, &blocks[i]) == (held.count(i) != 0));
    table.clear();
    CHECK(table.size() == 0);
    CHECK(table.chain(blocks[0].rip, blocks[0].ppn) == nullptr);
}
