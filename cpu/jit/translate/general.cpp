// SPDX-License-Identifier: MIT
// General-register instructions: most are encoded again with host registers and a host address in their
// operands' places.
#include "cpu/jit/forms.h"
#include "cpu/jit/host_cpu.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

unsigned Translator::operand_size(const Step& s, Operand operand) const {
    switch (operand) {
        case Operand::Eb:
        case Operand::Gb:
        case Operand::Mb:
        case Operand::Wb:
        case Operand::AL: return 1;
        case Operand::Ew:
        case Operand::Gw:
        case Operand::Mw:
        case Operand::Ww:
        case Operand::Mi16: return 2;
        case Operand::Ed:
        case Operand::Gd:
        case Operand::Md:
        case Operand::Wd:
        case Operand::Rd:
        case Operand::Mf32:
        case Operand::Mi32:
        case Operand::Qd: return 4;
        case Operand::Eq:
        case Operand::Gq:
        case Operand::Mq:
        case Operand::Wq:
        case Operand::Rq:
        case Operand::Mf64:
        case Operand::Mi64:
        case Operand::Qq:
        case Operand::Nq: return 8;
        case Operand::Mf80:
        case Operand::Mbcd: return 10;
        case Operand::Ey:
        case Operand::Gy:
        case Operand::My:
        case Operand::Ry: return s.insn.rex_w ? 8 : 4;
        case Operand::Mdq:
        case Operand::Wdq: return 16;
        case Operand::Wx:
        case Operand::Mx: return 16u << s.insn.vex_l;
        case Operand::Wx2: return 8u << s.insn.vex_l;
        case Operand::Wx4: return 4u << s.insn.vex_l;
        case Operand::Wx8: return 2u << s.insn.vex_l;
        default: return s.insn.osize == 1 ? 2 : s.insn.osize == 2 ? 4 : 8;
    }
}

void Translator::emit_immediate(const Step& s) {
    for (Operand o : s.row->operands) {
        u32 value = static_cast<u32>(s.insn.imm);
        if (o == Operand::Ib || o == Operand::Ibs) {
            e_.byte(static_cast<u8>(value));
        } else if (o == Operand::Iw || (o == Operand::Iz && s.insn.osize == 1)) {
            e_.byte(static_cast<u8>(value));
            e_.byte(static_cast<u8>(value >> 8));
        } else if (o == Operand::Iz) {
            e_.dword(value);
        }
    }
}

namespace {
constexpr u8 kNone = 0xFF;

/// What to change in the opcode of a form with destination r/m and source reg, so that they trade places;
/// TEST has but one form.
u8 has_reversed_form(const OpcodeRow& row) {
    if (row.map != OpMap::M0) return 0;
    if (row.opcode < 0x40 && (row.opcode & 7) < 2) return 2;
    return row.opcode == 0x88 || row.opcode == 0x89 ? 2 : 0;
}
}  // namespace

