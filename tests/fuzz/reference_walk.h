// SPDX-License-Identifier: MIT
// A slow page walk, written from SDM 3A chapter 4 alone, for comparison with mmu/page_walk. It works on a
// plain array of bytes, one level at a time, from tables of the manual's figures.
#pragma once

#include <optional>
#include <vector>

#include "mmu/page_walk.h"

namespace shadowbox::fuzz {

struct ReferenceResult {
    std::optional<u32> fault;  ///< error code of the #PF
    u64 gpa = 0;               ///< of the accessed byte
    unsigned page_shift = 12;
    bool writable = true, user = true, executable = true, global = false;
    u8 key = 0;
};

/// `memory` is RAM from GPA 0 on; loads beyond it give ones. Accessed and dirty bits are set in it.
ReferenceResult reference_walk(const PagingControl& control, std::vector<u8>& memory, u64 gva,
                               WalkAccess access);

}  // namespace shadowbox::fuzz
