// SPDX-License-Identifier: MIT
// How much of a guest's memory is in use, from samples: a few pages chosen at random lose their translations,
// and a period later one looks which of them were accessed (OSDI'02 5.3). Rises fast and falls slowly, for
// the value is the largest of a slow average, a fast one, and the fast one with the running period in it.
#pragma once

#include "core/integers.h"

namespace shadowbox {

class ActiveEstimate {
 public:
    /// Pages of a period that ended: `touched` of `sampled`. Nothing was learned of 0 sampled pages.
    void period_ended(unsigned touched, unsigned sampled);
    /// The running period up to now; asked for as often as one likes.
    void running(unsigned touched, unsigned sampled);

    /// Part of the guest's pages, 0 to 1. All of it until the first period ended: a new guest is not taxed.
    double value() const;
    double slow() const { return slow_; }
    double fast() const { return fast_; }
    /// What a sample of this many pages is off by, in one standard deviation.
    static double deviation(double part, unsigned sampled);

 private:
    static constexpr double kSlow = 0.1, kFast = 0.5;  ///< weights of a new period; the paper gives none
    bool known_ = false;
    double slow_ = 0, fast_ = 0, with_running_ = 0;
};

}  // namespace shadowbox
