// SPDX-License-Identifier: MIT
// The x87 state in memory, apart from its layouts: tag word, control word rules, initial state. Used by
// x87_control.cpp
// (FSTENV, FSAVE) and xsave.cpp (FXSAVE, XSAVE).
#pragma once

#include "cpu/ops/x87/x87_stack.h"

namespace shadowbox::x87 {

/// Bit 6 reads as 1, bits 7 and 13 to 15 as 0; bit 12, the 287's infinity control, can be written.
constexpr u16 control_word(u16 value) { return static_cast<u16>((value & 0x1F7F) | 0x40); }

/// The full tag word, from contents and the empty bits (SDM 1 8.1.7).
u16 tag_word(const X87State& f);
/// Only "empty or not" is taken from a tag word that is loaded.
u8 empty_from_tags(u16 tags);

/// What FNINIT leaves (register contents stay).
void initialize(X87State& f);
/// The initial configuration in XSAVE's sense, registers zeroed.
void initialize_all(X87State& f);
bool is_initial(const X87State& f);

}  // namespace shadowbox::x87
