// SPDX-License-Identifier: MIT
// General instructions of the 0F 38 and 0F 3A maps: BMI1, BMI2, MOVBE.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

bool Translator::vex_general(unsigned i) {
    const Step& s = steps_[i];
    if (s.row->feature != OpFeature::Bmi1 && s.row->feature != OpFeature::Bmi2) return vector(i);
    if (s.row->opcode == 0xF6) return multiply_flagless(i);
    const unsigned bytes = s.insn.rex_w ? 8 : 4;
    rdx_group_ = carried_rdx_group_;
    rdx_kept_ = true;
    const bool rotate = s.row->map == OpMap::M3A;  // RORX, the only one with two operands
    const bool group = s.row->map == OpMap::M38 && s.row->opcode == 0xF3;  // BLSR and its kin write vvvv
    const Operand2 rm = s.insn.mem ? Operand2(probe(i, bytes, false)) : home(s.insn.rm);
    const u8 third = rotate ? u8{0} : group ? home_or(s.insn.vvvv, hRax) : read(s.insn.vvvv, hRax);
    const u8 reg = group ? s.insn.reg & 7 : home_or(s.insn.reg, hRax);
    const u8 prefix = s.row->prefix == OpPrefix::P66   ? 0x66
                      : s.row->prefix == OpPrefix::PF3 ? 0xF3
                      : s.row->prefix == OpPrefix::PF2 ? 0xF2
                                                       : 0;
    e_.vex({prefix, static_cast<u8>(s.row->map), static_cast<u8>(s.insn.opcode), bytes == 8}, false, reg,
           third, rm);
    if (rotate) e_.byte(static_cast<u8>(s.insn.imm));
    group ? write(s.insn.vvvv, third) : write(s.insn.reg, reg);
    if (s.row->flags_written) made_flags(i);
    return true;
}

/// MULX: by RDX, which is the host's own scratch register.
bool Translator::multiply_flagless(unsigned i) {
    const Step& s = steps_[i];
    const unsigned bytes = s.insn.rex_w ? 8 : 4;
    const Operand2 by = beside_rax(i, bytes, false);
    e_.mov(hRdx, kHome[kRdx]);
    rdx_group_ = -1;
    const u8 high = home_or(s.insn.reg, hRax), low = home_or(s.insn.vvvv, hRcx);
    e_.vex({0xF2, 2, 0xF6, bytes == 8}, false, high, low, by);
    write(s.insn.vvvv, low);
    write(s.insn.reg, high);  // where both are one it gets the high half
    return true;
}

/// A load or store, and BSWAP, which hosts without MOVBE have too.
bool Translator::swap_bytes(unsigned i) {
    const Step& s = steps_[i];
    const unsigned bytes = s.insn.osize == 1 ? 2 : s.insn.osize == 2 ? 4 : 8;
    const bool store = s.row->opcode == 0xF1;
    rdx_group_ = carried_rdx_group_;
    rdx_kept_ = true;
    const Mem memory = probe(i, bytes, store);
    if (bytes == 2) {
        e_.op({0, 1, 0xB7}, hRax, store ? home(s.insn.reg) : Operand2(memory));  // movzx
        e_.op({0, 0, 0x86}, hRax, u8{hRsp});                                     // xchg al, ah
        e_.op({0x66, 0, 0x89}, hRax, store ? Operand2(memory) : home(s.insn.reg));
    } else if (store) {
        const u8 from = read(s.insn.reg, hRax);
        if (from != hRax) e_.mov(hRax, from);
        e_.swap_bytes(hRax, bytes == 8);
        e_.op({0, 0, 0x89, bytes == 8}, hRax, memory);
    } else {
        const u8 to = home_or(s.insn.reg, hRax);
        e_.op({0, 0, 0x8B, bytes == 8}, to, memory);
        e_.swap_bytes(to, bytes == 8);
        write(s.insn.reg, to);
    }
    return true;
}

}  // namespace shadowbox::jit
