// SPDX-License-Identifier: MIT
// Flag letters for the rows of opcodes.def. Included only by files that expand the table.
#pragma once

#include "cpu/state/registers.h"

namespace shadowbox::flag_letters {
constexpr unsigned f0 = 0, fC = 1, fP = 4, fA = 0x10, fZ = 0x40, fS = 0x80, fO = 0x800, fD = 0x400;
constexpr unsigned fAll = fC | fP | fA | fZ | fS | fO;  // OSZAPC
constexpr unsigned fNoC = fAll & ~fC;                   // OSZAP
constexpr unsigned fNoZ = fAll & ~fZ, fNoOC = fAll & ~(fO | fC);
}  // namespace shadowbox::flag_letters
