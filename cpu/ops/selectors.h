// SPDX-License-Identifier: MIT
// Selectors: rows whose handler depends on operand size and form name one of these. Each looks at the decoded
// instruction and its row, may reorder registers, and returns the specialised handler. `flags_dead`: nobody
// can see the flags it would write.
#pragma once

#include "cpu/decode/opcode_row.h"

namespace shadowbox {

enum class Alu : u8 { kAdd, kOr, kAdc, kSbb, kAnd, kSub, kXor, kCmp, kTest };
template <Alu op>
Handler select_alu(Insn& insn, bool flags_dead);

enum class Shift : u8 { kRol, kRor, kRcl, kRcr, kShl, kShr, kSar };
template <Shift op>
Handler select_shift(Insn& insn, bool flags_dead);

enum class Unary : u8 { kInc, kDec, kNot, kNeg };
template <Unary op>
Handler select_unary(Insn& insn, bool flags_dead);

Handler select_mov(Insn& insn, bool flags_dead);
Handler select_movzx(Insn& insn, bool flags_dead);
Handler select_movsx(Insn& insn, bool flags_dead);
Handler select_lea(Insn& insn, bool flags_dead);
Handler select_xchg(Insn& insn, bool flags_dead);
Handler select_xchg_accumulator(Insn& insn, bool flags_dead);
Handler select_cmpxchg8b(Insn& insn, bool flags_dead);
Handler select_cmov(Insn& insn, bool flags_dead);
Handler select_setcc(Insn& insn, bool flags_dead);
Handler select_jcc(Insn& insn, bool flags_dead);
Handler select_jmp(Insn& insn, bool flags_dead);
Handler select_call(Insn& insn, bool flags_dead);
Handler select_ret(Insn& insn, bool flags_dead);
Handler select_push(Insn& insn, bool flags_dead);
Handler select_pop(Insn& insn, bool flags_dead);
Handler select_movs(Insn& insn, bool flags_dead);
Handler select_stos(Insn& insn, bool flags_dead);
Handler select_lods(Insn& insn, bool flags_dead);
Handler select_cmps(Insn& insn, bool flags_dead);
Handler select_scas(Insn& insn, bool flags_dead);
Handler select_ins(Insn& insn, bool flags_dead);
Handler select_outs(Insn& insn, bool flags_dead);
Handler select_imul(Insn& insn, bool flags_dead);

/// NOP under a name: what the accumulator exchange of 90 is without REX.B.
const Insn* op_nop(Vcpu& cpu, const Insn* insn);
const Insn* op_cmpxchg8b(Vcpu& cpu, const Insn* insn);
const Insn* op_cmpxchg16b(Vcpu& cpu, const Insn* insn);

/// Operand size in bytes of a row whose operands are of the b, v, y, z kinds.
unsigned operand_bytes(const Insn& insn);

}  // namespace shadowbox
