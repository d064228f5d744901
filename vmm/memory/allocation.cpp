// SPDX-License-Identifier: MIT
#include "vmm/memory/allocation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace shadowbox {

namespace {

/// Pages for one unit of the common price's inverse.
double weight_of(const MemoryClaim& claim, double tax) {
    const double idle_cost = 1 / (1 - std::clamp(tax, 0.0, 0.99)),
                 active = std::clamp(claim.active, 0.0, 1.0);
    return static_cast<double>(std::max<u64>(claim.shares, 1)) / (active + idle_cost * (1 - active));
}

double at_level(const MemoryClaim& claim, double weight, double level) {
    return std::clamp(level * weight, static_cast<double>(claim.min), static_cast<double>(claim.max));
}

/// Whole pages, the remainder to those who lost most by rounding down, the first among equals.
std::vector<u64> round_to(std::span<const MemoryClaim> claims, const std::vector<double>& exact, u64 pages) {
    std::vector<u64> whole(exact.size());
    for (std::size_t i = 0; i < exact.size(); ++i)
        whole[i] = std::clamp(static_cast<u64>(exact[i]), claims[i].min, claims[i].max);
    std::vector<std::size_t> order(exact.size());
    std::iota(order.begin(), order.end(), 0);
    auto lost = [&](std::size_t i) { return exact[i] - static_cast<double>(whole[i]); };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return lost(a) > lost(b); });
    u64 sum = std::accumulate(whole.begin(), whole.end(), u64{0});
    for (bool progress = true; sum < pages && progress;) {
        progress = false;
        for (std::size_t i : order) {
            if (sum == pages || whole[i] == claims[i].max) continue;
            ++whole[i], ++sum;
            progress = true;
        }
    }
    return whole;
}

}  // namespace

double price_of_page(const MemoryClaim& claim, u64 pages, double tax) {
    return weight_of(claim, tax) / static_cast<double>(std::max<u64>(pages, 1));
}

std::vector<u64> divide_memory(std::span<const MemoryClaim> claims, u64 pages, double tax) {
    std::vector<double> weights, levels{0};
    for (const MemoryClaim& claim : claims) {
        weights.push_back(weight_of(claim, tax));
        levels.push_back(static_cast<double>(claim.min) / weights.back());
        levels.push_back(static_cast<double>(claim.max) / weights.back());
    }
    std::sort(levels.begin(), levels.end());
    auto sum_at = [&](double level) {
        double sum = 0;
        for (std::size_t i = 0; i < claims.size(); ++i) sum += at_level(claims[i], weights[i], level);
        return sum;
    };
    // Between two neighbours of `levels` the sum is linear.
    const double wanted = static_cast<double>(pages);
    double level = levels.back();
    for (std::size_t i = 1; i < levels.size(); ++i) {
        const double above = sum_at(levels[i]);
        if (above < wanted) continue;
        const double below = sum_at(levels[i - 1]);
        const double part = above > below ? (wanted - below) / (above - below) : 0;
        level = levels[i - 1] + std::max(part, 0.0) * (levels[i] - levels[i - 1]);
        break;
    }
    std::vector<double> exact;
    for (std::size_t i = 0; i < claims.size(); ++i) exact.push_back(at_level(claims[i], weights[i], level));
    return round_to(claims, exact, pages);
}

}  // namespace shadowbox
