// SPDX-License-Identifier: MIT
#include "cpu/jit/emitter.h"

namespace shadowbox::jit {

void Emitter::modrm(u8 reg, const Operand2& rm) {
    u8 r = static_cast<u8>((reg & 7) << 3);
    if (!rm.is_memory) {
        byte(static_cast<u8>(0xC0 | r | (rm.reg & 7)));
        return;
    }
    const Mem& m = rm.mem;
    bool has_index = m.index != kNoIndex;
    if (m.base == kNoIndex) {  // [disp32] or [index*scale + disp32], SIB without base
        byte(static_cast<u8>(r | 4));
        byte(static_cast<u8>(m.scale << 6 | (has_index ? m.index & 7 : 4) << 3 | 5));
        dword(static_cast<u32>(m.disp));
        return;
    }
    u8 low = m.base & 7;
    // RBP and R13 as a base have no form without displacement.
    u8 mod = m.disp == 0 && low != 5 ? 0 : m.disp == static_cast<i8>(m.disp) ? 0x40 : 0x80;
    if (has_index || low == 4) {
        byte(static_cast<u8>(mod | r | 4));
        byte(static_cast<u8>(m.scale << 6 | (has_index ? m.index & 7 : 4) << 3 | low));
    } else {
        byte(static_cast<u8>(mod | r | low));
    }
    if (mod == 0x40)
        byte(static_cast<u8>(m.disp));
    else if (mod == 0x80)
        dword(static_cast<u32>(m.disp));
}

void Emitter::op(const Opcode& opcode, u8 reg, const Operand2& rm, bool lock) {
    if (lock) byte(0xF0);
    if (opcode.prefix) byte(opcode.prefix);
    u8 rex = opcode.wide ? 0x48 : 0;
    if (reg & 8) rex |= 0x44;
    if (rm.is_memory) {
        if (rm.mem.base != kNoIndex && (rm.mem.base & 8)) rex |= 0x41;
        if (rm.mem.index != kNoIndex && (rm.mem.index & 8)) rex |= 0x42;
    } else if (rm.reg & 8) {
        rex |= 0x41;
    }
    if (opcode.byte_reg && ((reg >= 4 && reg < 8) || (!rm.is_memory && rm.reg >= 4 && rm.reg < 8)))
        rex |= 0x40;
    if (rex) byte(rex);
    if (opcode.map) byte(0x0F);
    if (opcode.map == 2) byte(0x38);
    if (opcode.map == 3) byte(0x3A);
    byte(opcode.byte);
    modrm(reg, rm);
}

void Emitter::vex(const Opcode& opcode, bool length256, u8 reg, u8 vvvv, const Operand2& rm) {
    u8 pp = opcode.prefix == 0x66 ? 1 : opcode.prefix == 0xF3 ? 2 : opcode.prefix == 0xF2 ? 3 : 0;
    bool x = rm.is_memory && rm.mem.index != kNoIndex && (rm.mem.index & 8);
    bool b = rm.is_memory ? rm.mem.base != kNoIndex && (rm.mem.base & 8) : (rm.reg & 8) != 0;
    if (!x && !b && !opcode.wide && opcode.map == 1) {
        byte(0xC5);
        byte(static_cast<u8>((reg & 8 ? 0 : 0x80) | (~vvvv & 15) << 3 | (length256 ? 4 : 0) | pp));
        byte(opcode.byte);
        modrm(reg, rm);
        return;
    }
    byte(0xC4);
    byte(static_cast<u8>((reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | opcode.map));
    byte(static_cast<u8>((opcode.wide ? 0x80 : 0) | (~vvvv & 15) << 3 | (length256 ? 4 : 0) | pp));
    byte(opcode.byte);
    modrm(reg, rm);
}

void Emitter::load_imm(u8 to, u64 value) {
    if (value <= 0xFFFFFFFF) {
        if (to >= 8) byte(0x41);
        byte(static_cast<u8>(0xB8 | (to & 7)));
        dword(static_cast<u32>(value));
    } else if (static_cast<i64>(value) == static_cast<i32>(value)) {
        op({0, 0, 0xC7, true}, 0, to);
        dword(static_cast<u32>(value));
    } else {
        byte(to >= 8 ? 0x49 : 0x48);
        byte(static_cast<u8>(0xB8 | (to & 7)));
        qword(value);
    }
}

void Emitter::alu_imm(u8 which, const Operand2& to, i32 value, bool wide) {
    if (value == static_cast<i8>(value)) {
        op({0, 0, 0x83, wide}, which, to);
        byte(static_cast<u8>(value));
    } else {
        op({0, 0, 0x81, wide}, which, to);
        dword(static_cast<u32>(value));
    }
}

void Emitter::bind(const Fixup& fixup, const u8* target) {
    i64 distance = target - (fixup.at + (fixup.is_short ? 1 : 4));
    if (fixup.is_short) {
        *fixup.at = static_cast<u8>(distance);
    } else {
        i32 value = static_cast<i32>(distance);
        memcpy(fixup.at, &value, 4);
    }
}

void Emitter::save_flags() {
    byte(0x9F);                              // lahf
    op({0, 1, 0x90, false, true}, 0, hRax);  // seto al
    store32(in_frame(offsetof(Frame, flags)), hRax);
}

void Emitter::restore_flags() {
    load32(hRax, in_frame(offsetof(Frame, flags)));
    byte(0x04);  // add al, 127: overflows just when AL is 1
    byte(0x7F);
    byte(0x9E);  // sahf: all but OF
}

}  // namespace shadowbox::jit
