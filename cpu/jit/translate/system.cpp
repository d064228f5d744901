// SPDX-License-Identifier: MIT
// System instructions of 64-bit mode that kernels run at every entry and exit: CLI, STI, CLAC, STAC, SWAPGS,
// PUSHF, RDTSC, RDPKRU, bases of FS and GS, moves from segment registers; and PAUSE. All others, and these at
// other privilege levels than 0, are the interpreter's.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

/// A field of the vCPU as memory, while RCX is &cpu_.other_flags.
Mem Translator::vcpu_field(const void* field) const {
    return at(hRcx, static_cast<i32>(static_cast<const u8*>(field) -
                                     reinterpret_cast<const u8*>(&cpu_.other_flags)));
}

/// RCX: &cpu_.other_flags. Leaves at step i unless CPL is 0: blocks are not made for one privilege level.
void Translator::check_supervisor(unsigned i) {
    clobber_flags();
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0x80}, 7, vcpu_field(&cpu_.cpl));  // cmp
    e_.byte(0);
    leave_if(kNe, i);
}

bool Translator::system(unsigned i) {
    const Step& s = steps_[i];
    const u8 op = s.row->opcode;
    if (s.row->map == OpMap::M0) {
        switch (op) {
            case 0x8C: return move_from_segment(i);
            case 0xFA:
                check_supervisor(i);
                e_.op({0, 0, 0x80}, 4, at(hRcx, 1));  // and
                e_.byte(static_cast<u8>(~(rflags::kIF >> 8)));
                return true;
            case 0xFB: return set_interrupt_flag(i);
            default: return false;
        }
    }
    if (s.row->map != OpMap::M0F) return false;
    if (op == 0x31) return read_time(i, false);
    if (op == 0x05) return system_call(i);
    if (op == 0x07) return system_return(i);
    if (op == 0xAE && s.row->feature == OpFeature::Fsgsbase)
        return s.insn.reg & 2 ? write_segment_base(i) : read_segment_base(i);
    if (op != 0x01 || s.insn.mem) return false;
    switch ((s.insn.reg & 7) << 3 | (s.insn.rm & 7)) {
        case 0x0A: return alignment_check_flag(i, false);  // CLAC
        case 0x0B: return alignment_check_flag(i, true);   // STAC
        case 0x38: return swap_gs(i);
        case 0x39: return read_time(i, true);
        case 0x2E: return s.row->feature == OpFeature::Pku && read_pkru(i);
        default: return false;
    }
}

/// Behind the instruction its block ends, but no jump: what translate() has code for goes on with the next
/// one.
bool runs_on(const Step& s, bool exact_time) {
    if (!(s.row->attributes & aSys)) return false;
    if (s.row->map == OpMap::M0) return s.row->opcode == 0xFB && !exact_time;
    if (s.row->map != OpMap::M0F) return false;
    if (s.row->opcode == 0x31) return !exact_time;
    if (s.row->opcode != 0x01 || s.insn.mem) return false;
    const unsigned which = (s.insn.reg & 7) << 3 | (s.insn.rm & 7);
    return which == 0x0A || which == 0x0B || which == 0x38 || (which == 0x39 && !exact_time);
}

/// STI. Does nothing if IF is set. Where something may be waiting for IF, the interpreter's instruction finds
/// out: what comes between that look and the store asks for attention itself. Under exact counts an interrupt
/// comes at a count that only C++ knows.
bool Translator::set_interrupt_flag(unsigned i) {
    if (cpu_.exact_time) return false;
    check_supervisor(i);
    e_.op({0, 0, 0xF6}, 0, at(hRcx, 1));  // test
    e_.byte(rflags::kIF >> 8);
    Fixup set = e_.jcc_short(kNe);
    static_assert(sizeof cpu_.interrupt_latched == 1 && sizeof cpu_.interrupt_shadow == 1);
    e_.op({0, 1, 0xB6}, hRdx, vcpu_field(&cpu_.interrupt_latched));  // movzx
    e_.alu(1, hRdx, vcpu_field(&cpu_.safepoint.attention), false);
    leave_if(kNe, i);
    e_.op({0, 0, 0x80}, 1, at(hRcx, 1));  // or
    e_.byte(rflags::kIF >> 8);
    e_.store_imm8(vcpu_field(&cpu_.interrupt_shadow), 1);
    e_.bind(set);
    casts_shadow_ = true;
    return true;
}

/// CLAC and STAC: the flag chooses between two contexts, if CR4.SMAP is set.
bool Translator::alignment_check_flag(unsigned i, bool set) {
    check_supervisor(i);
    const VcpuMmu::Selected& selected = cpu_.mmu.selected();
    const u32 privilege = set ? VcpuMmu::kSupervisorWithAc : VcpuMmu::kSupervisor;
    e_.load(hRax, vcpu_field(&selected.contexts[privilege]));
    if (set) {
        e_.test(hRax, hRax);
        leave_if(kE, i);
    }
    e_.op({0, 0, 0x80}, set ? 1 : 4, at(hRcx, 2));  // or, and
    e_.byte(static_cast<u8>(set ? rflags::kAC >> 16 : ~(rflags::kAC >> 16)));
    e_.mov(kTlb, hRax);
    e_.store(vcpu_field(&selected.context), kTlb);
    e_.store_imm32(vcpu_field(&selected.privilege), static_cast<i32>(privilege));
    e_.store_imm8(vcpu_field(&selected.ac), set);
    end_groups();
    return true;
}

