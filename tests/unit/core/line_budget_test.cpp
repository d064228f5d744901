// SPDX-License-Identifier: MIT
#include "core/line_budget.h"

#include <catch2/catch.hpp>

using namespace shadowbox;

TEST_CASE("line budget: the first lines, then one in a while that says how many were held back") {
    LineBudget budget;
    for (unsigned i = 0; i < LineBudget::kFirst; ++i) CHECK(budget.take(i) == 0u);
    for (unsigned i = 0; i < 500; ++i) CHECK_FALSE(budget.take(100 + i));
    CHECK(budget.take(LineBudget::kPeriodNs + 100) == 500u);
    CHECK_FALSE(budget.take(LineBudget::kPeriodNs + 101));
    CHECK(budget.take(3 * LineBudget::kPeriodNs) == 1u);
}
