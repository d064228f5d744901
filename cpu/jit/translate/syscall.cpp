// SPDX-License-Identifier: MIT
// SYSCALL and SYSRET between 64-bit code of both levels (SDM 2B). What else they can do or raise is the
// interpreter's. The mode stays what the block was made for: 64-bit code, SS with its B bit, no TF. Only the
// context changes, and the target is found in it.
#include <tuple>

#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
// Segment attributes as ops/system_call.cpp loads them, in the upper half of a selector's dword.
constexpr u32 kCode0 = 0xA09Bu << 16, kStack0 = 0xC093u << 16, kCode3 = 0xA0FBu << 16,
              kStack3 = 0xC0F3u << 16;
}  // namespace

/// Where SYSCALL and SYSRET leave: RCX is &cpu_.other_flags then.
void Translator::begin_system_transfer(unsigned i) {
    flags_to_frame();
    poll(i);
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    e_.op({0, 0, 0xF6}, 0, vcpu_field(&cpu_.efer));  // test
    e_.byte(efer::kSCE);
    leave_if(kE, i);
}

/// EDX: the frame's flags image of the RFLAGS in RAX, as image_of_flags() makes it.
void Translator::image_of_rax() {
    e_.mov32(hRdx, hRax);
    e_.op({0, 0, 0xC1}, 4, hRdx);  // shl
    e_.byte(8);
    e_.alu_imm(1, hRdx, 0x200, false);
    e_.alu_imm(4, hRdx, 0xD700, false);
    e_.test_imm(hRax, rflags::kOF, false);
    e_.op({0, 1, 0x95, false, true}, 0, hRdx);  // setne
}

/// CS and SS: EDX is the base of their selectors. Destroys EAX.
void Translator::load_flat_segments(i32 code_offset, i32 stack_offset, u32 code, u32 stack, u8 rpl) {
    for (auto [seg, offset, attributes] :
         {std::tuple{kCs, code_offset, code}, std::tuple{kSs, stack_offset, stack}}) {
        const SegmentRegister& to = cpu_.seg[seg];
        static_assert(offsetof(SegmentRegister, selector) == 0 && offsetof(SegmentRegister, attributes) == 2);
        e_.lea(hRax, at(hRdx, offset), false);
        e_.op({0, 1, 0xB7}, hRax, hRax);  // movzx
        e_.alu_imm(1, hRax, static_cast<i32>(attributes | rpl), false);
        e_.store32(vcpu_field(&to), hRax);
        e_.store_imm32(vcpu_field(&to.limit), -1);
        e_.store_imm32(vcpu_field(&to.base), 0, true);
    }
}

/// EFLAGS.AC is clear.
void Translator::select_context(u32 privilege) {
    const VcpuMmu::Selected& selected = cpu_.mmu.selected();
    e_.load(kTlb, vcpu_field(&selected.contexts[privilege]));
    e_.store(vcpu_field(&selected.context), kTlb);
    e_.store_imm32(vcpu_field(&selected.privilege), static_cast<i32>(privilege));
    e_.store_imm8(vcpu_field(&selected.ac), 0);
}

/// RAX: the new RIP.
void Translator::end_system_transfer(unsigned i) {
    e_.store(vcpu_field(&cpu_.rip), hRax);
    find_target();
    leave_if(kNe, i, ExitKind::kRip);
    jump_to_entry();
    ended_ = true;
}

bool Translator::system_call(unsigned i) {
    if (!(block_.mode & mode_bits::kStack32)) return false;
    begin_system_transfer(i);
    e_.op({0, 0, 0xF6}, 0, at(hRcx, 2));  // test
    e_.byte(rflags::kAC >> 16);
    leave_if(kNe, i);
    rflags_to_rax();
    write(kR11, hRax);
    e_.load_imm(kHome[kRcx], steps_[i].rip + steps_[i].insn.length);
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cpu_.other_flags));
    // What IA32_FMASK keeps: of the frame's image (LAHF, its bit 1 always set, and OF in bit 0), and of the
    // other flags.
    e_.load32(hRax, vcpu_field(&cpu_.msr.sfmask));
    e_.op({0, 0, 0xF7}, 2, hRax);  // not
    image_of_rax();
    e_.op({0, 0, 0x21}, hRdx, in_frame(offsetof(Frame, flags)));  // and
    e_.alu_imm(4, hRax, static_cast<i32>(~u32(rflags::kRF)), false);
    e_.op({0, 0, 0x21}, hRax, at(hRcx));
    e_.op({0, 0, 0x80}, 1, at(hRcx));  // or
    e_.byte(rflags::kFixed);
    e_.load32(hRdx, at(hRcx, vcpu_field(&cpu_.msr.star).disp + 4));
    e_.alu_imm(4, hRdx, 0xFFFC, false);
    load_flat_segments(0, 8, kCode0, kStack0, 0);
    e_.store_imm8(vcpu_field(&cpu_.cpl), 0);
    select_context(VcpuMmu::kSupervisor);
    e_.load(hRax, vcpu_field(&cpu_.msr.lstar));
    end_system_transfer(i);
    return true;
}

/// SYSRET to 64-bit code. An interrupt that waits for IF, and flags that change mode or context, are C++'s.
bool Translator::system_return(unsigned i) {
    constexpr i32 kOthers = 0x3C7700;  // of the flags that it loads, those that are not arithmetic
    if (!(block_.mode & mode_bits::kStack32) || steps_[i].insn.osize != 3) return false;
    begin_system_transfer(i);
    e_.op({0, 0, 0x80}, 7, vcpu_field(&cpu_.cpl));  // cmp
    e_.byte(0);
    leave_if(kNe, i);
    e_.op({0, 1, 0xB6}, hRdx, vcpu_field(&cpu_.interrupt_latched));  // movzx
    e_.alu(1, hRdx, vcpu_field(&cpu_.safepoint.attention), false);
    leave_if(kNe, i);
    e_.load32(hRax, in_frame(frame_gpr(kR11)));
    e_.test_imm(hRax, rflags::kTF | rflags::kAC, false);
    leave_if(kNe, i);
    leave_unless_canonical(i, kHome[kRcx]);
    e_.mov32(hRdx, hRax);
    e_.alu_imm(4, hRdx, kOthers, false);
    e_.alu_imm(1, hRdx, rflags::kFixed, false);
    e_.store32(at(hRcx), hRdx);
    image_of_rax();
    e_.store32(in_frame(offsetof(Frame, flags)), hRdx);
    e_.op({0, 1, 0xB7}, hRdx, at(hRcx, vcpu_field(&cpu_.msr.star).disp + 6));  // movzx
    load_flat_segments(16, 8, kCode3, kStack3, 3);
    e_.store_imm8(vcpu_field(&cpu_.cpl), 3);
    select_context(VcpuMmu::kUser);
    e_.mov(hRax, kHome[kRcx]);
    end_system_transfer(i);
    return true;
}

}  // namespace shadowbox::jit