/// Encodes the instruction again. `bytes`: size of the general-register operands; `reg_use`: how ModRM.reg is
/// used as a register (kUnused: it is the opcode extension); `rm_use` likewise for ModRM.rm, register or
/// memory.
bool Translator::again(unsigned i, unsigned bytes, Use reg_use, Use rm_use, u8 extension) {
    const Step& s = steps_[i];
    if (has_high_byte(s)) return again_high_byte(i, reg_use, rm_use, extension);
    rdx_group_ = carried_rdx_group_;
    rdx_kept_ = true;
    const bool byte_op = bytes == 1;
    const OpcodeRow& row = *s.row;
    // The size of the memory or rm operand may differ (MOVZX).
    unsigned rm_bytes = bytes;
    for (Operand o : {row.operands[0], row.operands[1]}) {
        if (o == Operand::Eb || o == Operand::Ew || o == Operand::Ed || o == Operand::Eq || o == Operand::Ey)
            rm_bytes = operand_size(s, o);
    }
    const bool rm_byte = rm_bytes == 1;
    Operand2 rm(u8{0});
    const unsigned rm_number = rm_byte ? s.insn.rm / 8u : s.insn.rm,
                   reg_number = byte_op ? s.insn.reg / 8u : s.insn.reg;
    u8 rm_scratch = kNone, reg_scratch = kNone;
    const bool wants_flags = s.reads || (row.flags_written && (s.live_after & ~s.writes));
    u8 held = kNone;  // scratch register that the instruction before left with the value of held_.guest
    if (s.insn.mem) {
        rm = probe(i, rm_bytes, rm_use & kWrite);
        if (wants_flags) need_flags();
    } else {
        if (wants_flags) need_flags();
        if (held_.end == e_.cursor) held = held_.host;
        const bool rm_held = held != kNone && held_.guest == rm_number;
        if (kHome[rm_number] != kInFrame) {
            rm = Operand2(kHome[rm_number]);
        } else if ((rm_use & kWrite) && rm_bytes == 4) {  // the upper half is to be cleared
            rm_scratch = rm_held ? held : held == hRcx ? static_cast<u8>(hRax) : static_cast<u8>(hRcx);
            if ((rm_use & kRead) && !rm_held) e_.load32(rm_scratch, in_frame(frame_gpr(rm_number)));
            rm = Operand2(rm_scratch);
        } else if (rm_held && !(rm_use & kWrite)) {
            rm = Operand2(held);
        } else {
            rm = Operand2(in_frame(frame_gpr(rm_number)));
        }
    }
    u8 prefix = 0;
    if (row.prefix == OpPrefix::P66)
        prefix = 0x66;
    else if (row.prefix == OpPrefix::PF2)
        prefix = 0xF2;
    else if (row.prefix == OpPrefix::PF3)
        prefix = 0xF3;
    Opcode opcode{prefix, static_cast<u8>(row.map), static_cast<u8>(s.insn.opcode), bytes == 8,
                  byte_op || rm_byte};
    u8 reg = extension;
    Operand2 other = rm;
    if (reg_use != kUnused) {
        reg = kHome[reg_number];
        if (reg == kInFrame && held != kNone && held_.guest == reg_number && !(reg_use & kWrite)) {
            reg = held;
        } else if (reg == kInFrame && !(reg_use & kWrite) && !rm.is_memory && has_reversed_form(row)) {
            // The other direction reads the frame.
            opcode.byte ^= has_reversed_form(row);
            reg = rm.reg;
            other = Operand2(in_frame(frame_gpr(reg_number)));
        } else if (reg == kInFrame) {
            const bool reg_held = held != kNone && held_.guest == reg_number;
            reg = reg_held                                                  ? held
                  : rm_scratch == hRax || (!rm.is_memory && rm.reg == hRax) ? static_cast<u8>(hRcx)
                                                                            : static_cast<u8>(hRax);
            reg_scratch = reg;
            if (((reg_use & kRead) || bytes < 4) && !reg_held) e_.load(reg, in_frame(frame_gpr(reg_number)));
        }
    }
    if (bytes == 2 && prefix == 0) {
        opcode.prefix = 0x66;
    } else if (bytes == 2 && prefix != 0x66) {
        e_.byte(0x66);  // POPCNT and its kin with 16-bit operands
    }
    e_.op(opcode, reg, other, s.insn.lock);
    emit_immediate(s);
    if (reg_scratch != kNone && (reg_use & kWrite)) {
        e_.store(in_frame(frame_gpr(reg_number)), reg_scratch);
        held_ = {reg_scratch, static_cast<u8>(reg_number), e_.cursor};
    }
    if (rm_scratch != kNone) {
        e_.store(in_frame(frame_gpr(rm_number)), rm_scratch);
        held_ = {rm_scratch, static_cast<u8>(rm_number), e_.cursor};
    }
    if (row.flags_written) made_flags(i);
    return true;
}

