// SPDX-License-Identifier: MIT
// Far JMP, CALL and RET in every mode: code segments, call gates, task gates and TSSes (SDM 2A/2B, 3A 5.8).
#include "cpu/access/new_stack.h"
#include "cpu/events/interrupts.h"
#include "cpu/ops/general/branch.h"
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

bool target_in_segment(Vcpu& cpu, const Descriptor& d, u64 rip) {
    bool long_target = cpu.long_mode() && d.long_mode();
    if (long_target ? is_canonical(rip, cpu.cr4) : rip <= d.limit()) return true;
    return cpu.raise_gp0();
}

/// Privilege of a direct far transfer to a code segment (SDM 3A 5.8.1).
bool check_direct(Vcpu& cpu, u16 selector, const Descriptor& d) {
    unsigned rpl = selector & 3;
    bool allowed = d.conforming() ? d.dpl() <= cpu.cpl : d.dpl() == cpu.cpl && rpl <= cpu.cpl;
    bool bad_long = cpu.long_mode() && d.long_mode() && d.big();
    if (!allowed || bad_long) return cpu.raise(Vector::kGP, selector_error(selector));
    if (!d.present()) return cpu.raise(Vector::kNP, selector_error(selector));
    return true;
}

bool push_return(Vcpu& cpu, NewStack& stack, unsigned size) {
    return stack.push(cpu.seg[kCs].selector, size) && stack.push(cpu.rip, size);
}
NewStack current_stack(Vcpu& cpu) {
    NewStack stack{cpu, cpu.seg[kSs], cpu.gpr[kRsp], cpu.long64(), cpu.cpl != 3, 0};
    if (!(cpu.cr0 & cr0::kPE)) stack.supervisor = false;
    if (!cpu.long64() && !(cpu.mode & mode_bits::kStack32)) stack.ss.attributes &= 0xBFFF;
    return stack;
}
void commit_stack_pointer(Vcpu& cpu, const NewStack& stack) {
    u64 mask = stack.mask();
    u64 value = (cpu.gpr[kRsp] & ~mask) | (stack.rsp & mask);
    cpu.gpr[kRsp] = value;
}

bool call_gate(Vcpu& cpu, u16 selector, const Descriptor& first, unsigned size, bool call) {
    Descriptor gate = first;
    unsigned rpl = selector & 3;
    if (gate.dpl() < cpu.cpl || gate.dpl() < rpl) return cpu.raise(Vector::kGP, selector_error(selector));
    if (!gate.present()) return cpu.raise(Vector::kNP, selector_error(selector));
    if (cpu.long_mode() && !read_descriptor(cpu, selector, Vector::kGP, gate, true)) return false;
    u16 target = gate.gate_selector();
    if (is_null(target)) return cpu.raise_gp0();
    Descriptor code;
    if (!read_descriptor(cpu, target, Vector::kGP, code)) return false;
    bool bad =
        !code.is_code() || code.dpl() > cpu.cpl || (cpu.long_mode() && (!code.long_mode() || code.big()));
    if (!call && !code.conforming() && code.dpl() != cpu.cpl) bad = true;
    if (bad) return cpu.raise(Vector::kGP, selector_error(target));
    if (!code.present()) return cpu.raise(Vector::kNP, selector_error(target));
    unsigned cell = cpu.long_mode() ? 8 : gate.type() == kCallGate32 ? 4 : 2;
    u64 rip = cpu.long_mode() ? gate.gate_offset64()
              : cell == 4     ? gate.gate_offset32()
                              : gate.gate_offset32() & 0xFFFF;
    if (!target_in_segment(cpu, code, rip)) return false;
    unsigned new_cpl = cpu.cpl;
    if (call) {
        NewStack stack = current_stack(cpu);
        bool inner = !code.conforming() && code.dpl() < cpu.cpl;
        if (inner) {
            new_cpl = code.dpl();
            stack.supervisor = true;
            if (cpu.long_mode()) {
                if (!stack_from_tss64(cpu, 4 + new_cpl * 8, stack.rsp)) return false;
                stack.long_mode = true;
                stack.ss = {static_cast<u16>(new_cpl), static_cast<u16>(0x4093 | new_cpl << 5), 0xFFFFFFFF,
                            0};
            } else {
                u16 ss;
                u32 esp;
                if (!stack_from_tss(cpu, new_cpl, ss, esp) ||
                    !check_stack_segment(cpu, ss, new_cpl, Vector::kTS, stack.ss))
                    return false;
                stack.rsp = esp;
                stack.error = selector_error(ss);
            }
            if (!stack.push(cpu.seg[kSs].selector, cell) || !stack.push(cpu.gpr[kRsp], cell)) return false;
            unsigned parameters = cpu.long_mode() ? 0 : gate.high & 31;
            for (unsigned i = parameters; i-- > 0;) {
                u64 gva, value = 0;
                if (!segment_address(cpu, kSs, stack_offset(cpu, cpu.gpr[kRsp] + i * cell), cell,
                                     MemoryAccess::kRead, gva))
                    return false;
                if (!load_bytes(cpu, gva, cell, &value) || !stack.push(value, cell)) return false;
            }
        } else if (cpu.long_mode()) {
            stack.long_mode = true;
        }
        if (!push_return(cpu, stack, cell)) return false;
        if (!mark_accessed(cpu, target, code)) return false;
        set_code_segment(cpu, target, code, new_cpl);
        if (inner) {
            cpu.seg[kSs] = stack.ss;
            cpu.gpr[kRsp] = stack.long_mode ? stack.rsp : stack.rsp & 0xFFFFFFFF;
        } else {
            commit_stack_pointer(cpu, stack);
        }
    } else {
        if (!mark_accessed(cpu, target, code)) return false;
        set_code_segment(cpu, target, code, cpu.cpl);
    }
    cpu.rip = rip;
    cpu.update_mode();
    return true;
}

