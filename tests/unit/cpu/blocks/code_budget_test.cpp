// SPDX-License-Identifier: MIT
// One budget for the decoded blocks and host code of all vCPUs: who has most gives back, and what is given
// back is made again when it runs.
#include "cpu/blocks/code_budget.h"

#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kMiB = 1 << 20;

struct Owner {
    explicit Owner(CodeBudget& budget) : share(budget, [this] { ++asked; }) {}
    int asked = 0;
    CodeBudget::Share share;
};

/// A chain of `kLinks` small blocks that ends where it began; each is hot at once.
struct ChainMachine : SimdMachine {
    static constexpr u64 kChain = 0x100000;
    static constexpr unsigned kLinks = 20000, kLink = 32;

    explicit ChainMachine(CodeBudget* shared) {
        budget = 100'000'000;
        if (shared) cpu->blocks->join(*shared);
        REQUIRE(cpu->enable_jit(1));
        std::vector<u8> code(kLink * kLinks, 0xCC);
        for (unsigned i = 0; i < kLinks; ++i) {
            u8* at = &code[i * kLink];
            auto bytes = [&](std::initializer_list<u8> list) {
                at = std::copy(list.begin(), list.end(), at);
            };
            // add rax, i; rol rax, 7; dec rcx; jnz over; hlt; over: jmp the next one
            bytes({0x48, 0x81, 0xC0, static_cast<u8>(i), static_cast<u8>(i >> 8), 0, 0, 0x48, 0xC1, 0xC0, 7});
            bytes({0x48, 0xFF, 0xC9, 0x75, 0x01, 0xF4, 0xE9});
            const i32 distance =
                static_cast<i32>((i + 1) % kLinks * kLink) - static_cast<i32>(at - code.data() + 4);
            memcpy(at, &distance, 4);
        }
        memory.write(Gpa(kChain), code);
    }
    u64 go(u64 count) {
        cpu->rip = kChain;
        cpu->gpr[kRsp] = kStack;
        cpu->gpr[kRax] = 0;
        cpu->gpr[kRcx] = count;
        run_to_halt();
        return cpu->gpr[kRax];
    }
};

}  // namespace

TEST_CASE("code budget: beyond the limit the one with most is asked, once until it looks") {
    CodeBudget budget(10 * kMiB);
    Owner small(budget), large(budget);
    small.share.set(2 * kMiB);
    large.share.set(8 * kMiB);
    CHECK(large.asked == 0);
    small.share.set(3 * kMiB);
    CHECK(large.asked == 1);
    CHECK(small.asked == 0);
    CHECK(large.share.take_asked());
    CHECK_FALSE(large.share.take_asked());
    large.share.set(4 * kMiB);
    CHECK(budget.used() == 7 * kMiB);
    CHECK(small.asked == 0);
}

TEST_CASE("code budget: who sleeps through being asked does not keep others from giving") {
    CodeBudget budget(10 * kMiB);
    Owner sleeper(budget), runner(budget);
    sleeper.share.set(8 * kMiB);
    runner.share.set(3 * kMiB);
    CHECK(sleeper.asked == 1);
    runner.share.set(4 * kMiB);
    CHECK(sleeper.asked == 1);
    CHECK(runner.asked == 1);
}

TEST_CASE("code budget: who is left has what those who ended had") {
    CodeBudget budget(10 * kMiB);
    Owner one(budget);
    {
        Owner two(budget);
        two.share.set(6 * kMiB);
        CHECK(one.share.room() == 5 * kMiB);  // its equal part
    }
    CHECK(budget.used() == 0);
    CHECK(one.share.room() == 10 * kMiB);
}

TEST_CASE("code budget: nobody is asked for the little that it needs") {
    CodeBudget budget(kMiB);
    Owner one(budget), two(budget);
    one.share.set(kMiB);
    two.share.set(kMiB);
    CHECK(one.asked + two.asked == 0);
}

TEST_CASE("code budget: a program larger than it computes the same, and stays about within it") {
    ChainMachine free(nullptr);
    const u64 right = free.go(ChainMachine::kLinks * 3 + 5);
    CodeBudget budget(4 * kMiB);
    ChainMachine bounded(&budget);
    CHECK(bounded.go(ChainMachine::kLinks * 3 + 5) == right);
    CHECK(bounded.cpu->blocks->evictions() > 0);
    CHECK(budget.used() < 6 * kMiB);
    CHECK(free.cpu->cache_bytes() > 2 * budget.used());
}

TEST_CASE("code budget: one that runs hot takes what another has") {
    CodeBudget budget(8 * kMiB);
    ChainMachine first(&budget), second(&budget);
    const u64 right = first.go(ChainMachine::kLinks * 2);
    const u64 before = first.cpu->cache_bytes();
    CHECK(second.go(ChainMachine::kLinks * 2) == right);
    CHECK(first.go(1000) != 0);  // looks at what it was asked for
    CHECK(first.cpu->cache_bytes() < before);
    CHECK(first.go(ChainMachine::kLinks * 2) == right);
}

TEST_CASE("caches: what was released is made again, as often as one likes") {
    ChainMachine machine(nullptr);
    const u64 right = machine.go(ChainMachine::kLinks + 5);
    for (int i = 0; i < 3; ++i) {
        const u64 before = machine.cpu->cache_bytes();
        machine.cpu->release_caches();
        CHECK(machine.cpu->blocks->block_count() == 0);
        CHECK(machine.cpu->cache_bytes() < before / 4);
        CHECK(machine.go(ChainMachine::kLinks + 5) == right);
    }
}

TEST_CASE("caches: a translation that the page tables lost is not found behind a release") {
    ChainMachine machine(nullptr);
    machine.go(100);
    machine.cpu->release_caches();
    for (u64 at : {u64{0}, ChainMachine::kChain, u64{0x1000}}) {
        CHECK(machine.cpu->mmu.context()->probe_read(at, 8) == nullptr);
        CHECK(machine.cpu->mmu.context()->probe_code(at) == nullptr);
    }
}
