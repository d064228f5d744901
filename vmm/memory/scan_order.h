// SPDX-License-Identifier: MIT
// The numbers 0 to n-1 in an order that looks random, each once a round, without a table: a linear
// congruential generator over the next power of two has each of its numbers once in a period (Hull and
// Dobell), and those that are too large are passed over.
#pragma once

#include <bit>

#include "core/integers.h"

namespace shadowbox {

class ScanOrder {
 public:
    /// `count`: positive. The seed decides where a round begins and how it goes on.
    ScanOrder(u64 count, u64 seed)
        : count_(count),
          mask_(std::bit_ceil(count) - 1),
          factor_((seed >> 7 & mask_ & ~u64{3}) | 5),  // 1 modulo 4
          step_(seed >> 33 | 1),                       // odd
          first_(seed % count),
          at_(first_) {}

    /// The next number; a round later they come in the same order.
    u64 next() {
        const u64 number = at_;
        do at_ = (at_ * factor_ + step_) & mask_;
        while (at_ >= count_);
        if (at_ == first_) ++rounds_;
        return number;
    }
    u64 rounds() const { return rounds_; }  ///< that are complete
    u64 count() const { return count_; }

 private:
    u64 count_, mask_, factor_, step_, first_, at_, rounds_ = 0;
};

}  // namespace shadowbox
