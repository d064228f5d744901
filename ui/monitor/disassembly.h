// SPDX-License-Identifier: MIT
// Guest instructions as text, by Capstone, in Intel's syntax. For views only: execution never asks it.
#pragma once

#include <span>
#include <string>

#include "core/integers.h"

namespace shadowbox {

struct DisassembledInsn {
    std::string text;  ///< "mov rax, rbx"; "(bad)" for what is no instruction
    unsigned length = 1;
};

/// `bits`: 16, 32 or 64. `bytes`: up to 15 from `rip` on.
DisassembledInsn disassemble(std::span<const u8> bytes, u64 rip, unsigned bits);

}  // namespace shadowbox
