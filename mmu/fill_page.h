// SPDX-License-Identifier: MIT
// What a pager does for the states that need no policy: demand zero, and breaking sharing. A pager in vmm/
// makes room in the pool first, serves the states of its own (swapped, compressed, ...) under a PageFill, and
// hands all others on to this.
//
//   fill_page()    called by Pager::make_resident, perhaps inside guest code: never waits
//   finish_fill()  called by Pager::wait_resident, outside guest code: may wait for the vCPUs' safepoints
#pragma once

#include <stop_token>

#include "mmu/guest_memory.h"

namespace shadowbox {

/// Reading an untouched or ballooned page gives it the zero page; writing gives it a machine page, or makes
/// the shared one its own. kWait: vCPUs may hold pointers to the old machine page, so finish_fill() must do
/// it. kRefused: the pool is exhausted, or the state belongs to a policy.
PageOutcome fill_page(GuestMemory& memory, Ppn ppn, PageAccess access);

/// Makes a zero or shared page the guest's own although vCPUs may hold pointers to it: publishes the copy
/// write-protected, waits until every vCPU forgot the old page, then allows writing. Does nothing for other
/// states. false: cancelled.
bool finish_fill(GuestMemory& memory, Ppn ppn, std::stop_token cancel);

/// The right to bring back a page that is elsewhere (swapped, compressed, patched): the page's 'moving' bit
/// is ours from take() to install(), so nobody else reads the slot, allocates, or gives the slot another life
/// meanwhile. Whoever needs the page waits for the bit. Left without install(), the page stays where it was.
class PageFill {
 public:
    /// Empty if the page is not elsewhere, or somebody has it.
    static PageFill take(GuestMemory& memory, Ppn ppn);
    PageFill() = default;
    PageFill(PageFill&& other) noexcept;
    PageFill& operator=(PageFill&& other) noexcept;
    ~PageFill();
    explicit operator bool() const { return memory_ != nullptr; }
    /// State, slot and generation: where the content is.
    PmapEntry entry() const { return entry_; }
    Ppn ppn() const { return ppn_; }
    /// `mpn` was allocated for this page and holds its content. The slot is now the pager's to free or keep.
    void install(Mpn mpn);

 private:
    PageFill(GuestMemory& memory, Ppn ppn, PmapEntry entry) : memory_(&memory), ppn_(ppn), entry_(entry) {}
    GuestMemory* memory_ = nullptr;
    Ppn ppn_;
    PmapEntry entry_;
};

}  // namespace shadowbox
