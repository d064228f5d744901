// SPDX-License-Identifier: MIT
// A decoded instruction as the interpreter executes it: 32 bytes, its handler first. Made by
// cpu/decode/decoder.cpp, stored in cpu/blocks/block.h's blocks, never changed afterwards (but for
// invalidation, which replaces handlers).
#pragma once

#include "core/integers.h"

namespace shadowbox {

class Vcpu;
struct Insn;

/// Executes one instruction and continues with the next one. In tail-call builds it jumps on to the next
/// handler and finally returns nullptr; in the others it returns the next instruction (see
/// cpu/blocks/dispatch.h).
using Handler = const Insn* (*)(Vcpu& cpu, const Insn* insn);

/// Segment register numbers as in ModRM.reg.
enum Seg : u8 { kEs, kCs, kSs, kDs, kFs, kGs };

/// Pseudo register that always reads 0: the base or index of an address without one.
constexpr u8 kNoRegister = 16;

enum class RepPrefix : u8 { kNone, kRep, kRepne };

struct Insn {
    Handler handler;
    i64 disp;  ///< displacement; RIP-relative: the absolute effective address; branch: target RIP; moffs;
               ///< imm64
    i32 imm;   ///< immediate, sign-extended to 32 bits as the row's operand says; far pointer: offset
    u8 reg;  ///< ModRM.reg with REX.R, or the register in the opcode. 8-bit GPR operand: byte_register() form
    u8 rm;   ///< register form: ModRM.rm with REX.B (8-bit GPR: byte_register() form). Memory form: base
             ///< register
    u8 index;  ///< memory form: index register or kNoRegister
    u8 scale;  ///< memory form: log2 of the index scale; RIP-relative: kRipRelative
    u32 length : 4;
    u32 osize : 2;  ///< operand size: 1, 2, 3 for 16, 32, 64 bits
    u32 asize : 2;  ///< address size, the same
    u32 seg : 3;    ///< segment of the memory operand, defaults and overrides applied
    u32 mem : 1;    ///< ModRM names memory
    u32 lock : 1;
    u32 rep : 2;  ///< RepPrefix
    u32 rex_w : 1;
    u32 vex_l : 1;
    u32 vvvv : 4;       ///< VEX.vvvv; far pointer etc.: unused
    u32 opcode : 8;     ///< last opcode byte (condition codes, register in opcode)
    u32 fused : 1;      ///< stands for two guest instructions (compare and branch)
    u32 same_page : 1;  ///< direct branch whose target lies on its own page
    u32 flat : 1;       ///< memory form: segment base is 0 and its limit cannot be exceeded
    u16 rip_offset;     ///< from the block's first instruction
    u16 row;            ///< index into the opcode table
};
static_assert(sizeof(Insn) == 32);

/// Insn::scale of an address without registers whose `disp` was relative to RIP: it moves with the code
/// (block_placement.cpp).
constexpr u8 kRipRelative = 4;

/// 8-bit registers are kept as byte offsets into the register file: AL..R15B are n*8, AH..BH are (n-4)*8+1.
constexpr u8 byte_register(unsigned number, bool rex) {
    return static_cast<u8>(number >= 4 && number < 8 && !rex ? (number - 4) * 8 + 1 : number * 8);
}

}  // namespace shadowbox
