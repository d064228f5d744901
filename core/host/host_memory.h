// SPDX-License-Identifier: MIT
// How much memory the host has: the bound of the default pool.
#pragma once

#include "core/integers.h"

namespace shadowbox {

/// Bytes of physical memory of this machine.
u64 host_memory_bytes();

/// No large host pages here any more: they would fill again what is given back of them.
void refuse_huge_pages(u8* begin, u64 size);
/// Gives what the heap does not use back to the host.
void return_free_heap();

}  // namespace shadowbox
