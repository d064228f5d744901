// SPDX-License-Identifier: MIT
#include "vmm/memory/active_estimate.h"

#include <algorithm>
#include <cmath>

namespace shadowbox {

void ActiveEstimate::period_ended(unsigned touched, unsigned sampled) {
    if (!sampled) return;
    const double part = static_cast<double>(std::min(touched, sampled)) / sampled;
    slow_ += (known_ ? kSlow : 1) * (part - slow_);
    fast_ += (known_ ? kFast : 1) * (part - fast_);
    with_running_ = fast_;
    known_ = true;
}

/// Pages that were touched count against the whole sample: the period may yet touch others.
void ActiveEstimate::running(unsigned touched, unsigned sampled) {
    if (!sampled) return;
    const double part = static_cast<double>(std::min(touched, sampled)) / sampled;
    with_running_ = fast_ + kFast * (part - fast_);
}

double ActiveEstimate::value() const { return known_ ? std::max({slow_, fast_, with_running_}) : 1; }

double ActiveEstimate::deviation(double part, unsigned sampled) {
    return sampled ? std::sqrt(part * (1 - part) / sampled) : 1;
}

}  // namespace shadowbox
