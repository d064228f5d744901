// SPDX-License-Identifier: MIT
// Bytes to Insn, driven by the opcode table. Knows no memory: the caller supplies the bytes.
#pragma once

#include "cpu/decode/insn.h"
#include "cpu/decode/opcode_row.h"

namespace shadowbox {

struct CpuModel;

struct DecodeContext {
    u64 mode;               ///< mode_bits
    u64 rip;                ///< of the instruction
    const CpuModel* model;  ///< which features exist
};

enum class DecodeStatus : u8 {
    kOk,
    kNeedMore,   ///< ran past `available`: the rest is on the next page
    kTooLong,    ///< more than 15 bytes: #GP(0)
    kUndefined,  ///< no row fits: #UD. `length` is what was looked at, `imm` is 0 or find_absent()'s number
};

/// Decodes one instruction. Does not choose the handler of rows with a selector (choose_handler does, once
/// flags liveness is known).
DecodeStatus decode_insn(const DecodeContext& context, const u8* bytes, unsigned available, Insn& insn);

/// Sets insn.handler from its row.
void choose_handler(const DecodeContext& context, Insn& insn, bool flags_dead);

}  // namespace shadowbox
