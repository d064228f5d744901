// SPDX-License-Identifier: MIT
// One request of a device that waits for a guest page, or for room in the pool: at most one at a time,
// forgotten at a reset (bus/page_waits.h).
#pragma once

#include <functional>
#include <utility>

#include "devices/bus/page_waits.h"

namespace shadowbox {

class ParkedRequest {
 public:
    explicit ParkedRequest(GuestMemory& memory) : memory_(memory) {}
    /// Without a place to park a request waits for ever.
    void set_page_waits(PageWaits& waits) { waits_ = &waits; }

    bool waiting() const { return waiting_; }
    /// `again` runs once, never inside this call, unless cancel() or another wait() came first.
    void wait(MemoryAnswer answer, std::function<void()> again) {
        cancel();
        waiting_ = true;
        if (!waits_) return;
        waits_->park(memory_, answer, [this, number = number_, again = std::move(again)] {
            if (number != number_) return;
            cancel();
            again();
        });
    }
    void cancel() { ++number_, waiting_ = false; }

 private:
    GuestMemory& memory_;
    PageWaits* waits_ = nullptr;
    u64 number_ = 0;  // of the request: what was parked for an earlier one finds another
    bool waiting_ = false;
};

}  // namespace shadowbox
