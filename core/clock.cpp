// SPDX-License-Identifier: MIT
// TimerQueue: a sorted vector. A machine arms some tens of timers, so insertion by shifting pointers beats
// any tree, and the order (deadline, then arming order) is exact, which icount runs depend on.
#include "core/clock.h"

#include <algorithm>

namespace shadowbox {

GuestNs TimerQueue::next_deadline() const { return armed_.empty() ? kNever : armed_.front()->deadline_; }

void TimerQueue::run_due(GuestNs now) {
    // A callback may arm, cancel or destroy any timer, so the front is looked up anew each time. A guest can
    // program a device so that its timer is due again at once; the bound returns to the caller, who also has
    // a stop request to look at.
    for (int bound = 10'000; bound > 0 && !armed_.empty() && armed_.front()->deadline_ <= now; --bound) {
        Timer* timer = armed_.front();
        armed_.erase(armed_.begin());
        timer->deadline_ = kNever;
        // A copy: the callback may destroy its own timer.
        auto expired = timer->expired_;
        expired();
    }
}

void TimerQueue::insert(Timer& timer) {
    timer.sequence_ = next_sequence_++;
    auto place = std::upper_bound(armed_.begin(), armed_.end(), &timer, [](const Timer* a, const Timer* b) {
        return a->deadline_ != b->deadline_ ? a->deadline_ < b->deadline_ : a->sequence_ < b->sequence_;
    });
    bool earliest = place == armed_.begin();
    armed_.insert(place, &timer);
    if (earliest && on_earlier_) on_earlier_();
}

void TimerQueue::erase(Timer& timer) {
    auto place = std::find(armed_.begin(), armed_.end(), &timer);
    if (place != armed_.end()) armed_.erase(place);
}

void Timer::arm(GuestNs deadline) {
    cancel();
    if (deadline == kNever) return;
    deadline_ = deadline;
    queue_.insert(*this);
}

void Timer::cancel() {
    if (!armed()) return;
    queue_.erase(*this);
    deadline_ = kNever;
}

}  // namespace shadowbox