/// Far JMP or CALL to selector:offset. `size` is the stack cell of a call.
bool far_transfer(Vcpu& cpu, u16 selector, u64 rip, unsigned size, bool call) {
    if (!(cpu.cr0 & cr0::kPE) || cpu.vm86()) {
        if (rip > 0xFFFF && (cpu.vm86() || rip > cpu.seg[kCs].limit)) return cpu.raise_gp0();
        if (call) {
            NewStack stack = current_stack(cpu);
            if (!push_return(cpu, stack, size)) return false;
            commit_stack_pointer(cpu, stack);
        }
        set_real_segment(cpu, kCs, selector);
        cpu.rip = rip;
        cpu.update_mode();
        return true;
    }
    if (is_null(selector)) return cpu.raise_gp0();
    Descriptor d;
    if (!read_descriptor(cpu, selector, Vector::kGP, d)) return false;
    if (!d.code_or_data()) {
        unsigned type = d.type();
        if (type == kCallGate32 || (type == kCallGate16 && !cpu.long_mode()))
            return call_gate(cpu, selector, d, size, call);
        bool task = !cpu.long_mode() && (type == kTaskGate || type == kTss16 || type == kTss32);
        if (!task || d.dpl() < cpu.cpl || d.dpl() < (selector & 3u))
            return cpu.raise(Vector::kGP, selector_error(selector));
        if (!d.present()) return cpu.raise(Vector::kNP, selector_error(selector));
        u16 tss = type == kTaskGate ? d.gate_selector() : selector;
        return switch_task(cpu, tss, call ? TaskSwitch::kCall : TaskSwitch::kJump, cpu.rip);
    }
    if (!d.is_code()) return cpu.raise(Vector::kGP, selector_error(selector));
    if (!check_direct(cpu, selector, d) || !target_in_segment(cpu, d, rip)) return false;
    NewStack stack = current_stack(cpu);
    if (call && !push_return(cpu, stack, size)) return false;
    if (!mark_accessed(cpu, selector, d)) return false;
    if (call) commit_stack_pointer(cpu, stack);
    set_code_segment(cpu, selector, d, cpu.cpl);
    cpu.rip = rip;
    cpu.update_mode();
    return true;
}

bool load_far_pointer(Vcpu& cpu, const Insn& insn, u16& selector, u64& offset) {
    u64 gva;
    unsigned size = 1u << insn.osize;
    offset = 0;
    if (!insn.mem) return cpu.raise(Vector::kUD);
    return operand_address(cpu, insn, size + 2, MemoryAccess::kRead, gva) &&
           load_bytes(cpu, gva, size, &offset) && load_bytes(cpu, gva + size, 2, &selector);
}

