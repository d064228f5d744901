// SPDX-License-Identifier: MIT
// Writes x86-64 host instructions. One encoder serves both uses: the translator's own sequences, and guest
// instructions encoded again with host registers (for which an assembler library, that takes mnemonics and
// not opcodes, has no door). Holds no state of a translation; the caller provides room.
#pragma once

#include <cstring>

#include "cpu/jit/layout.h"

namespace shadowbox::jit {

constexpr u8 kNoIndex = 0xFF;

/// A host memory operand; base kNoIndex: disp32 alone (RIP-relative if `rip`: disp is then relative to the
/// next instruction).
struct Mem {
    u8 base = kNoIndex, index = kNoIndex, scale = 0;
    i32 disp = 0;
};

/// ModRM.rm: a register or memory.
struct Operand2 {
    bool is_memory;
    u8 reg;
    Mem mem;
    Operand2(u8 r) : is_memory(false), reg(r) {}                 // NOLINT: a register is an operand
    Operand2(const Mem& m) : is_memory(true), reg(0), mem(m) {}  // NOLINT
};

inline Mem at(u8 base, i32 disp = 0) { return Mem{base, kNoIndex, 0, disp}; }
inline Mem sum(u8 base, u8 index, i32 disp = 0) { return Mem{base, index, 0, disp}; }
inline Mem in_frame(i32 offset) { return at(hRsp, offset); }

/// Opcode as bytes after prefixes: map 0 (none), 1 (0F), 2 (0F 38), 3 (0F 3A).
struct Opcode {
    u8 prefix = 0;  ///< 0, 66, F2 or F3
    u8 map = 0;
    u8 byte = 0;
    bool wide = false;      ///< REX.W
    bool byte_reg = false;  ///< a register operand is 8 bits wide: SPL to DIL need a REX
};

/// A forward jump to be bound: where its displacement is.
struct Fixup {
    u8* at = nullptr;
    bool is_short = false;
};

class Emitter {
 public:
    u8* cursor = nullptr;  ///< in the writable view

    void byte(u8 value) { *cursor++ = value; }
    void dword(u32 value) {
        memcpy(cursor, &value, 4);
        cursor += 4;
    }
    void qword(u64 value) {
        memcpy(cursor, &value, 8);
        cursor += 8;
    }

    /// Any instruction with ModRM. `reg` is a register number or an opcode extension. `imm_bytes` that will
    /// follow.
    void op(const Opcode& opcode, u8 reg, const Operand2& rm, bool lock = false);
    /// VEX: `length256` is L, `vvvv` the extra operand (0 if unused, encoded inverted).
    void vex(const Opcode& opcode, bool length256, u8 reg, u8 vvvv, const Operand2& rm);

    // --- the translator's own words ---
    void mov(u8 to, u8 from) { op({0, 0, 0x8B, true}, to, from); }
    void mov32(u8 to, u8 from) { op({0, 0, 0x8B}, to, from); }
    void load(u8 to, const Mem& from) { op({0, 0, 0x8B, true}, to, from); }
    void load32(u8 to, const Mem& from) { op({0, 0, 0x8B}, to, from); }
    void store(const Mem& to, u8 from) { op({0, 0, 0x89, true}, from, to); }
    void store32(const Mem& to, u8 from) { op({0, 0, 0x89}, from, to); }
    void store_imm32(const Mem& to, i32 value, bool wide = false) {
        op({0, 0, 0xC7, wide}, 0, to);
        dword(static_cast<u32>(value));
    }
    void store_imm8(const Mem& to, u8 value) {
        op({0, 0, 0xC6}, 0, to);
        byte(value);
    }
    void load_imm(u8 to, u64 value);  ///< shortest MOV; flags stay
    void lea(u8 to, const Mem& from, bool wide = true) { op({0, 0, 0x8D, wide}, to, from); }
    /// ALU group 1: 0 add 1 or 2 adc 3 sbb 4 and 5 sub 6 xor 7 cmp.
    void alu(u8 which, u8 to, const Operand2& from, bool wide = true) {
        op({0, 0, static_cast<u8>(which * 8 + 3), wide}, to, from);
    }
    void alu_imm(u8 which, const Operand2& to, i32 value, bool wide = true);
    void test(u8 a, u8 b, bool wide = true) { op({0, 0, 0x85, wide}, b, a); }
    void test_imm(u8 a, i32 value, bool wide = true) {
        op({0, 0, 0xF7, wide}, 0, a);
        dword(static_cast<u32>(value));
    }
    void shift_right(u8 reg, u8 count, bool wide) {
        op({0, 0, 0xC1, wide}, 5, reg);
        byte(count);
    }
    void push(u8 reg) {
        if (reg >= 8) byte(0x41);
        byte(static_cast<u8>(0x50 | (reg & 7)));
    }
    void pop(u8 reg) {
        if (reg >= 8) byte(0x41);
        byte(static_cast<u8>(0x58 | (reg & 7)));
    }
    void swap_bytes(u8 reg, bool wide) {
        if (wide || reg >= 8) byte(static_cast<u8>(0x40 | (wide ? 8 : 0) | reg >> 3));
        byte(0x0F);
        byte(static_cast<u8>(0xC8 | (reg & 7)));
    }
    void ret() { byte(0xC3); }
    void call_reg(u8 reg) { op({0, 0, 0xFF}, 2, reg); }
    void jmp_mem(const Mem& where) { op({0, 0, 0xFF}, 4, where); }

    /// JMP/Jcc/CALL rel32 to a place in the writable view.
    void jmp(const u8* to) {
        byte(0xE9);
        relative(to);
    }
    void call(const u8* to) {
        byte(0xE8);
        relative(to);
    }
    void jcc(u8 condition, const u8* to) {
        byte(0x0F);
        byte(static_cast<u8>(0x80 | condition));
        relative(to);
    }
    Fixup jmp_forward() {
        byte(0xE9);
        return forward();
    }
    Fixup jcc_forward(u8 condition) {
        byte(0x0F);
        byte(static_cast<u8>(0x80 | condition));
        return forward();
    }
    Fixup jmp_short() {
        byte(0xEB);
        byte(0);
        return {cursor - 1, true};
    }
    Fixup jcc_short(u8 condition) {
        byte(static_cast<u8>(0x70 | condition));
        byte(0);
        return {cursor - 1, true};
    }
    Fixup jrcxz_short() {
        byte(0xE3);
        byte(0);
        return {cursor - 1, true};
    }
    void bind(const Fixup& fixup) { bind(fixup, cursor); }
    static void bind(const Fixup& fixup, const u8* target);

    /// Flags of the host into the frame's image and back; both use RAX.
    void save_flags();
    void restore_flags();

 private:
    void relative(const u8* to) { dword(static_cast<u32>(to - (cursor + 4))); }
    Fixup forward() {
        dword(0);
        return {cursor - 4, false};
    }
    void modrm(u8 reg, const Operand2& rm);
};

/// Condition codes, SDM 1 appendix B.
enum Condition : u8 { kO, kNo, kB, kAe, kE, kNe, kBe, kA, kS, kNs, kP, kNp, kL, kGe, kLe, kG };

}  // namespace shadowbox::jit
