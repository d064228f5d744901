// SPDX-License-Identifier: MIT
// What a pager does for the states that need no policy: demand zero, and breaking sharing. A pager in vmm/
// makes room in the pool first, serves the states of its own (swapped, compressed, ...), and hands all others
// on to this.
//
//   fill_page()    called by Pager::make_resident, perhaps inside guest code: never waits
//   finish_fill()  called by Pager::wait_resident, outside guest code: may wait for the vCPUs' safepoints
#pragma once

#include "mmu/guest_memory.h"

namespace shadowbox {

/// Reading an untouched or ballooned page gives it the zero page; writing gives it a machine page, or makes
/// the shared one its own. kWait: vCPUs may hold pointers to the old machine page, so finish_fill() must do
/// it. kRefused: the pool is exhausted, or the state belongs to a policy.
PageOutcome fill_page(GuestMemory& memory, Ppn ppn, PageAccess access);

/// Makes a zero or shared page the guest's own although vCPUs may hold pointers to it: publishes the copy
/// write-protected, waits until every vCPU forgot the old page, then allows writing. Does nothing for other
/// states.
void finish_fill(GuestMemory& memory, Ppn ppn);

/// For pagers: puts machine page `mpn` (allocated for this page, filled) in the place of an entry that has
/// none: `expected` gives state and slot. false: the entry is another one by now, `mpn` still belongs to the
/// caller.
bool install_page(GuestMemory& memory, Ppn ppn, PmapEntry expected, Mpn mpn);

}  // namespace shadowbox
