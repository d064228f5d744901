// SPDX-License-Identifier: MIT
// String instructions without REP, while DF is clear; CLD and STD. Repeated ones are the interpreter's, by pieces
// (cpu/ops/string.cpp).
#include "cpu/jit/forms.h"
#include "cpu/vcpu.h"

namespace shadowbox::jit {

namespace {
constexpr u8 kDfByte = static_cast<u8>(rflags::kDF >> 8);
}

/// Host address of what a general register points at.
Mem Translator::probe_register(unsigned i, unsigned guest, unsigned size, bool write) {
    clobber_flags();
    poll(i);
    Cold cold{Cold::kProbe, flags_, static_cast<u16>(i), {}};
    cold.recover = recover_;
    cold.back = e_.cursor;
    cold.stack = true;
    cold.base = static_cast<u8>(guest);
    u8 base = read(guest, hRcx);
    if (base != hRcx) e_.mov(hRcx, base);
    return finish_probe(cold, size, write, false);
}

bool Translator::direction(bool down) {
    clobber_flags();
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0x80}, down ? 1 : 4, at(hRcx, 1));  // or, and
    e_.byte(down ? kDfByte : static_cast<u8>(~kDfByte));
    return true;
}

bool Translator::string(unsigned i) {
    const Step& s = steps_[i];
    const Insn& n = s.insn;
    const u8 op = s.row->opcode & 0xFE;
    const unsigned bytes = !(s.row->opcode & 1) ? 1 : n.osize == 1 ? 2 : n.osize == 2 ? 4 : 8;
    const bool from = op == 0xA4 || op == 0xA6 || op == 0xAC, to = op != 0xAC, stores = op == 0xA4 || op == 0xAA, compares = op == 0xA6 || op == 0xAE;
    if (n.rep || n.asize != 3 || n.seg >= kFs) return false;
    const u8 a = kHome[kRax];
    auto sized = [&](u8 opcode) { return Opcode{static_cast<u8>(bytes == 2 ? 0x66 : 0), 0, static_cast<u8>(bytes == 1 ? opcode : opcode | 1), bytes == 8, bytes == 1}; };
    clobber_flags();
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0xF6}, 0, at(hRcx, 1));
    e_.byte(kDfByte);
    leave_if(kNe, i);
    if (from) {
        Mem source = probe_register(i, kRsi, bytes, false);
        if (!to) {
            e_.op(sized(0x8A), a, source);
        } else {
            // The value waits in the frame: a probe's cold path keeps no scratch register.
            e_.op(sized(0x8A), hRax, source);
            e_.store(in_frame(offsetof(Frame, argument)), hRax);
        }
    }
    if (to) {
        Mem target = probe_register(i, kRdi, bytes, stores);
        u8 value = a;
        if (from) e_.load(value = hRax, in_frame(offsetof(Frame, argument)));
        e_.op(sized(stores ? 0x88 : 0x3A), value, target);  // mov, cmp
    }
    if (from) e_.lea(kHome[kRsi], at(kHome[kRsi], static_cast<i32>(bytes)));
    if (to) e_.lea(kHome[kRdi], at(kHome[kRdi], static_cast<i32>(bytes)));
    if (compares) made_flags(i);
    return true;
}

}  // namespace shadowbox::jit
