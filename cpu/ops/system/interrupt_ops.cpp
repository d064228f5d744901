// SPDX-License-Identifier: MIT
// INT n, INT3, INT1, INTO, IRET, UD, HLT.
#include "cpu/access/segments.h"
#include "cpu/events/interrupts.h"
#include "cpu/ops/general/branch.h"
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

/// Software interrupts inside virtual-8086 mode with CR4.VME: the redirection bitmap of the TSS decides (SDM
/// 3B 21.3).
bool redirected_to_real_handler(Vcpu& cpu, u8 vector, bool& redirected) {
    redirected = false;
    if (!(cpu.cr4 & cr4::kVME)) return true;
    u16 map = 0;
    if (cpu.tr.limit < 103) return true;
    if (!load_slow(cpu, cpu.tr.base + 102, 2, &map, true)) return false;
    u64 at = static_cast<u64>(map) - 32 + vector / 8;
    if (map < 32 || at > cpu.tr.limit) return true;
    u8 bits;
    if (!load_slow(cpu, cpu.tr.base + at, 1, &bits, true)) return false;
    redirected = !(bits >> (vector & 7) & 1);
    return true;
}

bool real_handler_in_vm86(Vcpu& cpu, u8 vector) {
    u32 entry;
    if (!load_slow(cpu, vector * 4u, 4, &entry)) return false;
    u64 old = cpu.gpr[kRsp];
    u64 flags = cpu.rflags();
    if (cpu.iopl() < 3)
        flags = (flags & ~rflags::kIF) | (cpu.other_flags & rflags::kVIF ? rflags::kIF : 0) | rflags::kIOPL;
    if (!push_segmented(cpu, flags & 0xFFFF, 2) || !push_segmented(cpu, cpu.seg[kCs].selector, 2) ||
        !push_segmented(cpu, cpu.rip, 2)) {
        cpu.gpr[kRsp] = old;
        return false;
    }
    cpu.other_flags &= ~rflags::kTF;
    cpu.step_trap = false;
    cpu.other_flags &= cpu.iopl() < 3 ? ~rflags::kVIF : ~rflags::kIF;
    set_real_segment(cpu, kCs, static_cast<u16>(entry >> 16));
    cpu.rip = entry & 0xFFFF;
    cpu.update_mode();
    return true;
}

/// Software interrupts deliver at once; a fault on the way is this instruction's own.
bool software_interrupt(Vcpu& cpu, u8 vector, EventKind kind) {
    return deliver_event(cpu, Event{vector, kind, false, 0, cpu.rip});
}

bool pop_all(Vcpu& cpu, u64* values, unsigned count, unsigned size) {
    for (unsigned i = 0; i < count; ++i)
        if (!pop_segmented(cpu, values[i], size)) return false;
    return true;
}

void set_iret_flags(Vcpu& cpu, u64 image, unsigned size, unsigned old_cpl) {
    u64 change = rflags::kArithmetic | rflags::kTF | rflags::kDF | rflags::kNT;
    if (size > 2) change |= rflags::kRF | rflags::kAC | rflags::kID;
    if (old_cpl <= cpu.iopl()) change |= rflags::kIF;
    if (old_cpl == 0) change |= rflags::kIOPL | (size > 2 ? rflags::kVIF | rflags::kVIP : 0);
    cpu.set_rflags((cpu.rflags() & ~change) | (image & change));
}

bool iret_real(Vcpu& cpu, unsigned size) {
    u64 old = cpu.gpr[kRsp], v[3];
    if (!pop_all(cpu, v, 3, size)) {
        cpu.gpr[kRsp] = old;
        return false;
    }
    if (v[0] > cpu.seg[kCs].limit) {
        cpu.gpr[kRsp] = old;
        return cpu.raise_gp0();
    }
    set_real_segment(cpu, kCs, static_cast<u16>(v[1]));
    cpu.rip = v[0];
    set_iret_flags(cpu, v[2], size, 0);
    cpu.update_mode();
    return true;
}

bool iret_vm86(Vcpu& cpu, unsigned size) {
    bool vme = cpu.cr4 & cr4::kVME;
    if (cpu.iopl() != 3 && !(vme && size == 2)) return cpu.raise_gp0();
    u64 old = cpu.gpr[kRsp], v[3];
    auto fail = [&] {
        cpu.gpr[kRsp] = old;
        return false;
    };
    if (!pop_all(cpu, v, 3, size)) return fail();
    if (v[0] > 0xFFFF) {
        cpu.raise_gp0();
        return fail();
    }
    u64 keep = rflags::kIOPL | rflags::kVM | rflags::kVIF | rflags::kVIP;
    u64 flags = (cpu.rflags() & (keep | (size == 2 ? ~u64{0xFFFF} : 0))) |
                (v[2] & ~keep & (size == 2 ? 0xFFFF : ~u64{0}));
    if (cpu.iopl() != 3) {
        if (((v[2] & rflags::kIF) && (cpu.other_flags & rflags::kVIP)) || (v[2] & rflags::kTF)) {
            cpu.raise_gp0();
            return fail();
        }
        flags = (flags & ~(rflags::kIF | rflags::kVIF)) | (cpu.other_flags & rflags::kIF) |
                (v[2] & rflags::kIF ? rflags::kVIF : 0);
    }
    set_real_segment(cpu, kCs, static_cast<u16>(v[1]));
    cpu.rip = v[0];
    cpu.set_rflags(flags);
    cpu.update_mode();
    return true;
}

