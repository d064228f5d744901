// SPDX-License-Identifier: MIT
// What guest memory answers those who must not block (devices, under the device lock): done, or what is
// missing. GuestMemory::when_ready() tells when asking again makes sense.
#pragma once

#include "mmu/page_types.h"
#include "mmu/pager.h"

namespace shadowbox {

enum class MemoryOutcome : u8 {
    kReady,
    kWait,      ///< a page is away or being remapped: ask again later
    kPoolFull,  ///< there is no machine page for it: the VM stands still until there is
    kNotRam,    ///< some part is neither RAM nor ROM; no use in asking again
};

struct MemoryAnswer {
    MemoryOutcome outcome = MemoryOutcome::kReady;
    Ppn ppn;  ///< the page that was not ready
    PageAccess access = PageAccess::kRead;
    bool ready() const { return outcome == MemoryOutcome::kReady; }
    /// Asking again can give another answer.
    bool must_wait() const { return outcome == MemoryOutcome::kWait || outcome == MemoryOutcome::kPoolFull; }
};

}  // namespace shadowbox
