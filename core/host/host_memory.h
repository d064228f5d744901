// SPDX-License-Identifier: MIT
// How much memory the host has (the bound of the default pool), and what the process keeps of it.
#pragma once

#include "core/integers.h"

namespace shadowbox {

/// Bytes of physical memory of this machine.
u64 host_memory_bytes();

/// No large host pages here any more: they would fill again what is given back of them.
void refuse_huge_pages(u8* begin, u64 size);
/// Large pieces of the heap come from the host and go back to it one by one, as long as the process lives.
void keep_heap_small();
/// Gives what the heap does not use back to the host.
void return_free_heap();

}  // namespace shadowbox
