// SPDX-License-Identifier: MIT
// The pager of a machine without memory policies: demand zero and copy-on-write; refuses when the pool is
// exhausted. For tests, tools, and as the model for the pagers of vmm/.
#pragma once

#include "mmu/pager.h"

namespace shadowbox {

class ZeroFillPager : public Pager {
 public:
    PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) override;
    bool wait_resident(GuestMemory& memory, Ppn ppn, PageAccess access, std::stop_token cancel) override;
};

}  // namespace shadowbox
