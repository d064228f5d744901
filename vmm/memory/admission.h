// SPDX-License-Identifier: MIT
// Whether a guest may come (OSDI'02 6.1): its minimum and what it costs beside its pages must be there in
// machine memory, and the rest of its size in swap space, so that every promise can be kept at once.
#pragma once

#include <string>

#include "core/error.h"
#include "core/integers.h"

namespace shadowbox {

/// What is promised to one guest, or to all together. Bytes.
struct MemoryPromise {
    u64 min = 0, max = 0, overhead = 0;
    MemoryPromise& operator+=(const MemoryPromise& other);
};
/// What there is to promise. Bytes.
struct MemorySupply {
    u64 pool = 0, swap = 0;
    u64 reserve = 0;  ///< of the pool: for those who make room
};

/// The error shows the arithmetic, and what would help.
Expected<void> admit(const std::string& name, const MemoryPromise& guest, const MemoryPromise& promised,
                     const MemorySupply& supply);

}  // namespace shadowbox
