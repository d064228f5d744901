// SPDX-License-Identifier: MIT
// String instructions while DF is clear; CLD and STD. REP MOVS and REP STOS that stay on one page on each
// side are the host's own REP; longer ones, REP SCAS and REP CMPS are the interpreter's, by pieces
// (cpu/ops/general/string.cpp).
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
constexpr u8 kDfByte = static_cast<u8>(rflags::kDF >> 8);
}

/// Host address of what a general register points at.
Mem Translator::probe_register(unsigned i, unsigned guest, unsigned size, bool write) {
    Cold cold = start_probe(i, {AddressAgain::kRegister, static_cast<u8>(guest)});
    u8 base = read(guest, hRcx);
    if (base != hRcx) e_.mov(hRcx, base);
    return finish_probe(cold, size, write);
}

bool Translator::direction(bool down) {
    clobber_flags();
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0x80}, down ? 1 : 4, at(hRcx, 1));  // or, and
    e_.byte(down ? kDfByte : static_cast<u8>(~kDfByte));
    return true;
}

/// ZF clear: DF is set. Destroys RCX and RFLAGS.
void Translator::test_direction() {
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0xF6}, 0, at(hRcx, 1));
    e_.byte(kDfByte);
}

/// REP MOVS and REP STOS end their block: behind the fast way stands the interpreter's cell for all that does
/// not fit.
bool Translator::repeat_string(unsigned i) {
    const Step& s = steps_[i];
    const Insn& n = s.insn;
    const u8 op = s.row->opcode & 0xFE, count = kHome[kRcx], from = kHome[kRsi], to = kHome[kRdi];
    const bool copies = op == 0xA4;
    const unsigned shift = !(s.row->opcode & 1) ? 0 : n.osize == 1 ? 1 : n.osize == 2 ? 2 : 3;
    // Under exact counts, and to the trap flag, each iteration is an instruction.
    if (cpu_.exact_time || (block_.mode & mode_bits::kSingleStep) || i + 1 != steps_.size()) return false;
    if ((!copies && op != 0xAA) || n.asize != 3 || (copies && n.seg >= kFs)) return false;
    static_assert(kHome[kRsi] == hRsi && kHome[kRdi] == hRdi && kHome[kRcx] != kInFrame &&
                  kHome[kRax] != kInFrame);
    flags_to_frame();
    Fixup slow[5];
    unsigned slows = 0;
    test_direction();
    slow[slows++] = e_.jcc_forward(kNe);
    e_.lea(hRax, at(count, -1));
    e_.alu_imm(7, hRax, static_cast<i32>(kPageSize >> shift) - 1);
    slow[slows++] = e_.jcc_forward(kA);  // none, or more than a page
    auto side = [&](unsigned guest, bool write) {
        probe_register(i, guest, 1u << shift, write);  // RCX: offset in the page, RDX: the page
        e_.lea(hRax, Mem{hRcx, count, static_cast<u8>(shift), 0});
        e_.alu_imm(7, hRax, static_cast<i32>(kPageSize));
        slow[slows++] = e_.jcc_forward(kA);
        e_.lea(hRax, sum(hRcx, hRdx));
    };
    // The target first: making it writable may give it another host page, the source's too if they are one.
    side(kRdi, true);
    if (copies) {
        e_.store(in_frame(offsetof(Frame, argument)), hRax);
        side(kRsi, false);
        e_.store(in_frame(offsetof(Frame, address)), from);
        e_.mov(from, hRax);
        e_.load(hRax, in_frame(offsetof(Frame, argument)));
    }
    e_.mov(hRdx, to);
    e_.mov(to, hRax);
    if (!copies) e_.mov(hRax, kHome[kRax]);
    e_.mov(hRcx, count);
    if (shift == 1) e_.byte(0x66);
    e_.byte(0xF3);
    if (shift == 3) e_.byte(0x48);
    e_.byte(s.row->opcode);
    e_.lea(to, Mem{hRdx, count, static_cast<u8>(shift), 0});
    if (copies) {
        e_.load(from, in_frame(offsetof(Frame, address)));
        e_.lea(from, Mem{from, count, static_cast<u8>(shift), 0});
    }
    if (cpu_.translated_counts) {
        e_.lea(hRax, at(count, -1));  // each iteration counts; the block paid for one
        e_.op({0, 0, 0x29, true}, hRax, in_frame(offsetof(Frame, budget)));
    }
    e_.load_imm(count, 0);
    const u64 next = s.rip + s.insn.length;
    link_to(next, (next & kPageOffsetMask) != 0);
    for (unsigned k = 0; k < slows; ++k) e_.bind(slow[k]);
    end_in_cell(i);
    return true;
}

bool Translator::string(unsigned i) {
    const Step& s = steps_[i];
    const Insn& n = s.insn;
    if (n.rep) return repeat_string(i);
    const u8 op = s.row->opcode & 0xFE;
    const unsigned bytes = !(s.row->opcode & 1) ? 1 : n.osize == 1 ? 2 : n.osize == 2 ? 4 : 8;
    const bool from = op == 0xA4 || op == 0xA6 || op == 0xAC, to = op != 0xAC,
               stores = op == 0xA4 || op == 0xAA, compares = op == 0xA6 || op == 0xAE;
    if (n.asize != 3 || n.seg >= kFs) return false;
    const u8 a = kHome[kRax];
    auto sized = [&](u8 opcode) {
        return Opcode{static_cast<u8>(bytes == 2 ? 0x66 : 0), 0,
                      static_cast<u8>(bytes == 1 ? opcode : opcode | 1), bytes == 8, bytes == 1};
    };
    clobber_flags();
    test_direction();
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
