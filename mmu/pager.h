// SPDX-License-Identifier: MIT
// The one interface through which mmu/ calls up into vmm/: make a guest page resident or writable, and hear
// that a page's content elsewhere is no longer needed. The states that need no policy (untouched, zero,
// shared) an implementation hands on to mmu/fill_page.h; mmu/zero_fill_pager.h does only that. Pages that are
// being remapped never get here (GuestMemory::demand).
#pragma once

#include <functional>
#include <span>
#include <stop_token>

#include "mmu/page_types.h"
#include "mmu/pmap.h"

namespace shadowbox {

class GuestMemory;

enum class PageAccess : u8 {
    kRead,
    kWrite,
    kOverwrite
};  ///< kOverwrite: all 4096 bytes, old content not needed

enum class PageOutcome : u8 {
    kReady,    ///< resident, and writable if asked: look at the pmap again
    kWait,     ///< not now: drop every host pointer, wait_resident(), restart the instruction
    kRefused,  ///< the pool (and swap) is exhausted: the VM must be paused, nothing was lost
};

class Pager {
 public:
    virtual ~Pager() = default;
    /// Zero-fill, break copy-on-write, pop the balloon, later unpatch, decompress, swap in. Never waits for
    /// I/O or vCPUs; starts what takes longer, and says kWait. A pager fills a page under a PageFill, so that
    /// one thread reads and allocates however many ask.
    virtual PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) = 0;
    /// Blocks until a page that answered kWait may be ready for `access`, or `cancel` is asked for (the VM
    /// ends): then false. Called with no lock and no host pointer held, not inside guest code.
    virtual bool wait_resident(GuestMemory& memory, Ppn ppn, PageAccess access, std::stop_token cancel) = 0;
    /// The same for those who must not block: `ready` is called once, from any thread and with no lock held,
    /// perhaps before this returns. A pager whose waits are longer than the vCPUs' next safepoint overrides
    /// it.
    virtual void when_ready(GuestMemory& memory, Ppn ppn, PageAccess access, std::function<void()> ready) {
        wait_resident(memory, ppn, access, {});
        ready();
    }
    /// The page that had `entry` (no machine page: swapped, compressed, patched) does not need that content
    /// any more: it was unmapped, ballooned, overwritten or its VM ended. Takes no PPN lock.
    virtual void discard(GuestMemory& memory, PmapEntry entry) {}
    /// For viewers: the content of a patched, compressed or swapped page, without changing its state. false:
    /// not to be had. `page` has 4096 bytes.
    virtual bool peek(const GuestMemory& memory, Ppn ppn, std::span<u8> page) { return false; }
};

}  // namespace shadowbox
