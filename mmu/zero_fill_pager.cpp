// SPDX-License-Identifier: MIT
// The whole of it is in fill_page.cpp.
#include "mmu/zero_fill_pager.h"

#include "mmu/fill_page.h"

namespace shadowbox {

PageOutcome ZeroFillPager::make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) {
    return fill_page(memory, ppn, access);
}

void ZeroFillPager::wait_resident(GuestMemory& memory, Ppn ppn) { finish_fill(memory, ppn); }

}  // namespace shadowbox
