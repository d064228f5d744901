// SPDX-License-Identifier: MIT
// How often a thing that a guest can make happen again and again may be told: the first times, then once in a
// while, with how many were held back.
#pragma once

#include <mutex>
#include <optional>
#include <utility>

#include "core/integers.h"

namespace shadowbox {

class LineBudget {
 public:
    static constexpr unsigned kFirst = 3;
    static constexpr u64 kPeriodNs = 10'000'000'000;

    /// How many were held back since the last line, if it is time for one. Any thread. `now_ns` only grows.
    std::optional<u64> take(u64 now_ns) {
        std::lock_guard lock(mutex_);
        if (told_ >= kFirst && now_ns - last_ < kPeriodNs) {
            ++held_;
            return std::nullopt;
        }
        if (told_ < kFirst) ++told_;
        last_ = now_ns;
        return std::exchange(held_, 0);
    }

 private:
    std::mutex mutex_;
    unsigned told_ = 0;
    u64 last_ = 0, held_ = 0;
};

}  // namespace shadowbox
