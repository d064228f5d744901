// SPDX-License-Identifier: MIT
// Which flags an instruction reads, leaves undefined and surely defines, given what is known of its count
// operand. The table's masks, refined for condition codes and shifts (SDM 2B).
#pragma once

#include "cpu/decode/insn.h"
#include "cpu/decode/opcode_row.h"
#include "cpu/state/registers.h"

namespace shadowbox::compare {

struct FlagEffects {
    u32 reads = 0, undefined = 0, defines = 0;
    bool undefined_result = false;  ///< not only flags: the form cannot be compared
};

/// `cl`: the low byte of RCX when the instruction starts, or -1 if unknown.
FlagEffects flag_effects(const OpcodeRow& row, const Insn& insn, int cl);

}  // namespace shadowbox::compare
