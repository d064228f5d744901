// SPDX-License-Identifier: MIT
// Shares, minimum, maximum and the idle tax: closed forms, and that nobody could be better off by revocation.
#include "vmm/memory/allocation.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "core/seeded_random.h"

using namespace shadowbox;

namespace {
using Pages = std::vector<u64>;
constexpr double kPaperTax = 0.75;
}  // namespace

TEST_CASE("allocation: equal shares and no tax divide evenly, the tax moves idle memory (OSDI'02 figure 7)") {
    // 64 MiB each, in KiB so that rounding does not show; 90 MiB of pool.
    const MemoryClaim idle{1000, 0, 65536, 0.1}, busy{1000, 0, 65536, 1};
    CHECK(divide_memory(std::vector{idle, busy}, 92160, 0) == Pages{46080, 46080});
    const MemoryClaim unbounded{1000, 0, 1 << 20, 1}, idle_unbounded{1000, 0, 1 << 20, 0.1};
    // k = 4: an idle page costs (0.1 + 4 * 0.9) = 3.7 times one in use.
    auto taxed = divide_memory(std::vector{idle_unbounded, unbounded}, 92160, kPaperTax);
    CHECK(static_cast<double>(taxed[1]) / static_cast<double>(taxed[0]) == Approx(3.7).epsilon(0.001));
    CHECK(divide_memory(std::vector{idle, busy}, 92160, kPaperTax) == Pages{26624, 65536});
}

TEST_CASE("allocation: shares, minimum and maximum") {
    CHECK(divide_memory(std::vector<MemoryClaim>{{3, 0, 1000, 1}, {1, 0, 1000, 1}}, 400, 0) ==
          Pages{300, 100});
    CHECK(divide_memory(std::vector<MemoryClaim>{{3, 0, 1000, 1}, {1, 150, 1000, 1}}, 400, 0) ==
          Pages{250, 150});
    CHECK(divide_memory(std::vector<MemoryClaim>{{3, 0, 200, 1}, {1, 0, 1000, 1}}, 400, 0) ==
          Pages{200, 200});
    CHECK(divide_memory(std::vector<MemoryClaim>{{1, 0, 100, 1}, {1, 0, 100, 1}}, 400, 0) == Pages{100, 100});
    CHECK(divide_memory(std::vector<MemoryClaim>{{1, 300, 400, 1}, {1, 300, 400, 1}}, 400, 0) ==
          Pages{300, 300});
    CHECK(divide_memory(std::vector<MemoryClaim>{{1, 0, 400, 1}, {1, 0, 400, 1}, {1, 0, 400, 1}}, 400, 0) ==
          Pages{134, 133, 133});
    CHECK(divide_memory(std::vector<MemoryClaim>{}, 400, 0).empty());
}

TEST_CASE("allocation: what comes out is within bounds, adds up, and no page is cheaper elsewhere") {
    SeededRandom random(5);
    for (unsigned round = 0; round < 2000; ++round) {
        std::vector<MemoryClaim> claims;
        u64 minima = 0, maxima = 0;
        for (u64 count = 1 + random.below(8); count > 0; --count) {
            MemoryClaim claim;
            claim.shares = 1 + random.below(5000);
            claim.min = random.below(20000);
            claim.max = claim.min + random.below(200000);
            claim.active = static_cast<double>(random.below(101)) / 100;
            claims.push_back(claim);
            minima += claim.min, maxima += claim.max;
        }
        const u64 pages = random.below(600000);
        const double tax = static_cast<double>(random.below(96)) / 100;
        const Pages given = divide_memory(claims, pages, tax);
        const u64 sum = std::accumulate(given.begin(), given.end(), u64{0});
        CAPTURE(round, pages, tax, minima, maxima);
        CHECK(sum == std::clamp(pages, minima, maxima));
        for (std::size_t i = 0; i < claims.size(); ++i) {
            REQUIRE((given[i] >= claims[i].min && given[i] <= claims[i].max));
            for (std::size_t j = 0; j < claims.size(); ++j) {
                if (given[i] == claims[i].min || given[j] == claims[j].max) continue;
                // A page of i would be revoked for j if it paid less; two pages are lost to rounding.
                REQUIRE(price_of_page(claims[i], given[i] - 2, tax) >=
                        price_of_page(claims[j], given[j] + 2, tax) * 0.9999);
            }
        }
    }
}