/// RDTSC and RDTSCP under the host clock.
bool Translator::read_time(unsigned i, bool with_aux) {
    if (cpu_.exact_time) return false;
    clobber_flags();
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0xF6}, 0, vcpu_field(&cpu_.cr4));  // test
    e_.byte(cr4::kTSD);
    leave_if(kNe, i);
    e_.call(jit_.time_stub_);
    e_.mov32(kHome[kRax], hRax);
    e_.shift_right(hRax, 32, true);
    e_.mov(kHome[kRdx], hRax);
    if (!with_aux) return true;
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.msr.tsc_aux));
    e_.load32(kHome[kRcx], at(hRcx));
    return true;
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
    if (n.reg > kGs) return false;
    const Operand2 to = n.mem ? Operand2(probe(i, 2, true)) : home(n.rm);
    e_.load_imm(hRax, reinterpret_cast<u64>(&cpu_.seg[n.reg].selector));
    e_.op({0, 1, 0xB7}, hRax, at(hRax));  // movzx
    if (n.mem || n.osize == 1)
        e_.op({0x66, 0, 0x89}, hRax, to);
    else
        write(n.rm, hRax);
    return true;
}

/// RCX: &cpu_.other_flags. Leaves unless CR4 has the bit, which is one of the third byte.
void Translator::check_cr4(unsigned i, u64 bit) {
    clobber_flags();
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0xF6}, 0, at(hRcx, vcpu_field(&cpu_.cr4).disp + 2));  // test
    e_.byte(static_cast<u8>(bit >> 16));
    leave_if(kE, i);
}

bool Translator::read_segment_base(unsigned i) {
    const Insn& n = steps_[i].insn;
    check_cr4(i, cr4::kFSGSBASE);
    const Mem base = in_frame(n.reg & 1 ? offsetof(Frame, gs_base) : offsetof(Frame, fs_base));
    e_.op({0, 0, 0x8B, n.osize == 3}, hRax, base);
    write(n.rm, hRax);
    return true;
}

/// The interpreter knows what is canonical with CR4.LA57.
bool Translator::write_segment_base(unsigned i) {
    const Insn& n = steps_[i].insn;
    check_cr4(i, cr4::kFSGSBASE);
    const u8 from = read(n.rm, hRax);
    if (n.osize == 3)
        e_.mov(hRax, from);
    else
        e_.mov32(hRax, from);
    leave_unless_canonical(i, hRax);
    e_.store(in_frame(n.reg & 1 ? offsetof(Frame, gs_base) : offsetof(Frame, fs_base)), hRax);
    e_.store(vcpu_field(&cpu_.seg[n.reg & 1 ? kGs : kFs].base), hRax);
    return true;
}

/// Of 48 bits. Destroys RDX.
void Translator::leave_unless_canonical(unsigned i, u8 reg) {
    e_.mov(hRdx, reg);
    e_.op({0, 0, 0xC1, true}, 7, hRdx);  // sar
    e_.byte(47);
    e_.alu_imm(0, hRdx, 1);
    e_.alu_imm(7, hRdx, 1);  // all bits from 47 up are the same
    leave_if(kA, i);
}

bool Translator::read_pkru(unsigned i) {
    check_cr4(i, cr4::kPKE);
    e_.test(kHome[kRcx], kHome[kRcx], false);
    leave_if(kNe, i);
    e_.load32(kHome[kRax], vcpu_field(&cpu_.pkru));
    e_.load_imm(kHome[kRdx], 0);
    return true;
}

/// PAUSE counts where other vCPUs run (op_pause); what is due at every 64th is C++'s.
bool Translator::pause(unsigned i) {
    if (cpu_.exact_time) return true;
    clobber_flags();
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0x80}, 7, vcpu_field(&cpu_.alone));  // cmp
    e_.byte(0);
    Fixup alone = e_.jcc_forward(kNe);
    e_.load32(hRdx, vcpu_field(&cpu_.pauses));
    e_.alu_imm(0, hRdx, 1, false);
    e_.test_imm(hRdx, 63, false);
    leave_if(kE, i);
    e_.store32(vcpu_field(&cpu_.pauses), hRdx);
    e_.bind(alone);
    return true;
}

/// RFLAGS without VM and RF; the arithmetic flags are in the frame. Destroys RCX.
void Translator::rflags_to_rax() {
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
}

/// PUSHFQ.
bool Translator::push_flags(unsigned i) {
    if (!long64() || steps_[i].insn.osize != 3) return false;
    const u8 sp = kHome[kRsp];
    flags_to_frame();
    e_.lea(hRdx, probe_at(i, sp, -8, 8, true));
    rflags_to_rax();
    e_.store(at(hRdx), hRax);
    e_.lea(sp, at(sp, -8));
    rdx_group_ = -1;
    return true;
}

}  // namespace shadowbox::jit
