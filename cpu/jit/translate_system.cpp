// SPDX-License-Identifier: MIT
// System instructions of 64-bit mode that kernels run at every entry and exit: CLI, SWAPGS, PUSHF, moves from segment registers. All
// others, and these at other privilege levels than 0, are the interpreter's.
#include "cpu/jit/forms.h"
#include "cpu/vcpu.h"

namespace shadowbox::jit {

/// RCX: &cpu_.other_flags. Leaves at step i unless CPL is 0: blocks are not made for one privilege level.
void Translator::check_supervisor(unsigned i) {
    clobber_flags();
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    const auto cpl = reinterpret_cast<const u8*>(&cpu_.cpl) - reinterpret_cast<const u8*>(&cpu_.other_flags);
    e_.op({0, 0, 0x80}, 7, at(hRcx, static_cast<i32>(cpl)));  // cmp
    e_.byte(0);
    leave_if(kNe, i);
}

bool Translator::system(unsigned i) {
    const Step& s = steps_[i];
    if (s.row->map == OpMap::M0 && s.row->opcode == 0x8C) return move_from_segment(i);
    if (s.row->map == OpMap::M0 && s.row->opcode == 0xFA) {
        check_supervisor(i);
        e_.op({0, 0, 0x80}, 4, at(hRcx, 1));  // and
        e_.byte(static_cast<u8>(~(rflags::kIF >> 8)));
        return true;
    }
    if (s.row->map == OpMap::M0F && s.row->opcode == 0x01 && !s.insn.mem && (s.insn.reg & 7) == 7 && (s.insn.rm & 7) == 0) return swap_gs(i);
    return false;
}

bool Translator::swap_gs(unsigned i) {
    check_supervisor(i);
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.msr.kernel_gs_base));
    e_.load(hRax, at(hRcx));
    e_.load(hRdx, in_frame(offsetof(Frame, gs_base)));
    e_.store(at(hRcx), hRdx);
    e_.store(in_frame(offsetof(Frame, gs_base)), hRax);
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.seg[kGs].base));
    e_.store(at(hRcx), hRax);
    return true;  // the block goes on behind it
}

bool Translator::move_from_segment(unsigned i) {
    const Insn& n = steps_[i].insn;
    if (n.mem || n.osize == 1 || n.reg > kGs) return false;
    e_.load_imm(hRax, reinterpret_cast<u64>(&cpu_.seg[n.reg].selector));
    e_.op({0, 1, 0xB7}, hRax, at(hRax));  // movzx
    write(n.rm, hRax);
    return true;
}

/// PUSHFQ.
bool Translator::push_flags(unsigned i) {
    if (!long64() || steps_[i].insn.osize != 3) return false;
    const u8 sp = kHome[kRsp];
    flags_to_frame();
    e_.lea(hRdx, probe_at(i, sp, -8, 8, true));
    e_.load_imm(hRax, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.load32(hRax, at(hRax));
    e_.alu_imm(4, hRax, static_cast<i32>(~u32(rflags::kVM | rflags::kRF)), false);
    // Frame::flags: LAHF's byte above, OF below.
    e_.op({0, 1, 0xB6}, hRcx, in_frame(offsetof(Frame, flags)));
    e_.op({0, 0, 0xC1}, 4, hRcx);  // shl ecx, 11
    e_.byte(11);
    e_.alu(1, hRax, hRcx, false);
    e_.op({0, 1, 0xB6}, hRcx, in_frame(offsetof(Frame, flags) + 1));
    e_.alu_imm(4, hRcx, static_cast<i32>(rflags::kArithmetic & 0xFF), false);
    e_.alu(1, hRax, hRcx, false);
    e_.store(at(hRdx), hRax);
    e_.lea(sp, at(sp, -8));
    rdx_group_ = -1;
    return true;
}

}  // namespace shadowbox::jit
