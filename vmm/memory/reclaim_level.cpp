// SPDX-License-Identifier: MIT
#include "vmm/memory/reclaim_level.h"

#include <cmath>

namespace shadowbox {

std::string_view reclaim_state_name(ReclaimState state) {
    static constexpr std::string_view kNames[] = {"high", "soft", "hard", "low"};
    return kNames[static_cast<unsigned>(state)];
}

bool ReclaimLevel::valid(const Thresholds& thresholds) {
    double above = 1;
    for (double threshold : thresholds) {
        if (!(threshold > 0 && threshold < above)) return false;
        above = threshold;
    }
    return true;
}

bool ReclaimLevel::update(u64 free, u64 pool) {
    const double part = pool ? static_cast<double>(free) / static_cast<double>(pool) : 0;
    const auto before = state_;
    auto level = static_cast<unsigned>(state_);
    while (level > 0 && part >= thresholds_[level - 1]) --level;
    while (level < 3 && part < thresholds_[level + 1]) ++level;
    state_ = static_cast<ReclaimState>(level);
    return state_ != before;
}

u64 ReclaimLevel::pages_wanted(u64 free, u64 pool, const Thresholds& thresholds) {
    const auto wanted = static_cast<u64>(std::ceil(thresholds[0] * static_cast<double>(pool)));
    return wanted > free ? wanted - free : 0;
}

}  // namespace shadowbox
