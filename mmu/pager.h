// SPDX-License-Identifier: MIT
// The one interface through which mmu/ calls up into vmm/: make a guest page resident or writable. The states
// that need no policy (untouched, zero, shared) an implementation hands on to mmu/fill_page.h;
// mmu/zero_fill_pager.h does only that. Pages that are being remapped never get here (GuestMemory::demand).
#pragma once

#include <span>

#include "mmu/page_types.h"

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
    /// Zero-fill, break copy-on-write, pop the balloon, later unpatch, decompress, swap in.
    virtual PageOutcome make_resident(GuestMemory& memory, Ppn ppn, PageAccess access) = 0;
    /// Blocks until a page that answered kWait may be ready. Called with no lock and no host pointer held.
    virtual void wait_resident(GuestMemory& memory, Ppn ppn) = 0;
    /// For viewers: the content of a patched, compressed or swapped page, without changing its state. false:
    /// not to be had. `page` has 4096 bytes.
    virtual bool peek(const GuestMemory& memory, Ppn ppn, std::span<u8> page) { return false; }
};

}  // namespace shadowbox
