// SPDX-License-Identifier: MIT
// The four states of scarcity, the estimate of active memory, and admission.
#include <catch2/catch.hpp>

#include "vmm/memory/active_estimate.h"
#include "vmm/memory/admission.h"
#include "vmm/memory/reclaim_level.h"

using namespace shadowbox;

TEST_CASE("reclaim level: down at once, up only beyond the threshold of the state above") {
    ReclaimLevel level;
    auto at = [&](u64 free) {
        level.update(free, 1000);
        return level.state();
    };
    CHECK(at(500) == ReclaimState::kHigh);
    CHECK(at(40) == ReclaimState::kHigh);
    CHECK(at(39) == ReclaimState::kSoft);
    CHECK(at(59) == ReclaimState::kSoft);
    CHECK(at(60) == ReclaimState::kHigh);
    CHECK(at(5) == ReclaimState::kLow);
    CHECK(at(19) == ReclaimState::kLow);
    CHECK(at(20) == ReclaimState::kHard);
    CHECK(at(39) == ReclaimState::kHard);
    CHECK(at(40) == ReclaimState::kSoft);
    CHECK(at(1000) == ReclaimState::kHigh);
    CHECK(at(0) == ReclaimState::kLow);
    CHECK(level.update(900, 1000));
    CHECK_FALSE(level.update(901, 1000));
    CHECK(ReclaimLevel::pages_wanted(10, 1000, ReclaimLevel::kDefault) == 50);
    CHECK(ReclaimLevel::pages_wanted(100, 1000, ReclaimLevel::kDefault) == 0);
    CHECK(reclaim_state_name(ReclaimState::kHard) == "hard");
}

TEST_CASE("reclaim level: thresholds must fall") {
    CHECK(ReclaimLevel::valid(ReclaimLevel::kDefault));
    CHECK_FALSE(ReclaimLevel::valid({0.04, 0.06, 0.02, 0.01}));
    CHECK_FALSE(ReclaimLevel::valid({0.06, 0.04, 0.02, 0}));
    CHECK_FALSE(ReclaimLevel::valid({1, 0.04, 0.02, 0.01}));
}

TEST_CASE("active estimate: rises fast, falls slowly, and a new guest counts as active") {
    ActiveEstimate estimate;
    CHECK(estimate.value() == 1);
    estimate.period_ended(0, 0);
    CHECK(estimate.value() == 1);
    for (int i = 0; i < 50; ++i) estimate.period_ended(10, 100);
    CHECK(estimate.value() == Approx(0.1));
    estimate.running(90, 100);  // within the period
    CHECK(estimate.value() == Approx(0.5));
    estimate.running(5, 100);
    CHECK(estimate.value() == Approx(0.1));
    estimate.period_ended(90, 100);
    estimate.period_ended(90, 100);
    CHECK(estimate.value() > 0.65);
    for (int i = 0; i < 40; ++i) estimate.period_ended(90, 100);
    estimate.period_ended(10, 100);
    CHECK(estimate.value() > 0.8);
    CHECK(estimate.fast() == Approx(0.5).margin(0.01));
    for (int i = 0; i < 5; ++i) estimate.period_ended(10, 100);
    CHECK(estimate.value() == estimate.slow());
    CHECK(estimate.value() > 0.4);
    CHECK(ActiveEstimate::deviation(0.5, 100) == Approx(0.05));
}

TEST_CASE("admission: minimum and overhead in memory, the rest in swap, with the arithmetic") {
    constexpr u64 kMiB = 1 << 20;
    const MemorySupply supply{512 * kMiB, 256 * kMiB, 8 * kMiB};
    MemoryPromise promised;
    const MemoryPromise guest{128 * kMiB, 256 * kMiB, 24 * kMiB};
    REQUIRE(admit("a", guest, promised, supply));
    promised += guest;
    REQUIRE(admit("b", guest, promised, supply));
    promised += guest;
    REQUIRE_FALSE(admit("c", guest, promised, MemorySupply{512 * kMiB, 300 * kMiB, 8 * kMiB}));
    auto refused = admit("c", guest, promised, supply);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message ==
          "guest 'c' does not fit: beyond its minimum it may have 128.0 MiB, and of the swap's 256.0 MiB the "
          "other guests "
          "have 256.0 MiB; raise swap-size= or min=");
    refused = admit("d", {200 * kMiB, 200 * kMiB, 24 * kMiB}, promised, supply);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message ==
          "guest 'd' does not fit: its minimum 200.0 MiB and its overhead 24.0 MiB make 224.0 MiB, and of "
          "the pool's 512.0 "
          "MiB the other guests have 304.0 MiB and the reserve 8.0 MiB; lower min=, or raise --pool");
    CHECK_FALSE(admit("e", {2, 1, 0}, {}, supply));
    // Without swap, as long as nobody could ever need it.
    CHECK(admit("f", {0, 400 * kMiB, 24 * kMiB}, {}, MemorySupply{512 * kMiB, 0, 8 * kMiB}));
}
