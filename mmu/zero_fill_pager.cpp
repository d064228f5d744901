// SPDX-License-Identifier: MIT
// The whole of it is in fill_page.cpp.
#include "mmu/zero_fill_pager.h"

#include "mmu/fill_page.h"

namespace shadowbox {

PageOutcome ZeroFillPager::make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) {
    return fill_page(memory, ppn, access);
}

bool ZeroFillPager::wait_resident(GuestMemory& memory, Ppn ppn, PageAccess, std::stop_token cancel) {
    return finish_fill(memory, ppn, std::move(cancel));
}

}  // namespace shadowbox
