// SPDX-License-Identifier: MIT
// Encodings that no CPU model offers (cpu/opcodes/absent.def): #UD, told from mere nonsense, so that a guest
// that needs more than there is can be seen. The decoder asks once it has found no row; nothing here runs for
// an instruction that exists.
#pragma once

#include "cpu/decode/opcode_row.h"

namespace shadowbox {

struct AbsentRow {
    OpMap map;
    OpPrefix prefix;
    u8 first, last;  ///< opcodes
    u16 modrm;
    bool vex;
    const char* name;
    const char* feature;
};
extern const AbsentRow kAbsentRows[];
extern const unsigned kAbsentRowCount;

/// What the decoder has seen. `modrm` is -1 where the next byte is not at hand: rows that want it do not fit
/// then.
struct AbsentQuery {
    unsigned map;
    u8 opcode;
    bool operand_prefix;
    u8 rep;
    bool vex;
    int modrm;
};
/// 1 + the row's number; 0: none.
i32 find_absent(const AbsentQuery& query);

/// Cell of such an encoding, Insn::imm from find_absent(): #UD, one count and one line a feature.
const Insn* op_absent(Vcpu& cpu, const Insn* insn);

}  // namespace shadowbox
