// SPDX-License-Identifier: MIT
// One-operand multiplication and division, exchanges. Their implicit registers are the host's scratch ones.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
unsigned size_of(const Step& s) {
    return s.row->opcode & 1 ? (s.insn.osize == 1 ? 2 : s.insn.osize == 2 ? 4 : 8) : 1;
}
}  // namespace

/// The rm operand of an instruction that works on RAX and RDX: memory by way of RCX.
Operand2 Translator::beside_rax(unsigned i, unsigned bytes, bool write) {
    const Step& s = steps_[i];
    if (s.insn.mem) return at(single(probe(i, bytes, write), hRcx));
    unsigned g = bytes == 1 ? s.insn.rm / 8u : s.insn.rm;
    return home(g);
}

bool Translator::multiply(unsigned i) {
    const Step& s = steps_[i];
    if (has_high_byte(s)) return false;
    const unsigned bytes = size_of(s);
    Operand2 by = beside_rax(i, bytes, false);
    e_.mov(hRax, kHome[kRax]);
    e_.op({static_cast<u8>(bytes == 2 ? 0x66 : 0), 0, static_cast<u8>(s.insn.opcode), bytes == 8, bytes == 1},
          s.insn.reg & 7, by);
    if (bytes <= 2)
        e_.op({0x66, 0, 0x8B}, kHome[kRax], hRax);
    else
        e_.mov(kHome[kRax], hRax);
    if (bytes == 2)
        e_.op({0x66, 0, 0x8B}, kHome[kRdx], hRdx);
    else if (bytes > 2)
        e_.mov(kHome[kRdx], hRdx);
    made_flags(i);
    return true;
}

/// A quotient that does not fit is the interpreter's to raise #DE for, as is all that the quick checks cannot
/// exclude.
bool Translator::divide(unsigned i) {
    const Step& s = steps_[i];
    const unsigned bytes = size_of(s);
    if (bytes < 4) return false;
    const bool wide = bytes == 8, is_signed = (s.insn.reg & 7) == 7;
    clobber_flags();
    Operand2 by = beside_rax(i, bytes, false);
    if (by.is_memory || by.reg != hRcx) {
        wide ? e_.op({0, 0, 0x8B, true}, hRcx, by) : e_.op({0, 0, 0x8B}, hRcx, by);
    }
    const u8 a = kHome[kRax], d = kHome[kRdx];
    if (is_signed) {
        // Safe if the dividend is a sign-extended single word and the divisor neither 0 nor -1.
        e_.lea(hRax, at(hRcx, 1), wide);
        e_.alu_imm(7, hRax, 1, wide);
        leave_if(kBe, i);
        e_.mov(hRax, a);
        if (wide) e_.byte(0x48);
        e_.byte(0x99);  // cdq, cqo
        e_.alu(7, hRdx, d, wide);
        leave_if(kNe, i);
    } else {
        e_.alu(7, d, hRcx, wide);
        leave_if(kAe, i);  // covers a divisor of 0
        e_.mov(hRax, a);
        e_.mov(hRdx, d);
    }
    e_.op({0, 0, 0xF7, wide}, s.insn.reg & 7, hRcx);
    e_.mov(a, hRax);
    e_.mov(d, hRdx);
    if (s.live_after)
        made_flags(i);  // undefined, but some value
    else
        flags_ = FlagsIn::kDead;
    return true;
}

/// XCHG and XADD.
bool Translator::exchange(unsigned i) {
    const Step& s = steps_[i];
    const bool accumulator = s.row->map == OpMap::M0 && s.row->opcode == 0x90;
    if (has_high_byte(s) || s.row->prefix == OpPrefix::PF3) return false;  // F3 90 is PAUSE
    if (accumulator) {
        if (s.insn.reg == kRax && s.insn.osize != 2)
            return true;  // NOP; XCHG EAX,EAX with REX.B is another register
        if (s.insn.reg == kRax) return true;
        const bool wide = s.insn.osize == 3;
        u8 other = read(s.insn.reg, hRcx);
        if (s.insn.osize == 1) {
            e_.op({0x66, 0, 0x87}, other, kHome[kRax]);
        } else {
            e_.op({0, 0, 0x87, wide}, other, kHome[kRax]);
        }
        if (other == hRcx) write(s.insn.reg, hRcx);
        return true;
    }
    const unsigned bytes = size_of(s);
    if (!s.insn.mem) {
        unsigned a = bytes == 1 ? s.insn.rm / 8u : s.insn.rm, b = bytes == 1 ? s.insn.reg / 8u : s.insn.reg;
        if (kHome[a] == kInFrame || kHome[b] == kInFrame) return false;
    }
    return again(i, bytes, kReadWrite, kReadWrite, 0);
}

bool Translator::compare_exchange(unsigned i) {
    const Step& s = steps_[i];
    if (has_high_byte(s)) return false;
    const unsigned bytes = size_of(s);
    if (!s.insn.mem) return false;
    u8 where = single(probe(i, bytes, true), hRcx);
    unsigned g = bytes == 1 ? s.insn.reg / 8u : s.insn.reg;
    u8 source = read(g, hRdx);
    e_.mov(hRax, kHome[kRax]);
    e_.op({static_cast<u8>(bytes == 2 ? 0x66 : 0), 1, static_cast<u8>(s.insn.opcode), bytes == 8, bytes == 1},
          source, at(where), s.insn.lock);
    e_.mov(kHome[kRax],
           hRax);  // as the host left it: 32-bit forms clear the upper half only when they load it
    made_flags(i);
    return true;
}

/// CMPXCHG8B and CMPXCHG16B.
bool Translator::compare_exchange_pair(unsigned i) {
    const Step& s = steps_[i];
    if (!long64() || !s.insn.mem || s.row->feature != OpFeature::Cx8) return false;
    const bool wide = s.insn.rex_w;
    const Mem where = probe(i, wide ? 16 : 8, true, wide);
    // All scratch registers are operands: another one holds the address.
    e_.store(in_frame(frame_gpr(kRsi)), hRsi);
    e_.lea(hRsi, where);
    need_flags_for(i);
    e_.mov(hRax, kHome[kRax]);
    e_.mov(hRdx, kHome[kRdx]);
    e_.mov(hRcx, kHome[kRcx]);
    static_assert(kHome[kRbx] == hRbx && kHome[kRsi] == hRsi);
    e_.op({0, 1, 0xC7, wide}, 1, at(hRsi), s.insn.lock);
    e_.load(hRsi, in_frame(frame_gpr(kRsi)));
    e_.mov(kHome[kRax], hRax);  // as the host left them
    e_.mov(kHome[kRdx], hRdx);
    made_flags(i);
    return true;
}

}  // namespace shadowbox::jit
