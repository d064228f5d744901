// SPDX-License-Identifier: MIT
// Where a device parks a request whose guest page is away, or for which the pool has no room. Nobody waits
// under the device lock (design section 3).
#pragma once

#include <functional>

#include "mmu/guest_memory.h"

namespace shadowbox {

class PageWaits {
 public:
    virtual ~PageWaits() = default;
    /// Device lock held. `again` runs once under the device lock, never inside this call, when asking for
    /// the page again makes sense; at the same guest time under icount. A device forgets it at a reset, by a
    /// generation number of its own.
    virtual void park(GuestMemory& memory, MemoryAnswer answer, std::function<void()> again) = 0;
};

}  // namespace shadowbox
