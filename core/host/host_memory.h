// SPDX-License-Identifier: MIT
// How much memory the host has: the bound of the default pool.
#pragma once

#include "core/integers.h"

namespace shadowbox {

/// Bytes of physical memory of this machine.
u64 host_memory_bytes();

/// Gives what the heap does not use back to the host.
void return_free_heap();

}  // namespace shadowbox