/// Byte instructions with AH, CH, DH or BH: their register goes through RAX, whose second byte has an
/// encoding, and the other operand through RCX, because a REX prefix would turn AH into SPL.
bool Translator::again_high_byte(unsigned i, Use reg_use, Use rm_use, u8 extension) {
    const Step& s = steps_[i];
    const bool rm_high = !s.insn.mem && (s.insn.rm & 1), reg_high = reg_use != kUnused && (s.insn.reg & 1);
    if ((rm_high && reg_high) || s.row->map != OpMap::M0) return false;
    const unsigned high = (rm_high ? s.insn.rm : s.insn.reg) / 8u;
    const bool other_is_register = rm_high ? reg_use != kUnused : !s.insn.mem;
    const unsigned other = (rm_high ? s.insn.reg : s.insn.rm) / 8u;
    Operand2 memory(u8{hRcx});
    if (s.insn.mem) memory = Operand2(at(single(probe(i, 1, rm_use & kWrite), hRcx)));
    need_flags_for(i);
    e_.mov(hRax, kHome[high]);
    if (other_is_register) {
        if (kHome[other] == kInFrame)
            e_.load(hRcx, in_frame(frame_gpr(other)));
        else
            e_.mov(hRcx, kHome[other]);
    }
    constexpr u8 kAh = 4;  // without REX
    const u8 reg = reg_high ? kAh : reg_use != kUnused ? static_cast<u8>(hRcx) : extension;
    e_.op({0, 0, static_cast<u8>(s.insn.opcode)}, reg, rm_high ? Operand2(kAh) : memory, s.insn.lock);
    emit_immediate(s);
    if ((rm_high ? rm_use : reg_use) & kWrite) e_.mov(kHome[high], hRax);
    if (other_is_register && ((rm_high ? reg_use : rm_use) & kWrite)) write(other, hRcx);
    if (s.row->flags_written) made_flags(i);
    return true;
}

namespace {
bool is_compare(u8 opcode, const Step& s) {
    if (opcode < 0x40) return (opcode & 0x38) == 0x38;
    return (s.insn.reg & 7) == 7;
}
}  // namespace

