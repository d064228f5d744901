// SPDX-License-Identifier: MIT
// Handlers that stand for no row of the table: faults found while decoding, and block ends.
#pragma once

#include "cpu/decode/insn.h"

namespace shadowbox {

const Insn* op_undefined(Vcpu& cpu, const Insn* insn);  ///< #UD
const Insn* op_no_fpu(Vcpu& cpu, const Insn* insn);     ///< #NM
const Insn* op_too_long(Vcpu& cpu, const Insn* insn);   ///< #GP(0): more than 15 bytes
const Insn* op_block_end(Vcpu& cpu,
                         const Insn* insn);  ///< after the last instruction of a block that does not jump
const Insn* op_stale(Vcpu& cpu, const Insn* insn);  ///< cell of a killed block: look the code up again
const Insn* op_stop(Vcpu& cpu, const Insn* insn);   ///< returns to whoever called one handler alone
/// Runs a row that may raise #XM while the guest has unmasked an exception (ops/sse_control.cpp).
const Insn* sse_checked(Vcpu& cpu, const Insn* insn);

}  // namespace shadowbox
