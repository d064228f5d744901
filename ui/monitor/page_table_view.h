// SPDX-License-Identifier: MIT
// Walks all of a guest's page tables for `info mem`, `info tlb`, `info pg`: every present entry in the order
// of addresses. Changes nothing, makes nothing resident. SDM 3A chapter 4.
#pragma once

#include <functional>

#include "mmu/guest_memory.h"
#include "mmu/page_walk.h"

namespace shadowbox {

struct TableEntry {
    unsigned level = 0;  ///< 1 page table, 2 directory, 3 pointer table, 4 PML4, 5 PML5
    unsigned index = 0;
    Gva first;     ///< canonical
    u64 span = 0;  ///< bytes that the entry maps
    u64 raw = 0;
    bool leaf = false;
    Gpa target;                           ///< the page or the next table
    bool user = false, writable = false;  ///< with all levels above
    bool no_execute = false;              ///< this entry or one above
};

/// False if the walk was cut off: tables that point at themselves can be endless.
bool visit_page_tables(const PagingControl& control, const GuestMemory& memory,
                       const std::function<void(const TableEntry&)>& visit);

/// QEMU's letters XGPDACTUW, "-" for what is not set. `present`: as `info pg` has them, S for large and a
/// final P.
std::string entry_flags(u64 raw, bool present);

}  // namespace shadowbox