bool Translator::general(unsigned i) {
    const Step& s = steps_[i];
    const u8 op = s.row->opcode;
    const unsigned bytes = (op & 1) || op >= 0xA0 || op == 0x8D ? (s.insn.osize == 1   ? 2
                                                                   : s.insn.osize == 2 ? 4
                                                                                       : 8)
                                                                : 1;
    if (op < 0x40 && (op & 7) < 6) {
        bool compare = is_compare(op, s);
        switch (op & 7) {
            case 0:
            case 1:
                if (!again(i, bytes, kRead, compare ? kRead : kReadWrite, 0)) return false;
                break;
            case 2:
            case 3:
                if (!again(i, bytes, compare ? kRead : kReadWrite, kRead, 0)) return false;
                break;
            default: {  // AL or rAX with an immediate: by the group encoding
                need_flags_for(i);
                Opcode group{static_cast<u8>(bytes == 2 ? 0x66 : 0), 0,
                             static_cast<u8>(bytes == 1 ? 0x80 : 0x81), bytes == 8, bytes == 1};
                e_.op(group, op >> 3, kHome[kRax]);
                emit_immediate(s);
                made_flags(i);
                break;
            }
        }
        if (compare) made_flags(i, !has_high_byte(s));
        return true;
    }
    switch (op) {
        case 0x63: return again(i, s.insn.osize == 1 ? 2 : s.insn.osize == 2 ? 4 : 8, kWrite, kRead, 0);
        case 0x69:
        case 0x6B: return again(i, s.insn.osize == 1 ? 2 : s.insn.osize == 2 ? 4 : 8, kWrite, kRead, 0);
        case 0x80:
        case 0x81:
        case 0x83: {
            bool compare = is_compare(op, s);
            if (!again(i, op == 0x80 ? 1 : bytes, kUnused, compare ? kRead : kReadWrite, s.insn.reg & 7))
                return false;
            if (compare) made_flags(i, !has_high_byte(s));
            return true;
        }
        case 0x84:
        case 0x85:
            if (!again(i, bytes, kRead, kRead, 0)) return false;
            made_flags(i, !has_high_byte(s));
            return true;
        case 0xA8:
        case 0xA9: {
            bool wide = op == 0xA9;
            Opcode group{static_cast<u8>(wide && s.insn.osize == 1 ? 0x66 : 0), 0,
                         static_cast<u8>(wide ? 0xF7 : 0xF6), wide && s.insn.osize == 3, !wide};
            e_.op(group, 0, kHome[kRax]);
            emit_immediate(s);
            made_flags(i, true);
            return true;
        }
        case 0x88:
        case 0x89: return again(i, bytes, kRead, kWrite, 0);
        case 0x8A:
        case 0x8B: return again(i, bytes, kWrite, kRead, 0);
        case 0x8D: return load_address(i);
        case 0xC6: return again(i, 1, kUnused, kWrite, 0);
        case 0xC7: return again(i, bytes, kUnused, kWrite, 0);
        case 0xB0: {
            if (has_high_byte(s)) {
                e_.mov(hRax, kHome[s.insn.reg / 8u]);
                e_.byte(0xB4);  // mov ah, imm8
                e_.byte(static_cast<u8>(s.insn.imm));
                e_.mov(kHome[s.insn.reg / 8u], hRax);
                return true;
            }
            unsigned g = s.insn.reg / 8u;
            e_.op({0, 0, 0xC6, false, true}, 0, home(g));
            e_.byte(static_cast<u8>(s.insn.imm));
            return true;
        }
        case 0xB8: return load_constant(i);
        case 0xA0:
        case 0xA1:
        case 0xA2:
        case 0xA3: return false;
        case 0x9C: return push_flags(i);
        case 0x98:
        case 0x99: return widen(i);
        case 0xC0:
        case 0xC1:
        case 0xD0:
        case 0xD1:
        case 0xD2:
        case 0xD3: return shift(i);
        case 0xF6:
        case 0xF7: {
            unsigned which = s.insn.reg & 7, size = op == 0xF6 ? 1 : bytes;
            if (which == 0) {
                if (!again(i, size, kUnused, kRead, 0)) return false;
                made_flags(i, !has_high_byte(s));
                return true;
            }
            if (which == 2 || which == 3) return again(i, size, kUnused, kReadWrite, static_cast<u8>(which));
            if (which == 4 || which == 5) return multiply(i);
            return which >= 6 && divide(i);
        }
        case 0xFE: return again(i, 1, kUnused, kReadWrite, s.insn.reg & 7);
        case 0xFF:
            if ((s.insn.reg & 7) < 2) return again(i, bytes, kUnused, kReadWrite, s.insn.reg & 7);
            if ((s.insn.reg & 7) == 6) return push(i);
            if ((s.insn.reg & 7) == 2) return call(i);
            if ((s.insn.reg & 7) == 4) {
                jump_indirect(i);
                return ended_;
            }
            return false;
        case 0xF5:
        case 0xF8:
        case 0xF9:  // CMC CLC STC
            need_flags_for(i);
            e_.byte(op);
            made_flags(i);
            return true;
        case 0x86:
        case 0x87:
        case 0x90: return is_pause(s) ? pause(i) : exchange(i);
        case 0xA4:
        case 0xA5:
        case 0xA6:
        case 0xA7:
        case 0xAA:
        case 0xAB:
        case 0xAC:
        case 0xAD:
        case 0xAE:
        case 0xAF: return long64() ? string(i) : legacy_string(i);
        case 0xFC:
        case 0xFD: return direction(op == 0xFD);
        case 0x50:
        case 0x68:
        case 0x6A: return push(i);
        case 0x58: return pop(i);
        case 0xC9: return leave_frame(i);
        case 0xC2:
        case 0xC3: return ret(i);
        case 0xE0:
        case 0xE1:
        case 0xE2:
        case 0xE3: return loop(i);
        case 0xE8: return call(i);
        case 0xE9:
        case 0xEB: return jump(i);
        default: return op >= 0x70 && op < 0x80 && jump(i);
    }
}

void Translator::need_flags_for(unsigned i) {
    const Step& s = steps_[i];
    if (s.reads || (s.row->flags_written && (s.live_after & ~s.writes))) need_flags();
}

