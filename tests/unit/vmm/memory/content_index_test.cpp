// SPDX-License-Identifier: MIT
// Hint and shared frames against a map of what was put, and the table's bound.
#include "vmm/memory/content_index.h"

#include <catch2/catch.hpp>
#include <map>

#include "core/seeded_random.h"

using namespace shadowbox;

TEST_CASE("content index: a hint becomes a shared frame, and both go") {
    ContentIndex index(16);
    CHECK_FALSE(index.find(7));
    index.put(7, ContentIndex::Hint{VmId(1), Ppn(5)});
    CHECK(index.find(7) == ContentIndex::Found(ContentIndex::Hint{VmId(1), Ppn(5)}));
    index.put(7, Mpn(99));
    CHECK(index.find(7) == ContentIndex::Found(Mpn(99)));
    CHECK(index.counts().hints == 0);
    CHECK(index.counts().shared == 1);
    index.remove(7);
    index.remove(7);
    CHECK_FALSE(index.find(7));
    CHECK(index.counts().shared == 0);
}

TEST_CASE("content index: hashes of one bucket are told apart, by their upper bits too") {
    ContentIndex index(16);
    index.put(0x0000'0000'0000'0001, ContentIndex::Hint{VmId(1), Ppn(1)});
    index.put(0x0000'0000'1000'0001, ContentIndex::Hint{VmId(1), Ppn(2)});
    index.put(0x8000'0000'0000'0001, ContentIndex::Hint{VmId(2), Ppn(3)});
    CHECK(std::get<ContentIndex::Hint>(*index.find(1)).ppn == Ppn(1));
    CHECK(std::get<ContentIndex::Hint>(*index.find(0x1000'0001)).ppn == Ppn(2));
    index.remove_hints_of(VmId(1));
    CHECK_FALSE(index.find(1));
    CHECK(index.find(0x8000'0000'0000'0001));
}

TEST_CASE("content index: like a map until it is full, then bounded; 20 bytes a frame at most") {
    SeededRandom random(3);
    ContentIndex index(1000);
    CHECK(index.bytes() <= 1000 * 16 + 1024 * 4);
    std::map<u64, u64> model;
    std::vector<u64> hashes;
    for (unsigned i = 0; i < 900; ++i) hashes.push_back(random.next());
    for (unsigned round = 0; round < 20000; ++round) {
        const u64 hash = hashes[random.below(hashes.size())];
        if (random.one_in(3)) {
            index.remove(hash);
            model.erase(hash);
        } else {
            index.put(hash, ContentIndex::Hint{VmId(1 + round % 3), Ppn(round)});
            model[hash] = round;
        }
        const u64 other = hashes[random.below(hashes.size())];
        auto found = index.find(other);
        REQUIRE(found.has_value() == (model.count(other) == 1));
        if (found) REQUIRE(std::get<ContentIndex::Hint>(*found).ppn.value == model[other]);
    }
    CHECK(index.counts().hints == model.size());
    CHECK(index.counts().replaced == 0);
    for (unsigned i = 0; i < 5000; ++i) {
        const u64 hash = random.next();
        index.put(hash, Mpn(i));
        REQUIRE(index.find(hash));
    }
    CHECK(index.counts().hints + index.counts().shared == 1000);
    CHECK(index.counts().replaced >= 4000);
}