bool far_return(Vcpu& cpu, unsigned size, unsigned release) {
    u64 old = cpu.gpr[kRsp], rip, cs;
    auto fail = [&] {
        cpu.gpr[kRsp] = old;
        return false;
    };
    if (!pop_segmented(cpu, rip, size) || !pop_segmented(cpu, cs, size)) return fail();
    u16 selector = static_cast<u16>(cs);
    if (!(cpu.cr0 & cr0::kPE) || cpu.vm86()) {
        if (rip > cpu.seg[kCs].limit) {
            cpu.raise_gp0();
            return fail();
        }
        set_real_segment(cpu, kCs, selector);
        cpu.rip = rip;
        add_to_stack_pointer(cpu, release);
        cpu.update_mode();
        return true;
    }
    Descriptor d;
    unsigned rpl = selector & 3;
    if (is_null(selector)) {
        cpu.raise_gp0();
        return fail();
    }
    if (!read_descriptor(cpu, selector, Vector::kGP, d)) return fail();
    bool bad = !d.is_code() || rpl < cpu.cpl || (d.conforming() ? d.dpl() > rpl : d.dpl() != rpl) ||
               (cpu.long_mode() && d.long_mode() && d.big());
    if (bad) {
        cpu.raise(Vector::kGP, selector_error(selector));
        return fail();
    }
    if (!d.present()) {
        cpu.raise(Vector::kNP, selector_error(selector));
        return fail();
    }
    if (!target_in_segment(cpu, d, rip)) return fail();
    if (rpl == cpu.cpl) {
        if (!mark_accessed(cpu, selector, d)) return fail();
        add_to_stack_pointer(cpu, release);
        set_code_segment(cpu, selector, d, rpl);
    } else {
        add_to_stack_pointer(cpu, release);
        u64 rsp, ss;
        if (!pop_segmented(cpu, rsp, size) || !pop_segmented(cpu, ss, size)) return fail();
        SegmentRegister stack;
        u16 ss_selector = static_cast<u16>(ss);
        if (is_null(ss_selector) && cpu.long_mode() && d.long_mode() && rpl != 3) {
            stack = {ss_selector, static_cast<u16>(0x4093 | rpl << 5), 0xFFFFFFFF, 0};
        } else if (is_null(ss_selector)) {
            cpu.raise_gp0();
            return fail();
        } else if (!check_stack_segment(cpu, ss_selector, rpl, Vector::kGP, stack)) {
            return fail();
        }
        if (!mark_accessed(cpu, selector, d)) return fail();
        set_code_segment(cpu, selector, d, rpl);
        cpu.seg[kSs] = stack;
        bool wide = cpu.long_mode() && d.long_mode();
        cpu.gpr[kRsp] = wide ? rsp : stack.big() ? static_cast<u32>(rsp) : (rsp & 0xFFFF);
        cpu.rip = rip;
        cpu.update_mode();
        add_to_stack_pointer(cpu, release);
        drop_inaccessible_segments(cpu);
    }
    cpu.rip = rip;
    cpu.update_mode();
    return true;
}

}  // namespace

SB_END(op_jmp_far_direct) {
    return far_transfer(cpu, static_cast<u16>(insn.disp), static_cast<u32>(insn.imm), 1u << insn.osize,
                        false);
}
SB_END(op_call_far_direct) {
    return far_transfer(cpu, static_cast<u16>(insn.disp), static_cast<u32>(insn.imm), 1u << insn.osize, true);
}
SB_END(op_jmp_far) {
    u16 selector;
    u64 offset;
    return load_far_pointer(cpu, insn, selector, offset) &&
           far_transfer(cpu, selector, offset, 1u << insn.osize, false);
}
SB_END(op_call_far) {
    u16 selector;
    u64 offset;
    return load_far_pointer(cpu, insn, selector, offset) &&
           far_transfer(cpu, selector, offset, 1u << insn.osize, true);
}
SB_END(op_ret_far) { return far_return(cpu, 1u << insn.osize, static_cast<u16>(insn.imm)); }

/// LDS LES LFS LGS LSS
static bool load_segment_pointer(Vcpu& cpu, const Insn& insn, Seg seg) {
    u16 selector;
    u64 offset;
    if (!load_far_pointer(cpu, insn, selector, offset) || !load_segment(cpu, seg, selector)) return false;
    if (insn.osize == 1)
        cpu.set_reg<u16>(insn.reg, static_cast<u16>(offset));
    else
        cpu.gpr[insn.reg] = offset;
    cpu.update_mode();
    return true;
}
SB_END(op_les) { return load_segment_pointer(cpu, insn, kEs); }
SB_END(op_lds) { return load_segment_pointer(cpu, insn, kDs); }
SB_END(op_lss) {
    if (!load_segment_pointer(cpu, insn, kSs)) return false;
    return true;
}
SB_END(op_lfs) { return load_segment_pointer(cpu, insn, kFs); }
SB_END(op_lgs) { return load_segment_pointer(cpu, insn, kGs); }

}  // namespace shadowbox