bool Translator::load_address(unsigned i) {
    const Step& s = steps_[i];
    const Insn& n = s.insn;
    if (!long64()) return load_address_legacy(i);
    if (n.osize == 1) return false;
    bool wide = n.osize == 3 && n.asize == 3;  // a 32-bit address or destination clears the upper half
    u8 to = kHome[n.reg] == kInFrame ? static_cast<u8>(hRax) : kHome[n.reg];
    if (n.rm == kNoRegister && n.index == kNoRegister) {
        e_.load_imm(to, wide ? static_cast<u64>(n.disp) : static_cast<u32>(n.disp));
    } else {
        e_.lea(to, base_and_index(n, hRcx, hRdx), wide);
    }
    write(n.reg, to);
    return true;
}

bool Translator::load_constant(unsigned i) {
    const Insn& n = steps_[i].insn;
    if (n.osize == 1) {
        e_.op({0x66, 0, 0xC7}, 0, home(n.reg));
        e_.byte(static_cast<u8>(n.imm));
        e_.byte(static_cast<u8>(n.imm >> 8));
        return true;
    }
    u8 to = kHome[n.reg] == kInFrame ? static_cast<u8>(hRax) : kHome[n.reg];
    e_.load_imm(to, n.osize == 3 ? static_cast<u64>(n.disp) : static_cast<u32>(n.imm));
    write(n.reg, to);
    return true;
}

/// CBW CWDE CDQE, CWD CDQ CQO; the latter without flags, by way of RAX and RDX.
bool Translator::widen(unsigned i) {
    const Step& s = steps_[i];
    const u8 a = kHome[kRax], d = kHome[kRdx];
    if (s.row->opcode == 0x98) {
        if (s.insn.osize == 1)
            e_.op({0x66, 1, 0xBE, false, true}, a, a);
        else if (s.insn.osize == 2)
            e_.op({0, 1, 0xBF}, a, a);
        else
            e_.op({0, 0, 0x63, true}, a, a);
        return true;
    }
    e_.mov(hRax, a);
    if (s.insn.osize == 1) e_.byte(0x66);
    if (s.insn.osize == 3) e_.byte(0x48);
    e_.byte(0x99);
    if (s.insn.osize == 1)
        e_.op({0x66, 0, 0x8B}, d, hRdx);
    else
        e_.mov(d, hRdx);
    return true;
}

bool Translator::shift(unsigned i) {
    const Step& s = steps_[i];
    const u8 op = s.row->opcode;
    const unsigned bytes = op & 1 ? (s.insn.osize == 1 ? 2 : s.insn.osize == 2 ? 4 : 8) : 1;
    const u8 which = s.insn.reg & 7;
    if (op < 0xD2) {
        // A count of zero leaves the flags: then nothing happens to them, which need_flags() in again()
        // allows for.
        return again(i, bytes, kUnused, kReadWrite, which);
    }
    if (has_high_byte(s)) return false;
    // SHLX and its kin: no flags, any count register.
    if (s.live_after == 0 && bytes >= 4 && !s.insn.mem && kHostCpu.bmi2 &&
        (which == 4 || which == 5 || which == 6 || which == 7)) {
        u8 from = read(s.insn.rm, hRcx);
        u8 prefix = which == 5 ? 0xF2 : which == 7 ? 0xF3 : 0x66;
        e_.vex({prefix, 2, 0xF7, bytes == 8}, false, from, kHome[kRcx], from);
        write(s.insn.rm, from);
        flags_ = FlagsIn::kDead;
        return true;
    }
    Opcode opcode{static_cast<u8>(bytes == 2 ? 0x66 : 0), 0, op, bytes == 8, bytes == 1};
    if (s.insn.mem) {
        Mem where = probe(i, bytes, true);
        u8 address = single(where, hRdx);
        need_flags_for(i);
        e_.mov32(hRcx, kHome[kRcx]);
        e_.op(opcode, which, at(address));
    } else {
        need_flags_for(i);
        unsigned g = bytes == 1 ? s.insn.rm / 8u : s.insn.rm;
        u8 host = read(g, hRdx);
        e_.mov32(hRcx, kHome[kRcx]);
        e_.op(opcode, which, host);
        // A 32-bit shift by zero still clears the upper half, on the host too.
        if (host == hRdx) write(g, host);
    }
    made_flags(i);
    return true;
}

}  // namespace shadowbox::jit