bool return_to_vm86(Vcpu& cpu, const u64* v, u64 old) {
    u64 w[6];
    if (!pop_all(cpu, w, 6, 4)) {
        cpu.gpr[kRsp] = old;
        return false;
    }
    cpu.set_rflags(v[2]);
    cpu.cpl = 3;
    set_real_segment(cpu, kCs, static_cast<u16>(v[1]));
    cpu.rip = v[0] & 0xFFFF;
    cpu.gpr[kRsp] = static_cast<u32>(w[0]);
    static constexpr Seg kOrder[] = {kSs, kEs, kDs, kFs, kGs};
    for (unsigned i = 0; i < 5; ++i) set_real_segment(cpu, kOrder[i], static_cast<u16>(w[i + 1]));
    cpu.update_mode();
    return true;
}

bool iret_protected(Vcpu& cpu, unsigned size) {
    if (cpu.other_flags & rflags::kNT) {
        if (cpu.long_mode()) return cpu.raise_gp0();
        u16 back;
        if (!load_slow(cpu, cpu.tr.base, 2, &back, true)) return false;
        return switch_task(cpu, back, TaskSwitch::kIret, cpu.rip);
    }
    u64 old = cpu.gpr[kRsp], v[5] = {};
    auto fail = [&] {
        cpu.gpr[kRsp] = old;
        return false;
    };
    auto gp = [&](u16 selector) {
        cpu.raise(Vector::kGP, selector_error(selector));
        return fail();
    };
    bool from64 = cpu.long64();
    if (!pop_all(cpu, v, from64 ? 5 : 3, size)) return fail();
    if (size == 4 && (v[2] & rflags::kVM) && cpu.cpl == 0 && !cpu.long_mode())
        return return_to_vm86(cpu, v, old);
    u16 cs = static_cast<u16>(v[1]);
    unsigned rpl = cs & 3, old_cpl = cpu.cpl;
    Descriptor d;
    if (is_null(cs)) return gp(0);
    if (!read_descriptor(cpu, cs, Vector::kGP, d)) return fail();
    if (!d.is_code() || rpl < cpu.cpl || (d.conforming() ? d.dpl() > rpl : d.dpl() != rpl)) return gp(cs);
    if (cpu.long_mode() && d.long_mode() && d.big()) return gp(cs);
    if (!d.present()) {
        cpu.raise(Vector::kNP, selector_error(cs));
        return fail();
    }
    bool to64 = cpu.long_mode() && d.long_mode();
    if (to64 ? !is_canonical(v[0], cpu.cr4) : v[0] > d.limit()) return gp(0);
    bool outer = rpl != cpu.cpl;
    SegmentRegister stack = cpu.seg[kSs];
    if (outer && !from64 && !pop_all(cpu, v + 3, 2, size)) return fail();
    if (outer || from64) {
        u16 ss = static_cast<u16>(v[4]);
        if (is_null(ss) && to64 && rpl != 3)
            stack = {ss, static_cast<u16>(0x4093 | rpl << 5), 0xFFFFFFFF, 0};
        else if (is_null(ss))
            return gp(0);
        else if (!check_stack_segment(cpu, ss, rpl, Vector::kGP, stack))
            return fail();
    }
    if (!mark_accessed(cpu, cs, d)) return fail();
    set_iret_flags(cpu, v[2], size, old_cpl);
    set_code_segment(cpu, cs, d, rpl);
    cpu.rip = v[0];
    if (outer || from64) {
        cpu.seg[kSs] = stack;
        if (to64)
            cpu.gpr[kRsp] = v[3];
        else if (stack.big())
            cpu.gpr[kRsp] = static_cast<u32>(v[3]);
        else
            cpu.gpr[kRsp] = (cpu.gpr[kRsp] & ~u64{0xFFFF}) | (v[3] & 0xFFFF);
    }
    if (outer) drop_inaccessible_segments(cpu);
    cpu.update_mode();
    return true;
}

}  // namespace

SB_END(op_int) {
    u8 vector = static_cast<u8>(insn.imm);
    if (cpu.vm86()) {
        bool redirected;
        if (!redirected_to_real_handler(cpu, vector, redirected)) return false;
        if (redirected) return real_handler_in_vm86(cpu, vector);
        if (cpu.iopl() < 3) return cpu.raise_gp0();
    }
    return software_interrupt(cpu, vector, EventKind::kSoftware);
}
SB_END(op_int3) { return software_interrupt(cpu, 3, EventKind::kSoftwareException); }
SB_END(op_into) { return cpu.flags.of() ? software_interrupt(cpu, 4, EventKind::kSoftwareException) : true; }
SB_END(op_int1) {
    if (!software_interrupt(cpu, 1, EventKind::kIcebp)) return false;
    cpu.dr[7] &= ~dr7::kGD;  // as for every #DB
    return true;
}
SB_END(op_iret) {
    unsigned size = 1u << insn.osize;
    bool done = !(cpu.cr0 & cr0::kPE) ? iret_real(cpu, size)
                : cpu.vm86()          ? iret_vm86(cpu, size)
                                      : iret_protected(cpu, size);
    if (!done) return false;
    drop_unseen_resume_flag(cpu);
    cpu.nmi_blocked = false;
    cpu.recheck_interrupts();
    return true;
}
SB_END(op_ud) { return cpu.raise(Vector::kUD); }

SB_ENDS_BLOCK(op_hlt, true)
const Insn* op_hlt(Vcpu& cpu, const Insn* insn) {
    if (cpu.cpl != 0) {
        cpu.raise_gp0();
        return leave_at(cpu, insn);
    }
    cpu.rip = next_rip(cpu, insn);
    cpu.exit = ExitReason::kHalt;
    cpu.x87_frozen = false;
    ++cpu.counters.halts;
    return nullptr;
}

}  // namespace shadowbox
