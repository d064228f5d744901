// SPDX-License-Identifier: MIT
// How many pages each guest should have: shares with minimum and maximum, and the idle memory tax, which
// makes an idle page cost more shares than one in use (OSDI'02 5.1 to 5.3). Pure arithmetic.
//
// Min-funding revocation takes a page from whoever pays the least for one, rho = S / (P (f + k (1 - f))) with
// k = 1 / (1 - tax), until all pay the same, but for those at their minimum or maximum. That end is computed
// here, not the way to it.
#pragma once

#include <span>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

/// What one guest brings to the division. min <= max.
struct MemoryClaim {
    u64 shares = 1;        ///< positive
    u64 min = 0, max = 0;  ///< pages
    double active = 1;     ///< part of its pages that it uses, 0 to 1
};

/// Pages for each claim, in their order: at least its minimum, at most its maximum, together `pages` unless
/// the minima are more or the maxima less. `tax`: 0 (idle pages are free) up to less than 1 (OSDI'02: 0.75).
std::vector<u64> divide_memory(std::span<const MemoryClaim> claims, u64 pages, double tax);

/// Shares for a page that a guest with so many pays, as the tax has it; what is revoked first is what pays
/// least.
double price_of_page(const MemoryClaim& claim, u64 pages, double tax);

}  // namespace shadowbox
