// SPDX-License-Identifier: MIT
// How scarce machine pages are, in the paper's four states (OSDI'02 6.3), and what each allows.
//
//   high   enough            nothing is reclaimed
//   soft   below 4 %         by balloon; by swap where there is no balloon
//   hard   below 2 %         by swap
//   low    below 1 %         by swap, and guests above their target stand still
//
// Down at once, up one state only when free pages clear the threshold of the state above: soft becomes high
// at 6 %, not at 4.
#pragma once

#include <array>
#include <string_view>

#include "core/integers.h"

namespace shadowbox {

enum class ReclaimState : u8 { kHigh, kSoft, kHard, kLow };
std::string_view reclaim_state_name(ReclaimState state);

class ReclaimLevel {
 public:
    /// Parts of the pool, by state.
    using Thresholds = std::array<double, 4>;
    static constexpr Thresholds kDefault = {0.06, 0.04, 0.02, 0.01};

    explicit ReclaimLevel(const Thresholds& thresholds = kDefault) : thresholds_(thresholds) {}
    /// Whether thresholds fall from high to low, all above 0 and below 1.
    static bool valid(const Thresholds& thresholds);

    ReclaimState state() const { return state_; }
    /// `free` of `pool` pages are free now. True: the state is another one.
    bool update(u64 free, u64 pool);
    /// Pages to be freed until the state may be high again.
    static u64 pages_wanted(u64 free, u64 pool, const Thresholds& thresholds);

 private:
    Thresholds thresholds_;
    ReclaimState state_ = ReclaimState::kHigh;
};

}  // namespace shadowbox
