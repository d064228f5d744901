// SPDX-License-Identifier: MIT
// Questions about decoded instructions that several emitters ask.
#pragma once

#include "cpu/jit/translator.h"

namespace shadowbox::jit {

/// A two-operand comparison's operands.
struct Form2 {
    unsigned bytes;    ///< operand size
    bool immediate;    ///< second operand is an immediate
    bool accumulator;  ///< first operand is AL or rAX by opcode
};
Form2 form_of_step(const Step& s);
/// Guest registers that a register-form comparison reads, as bits.
u32 compared_registers(const Step& s);
/// A relative JMP, Jcc, CALL, LOOP or JRCXZ.
bool is_direct_jump(const Step& s);
/// Jcc.
bool is_conditional_jump(const Step& s);
/// A system instruction that ends its block (not by a jump) and has code behind which another can follow.
bool runs_on(const Step& s, bool exact_time);
bool is_pause(const Step& s);
/// BT and its kin with the bit offset in a register and the bits in memory.
bool is_bit_string(const Step& s);
/// The row is a VEX-encoded vector instruction.
bool is_avx(const OpcodeRow& row);
/// The row works on x87, MMX or vector state.
bool needs_state(const OpcodeRow& row);
/// The manual leaves flags undefined that somebody can see here: two implementations may differ.
bool undefined_flags_matter(const Step& s);
/// AH, CH, DH or BH among the register operands.
bool has_high_byte(const Step& s);
/// ZF: the current context maps the page of `rip` to `ppn` for execution. Uses RAX.
void emit_code_check(Emitter& e, u64 rip, u64 ppn);
/// Offset of a data TLB entry's field from kTlb.
i32 tlb_offset(unsigned index, bool write);
i32 tlb_page_offset(unsigned index, bool write);

}  // namespace shadowbox::jit
