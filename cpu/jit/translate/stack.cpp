// SPDX-License-Identifier: MIT
// PUSH, POP, LEAVE with 64-bit operands; the 16-bit forms of 64-bit mode are the interpreter's. Other modes:
// translate_legacy.cpp.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

bool Translator::push(unsigned i) {
    const Step& s = steps_[i];
    const u8 sp = kHome[kRsp];
    if (!long64()) return push_legacy(i);
    if (s.insn.osize != 3) return false;
    rdx_group_ = carried_rdx_group_;
    rdx_kept_ = true;
    const Operand operand = s.row->operands[0];
    if (operand == Operand::Ev && s.insn.mem) {
        // The value waits in the frame: a probe's cold path keeps no scratch register.
        e_.load(hRax, probe(i, 8, false));
        e_.store(in_frame(offsetof(Frame, argument)), hRax);
        Mem to = probe_at(i, sp, -8, 8, true);
        e_.load(hRax, in_frame(offsetof(Frame, argument)));
        e_.store(to, hRax);
    } else {
        Mem to = probe_at(i, sp, -8, 8, true);
        if (operand == Operand::Ibs || operand == Operand::Iz) {
            e_.store_imm32(to, s.insn.imm, true);
        } else {
            e_.store(to, read(operand == Operand::Zv ? s.insn.reg : s.insn.rm, hRax));
        }
    }
    e_.lea(sp, at(sp, -8));
    return true;
}

bool Translator::pop(unsigned i) {
    const Step& s = steps_[i];
    const u8 sp = kHome[kRsp];
    if (!long64()) return pop_legacy(i);
    if (s.insn.osize != 3 || s.row->operands[0] != Operand::Zv) return false;
    rdx_group_ = carried_rdx_group_;
    rdx_kept_ = true;
    Mem from = probe_at(i, sp, 0, 8, false);
    if (s.insn.reg == kRsp) {
        e_.load(sp, from);  // the value read wins
        return true;
    }
    u8 to = kHome[s.insn.reg] == kInFrame ? static_cast<u8>(hRax) : kHome[s.insn.reg];
    e_.load(to, from);
    if (to == hRax) write(s.insn.reg, hRax);
    e_.lea(sp, at(sp, 8));
    return true;
}

bool Translator::leave_frame(unsigned i) {
    if (!long64()) return leave_frame_legacy(i);
    if (steps_[i].insn.osize != 3) return false;
    Mem from = probe_at(i, kHome[kRbp], 0, 8, false);
    e_.load(hRax, from);
    e_.lea(kHome[kRsp], at(kHome[kRbp], 8));
    e_.mov(kHome[kRbp], hRax);
    return true;
}

}  // namespace shadowbox::jit
