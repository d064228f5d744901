// SPDX-License-Identifier: MIT
// Hardware tasks: TSS fields, inner stacks, the I/O bitmap, task switches (SDM 3A chapter 7).
#include <cstring>

#include "cpu/access/io_permission.h"
#include "cpu/access/new_stack.h"
#include "cpu/events/interrupts.h"
#include "cpu/ops/general/branch.h"
#include "cpu/state/control_registers.h"

namespace shadowbox {

namespace {

bool is_tss32(const SegmentRegister& tr) { return tr.attributes & 8; }

/// The fields of a TSS that a switch saves and loads, in 32-bit layout order.
struct TaskState {
    u32 cr3 = 0, eip = 0, eflags = 0, gpr[8] = {};
    u16 seg[6] = {}, ldt = 0;
    bool trap = false;
};

bool read_tss(Vcpu& cpu, u64 base, bool wide, TaskState& t) {
    if (wide) {
        u32 w[26];
        if (!load_slow(cpu, base, 16, w, true)) return false;
        for (unsigned i = 4; i < 26; i += 2)
            if (!load_slow(cpu, base + i * 4, 8, w + i, true)) return false;
        t.cr3 = w[7], t.eip = w[8], t.eflags = w[9];
        memcpy(t.gpr, w + 10, sizeof t.gpr);
        for (unsigned i = 0; i < 6; ++i) t.seg[i] = static_cast<u16>(w[18 + i]);
        t.ldt = static_cast<u16>(w[24]);
        t.trap = w[25] & 1;
    } else {
        u16 w[22];
        for (unsigned i = 0; i < 22; ++i)
            if (!load_slow(cpu, base + i * 2, 2, w + i, true)) return false;
        t.eip = w[7], t.eflags = w[8];
        for (unsigned i = 0; i < 8; ++i) t.gpr[i] = w[9 + i] | 0xFFFF0000;
        for (unsigned i = 0; i < 4; ++i) t.seg[i] = w[17 + i];
        t.ldt = w[21];
    }
    return true;
}

bool save_tss(Vcpu& cpu, u64 base, bool wide, u64 rip, u64 flags) {
    bool ok = true;
    auto put = [&](unsigned offset, u32 value, unsigned size) {
        ok = ok && store_slow(cpu, base + offset, size, &value, true);
    };
    if (wide) {
        put(32, static_cast<u32>(rip), 4);
        put(36, static_cast<u32>(flags), 4);
        for (unsigned i = 0; i < 8; ++i) put(40 + i * 4, static_cast<u32>(cpu.gpr[i]), 4);
        for (unsigned i = 0; i < 6; ++i) put(72 + i * 4, cpu.seg[i].selector, 2);
    } else {
        put(14, static_cast<u32>(rip), 2);
        put(16, static_cast<u32>(flags), 2);
        for (unsigned i = 0; i < 8; ++i) put(18 + i * 2, static_cast<u32>(cpu.gpr[i]), 2);
        for (unsigned i = 0; i < 4; ++i) put(34 + i * 2, cpu.seg[i].selector, 2);
    }
    return ok;
}

/// Segment registers of the new task; a fault here belongs to the new task (SDM 3A 7.3, step 13 on).
bool load_task_segments(Vcpu& cpu, const TaskState& t) {
    if (cpu.other_flags & rflags::kVM) {
        cpu.cpl = 3;
        for (Seg seg : {kEs, kCs, kSs, kDs, kFs, kGs}) set_real_segment(cpu, seg, t.seg[seg]);
        return true;
    }
    for (Seg seg : {kEs, kCs, kSs, kDs, kFs, kGs}) cpu.seg[seg] = {t.seg[seg], 0, 0, 0};
    cpu.ldtr = {t.ldt, 0, 0, 0};
    if (!is_null(t.ldt)) {
        Descriptor d;
        if ((t.ldt & 4) || !read_descriptor(cpu, t.ldt, Vector::kTS, d))
            return cpu.raise(Vector::kTS, selector_error(t.ldt));
        if (d.code_or_data() || d.type() != kLdt || !d.present())
            return cpu.raise(Vector::kTS, selector_error(t.ldt));
        cpu.ldtr = d.segment(t.ldt);
    }
    u16 cs = t.seg[kCs];
    unsigned cpl = cs & 3;
    Descriptor code;
    if (is_null(cs)) return cpu.raise(Vector::kTS, 0);
    if (!read_descriptor(cpu, cs, Vector::kTS, code)) return false;
    if (!code.is_code() || (code.conforming() ? code.dpl() > cpl : code.dpl() != cpl))
        return cpu.raise(Vector::kTS, selector_error(cs));
    if (!code.present()) return cpu.raise(Vector::kNP, selector_error(cs));
    cpu.cpl = static_cast<u8>(cpl);
    SegmentRegister stack;
    if (!check_stack_segment(cpu, t.seg[kSs], cpl, Vector::kTS, stack)) return false;
    cpu.seg[kSs] = stack;
    if (!mark_accessed(cpu, cs, code)) return false;
    set_code_segment(cpu, cs, code, cpl);
    for (Seg seg : {kEs, kDs, kFs, kGs}) {
        if (!load_segment(cpu, seg, t.seg[seg])) {
            if (cpu.fault.vector == Vector::kGP) cpu.fault.vector = Vector::kTS;
            return false;
        }
    }
    return true;
}

}  // namespace

bool switch_task(Vcpu& cpu, u16 selector, TaskSwitch how, u64 return_rip, bool has_error, u32 error_code) {
    Vector bad = how == TaskSwitch::kIret ? Vector::kTS : Vector::kGP;
    if ((selector & 4) || is_null(selector)) return cpu.raise(bad, selector_error(selector));
    Descriptor d;
    if (!read_descriptor(cpu, selector, bad, d)) return false;
    bool wide = d.type() & 8;
    unsigned expected = (wide ? 9u : 1u) | (how == TaskSwitch::kIret ? 2u : 0u);
    if (d.code_or_data() || d.type() != expected) return cpu.raise(bad, selector_error(selector));
    if (!d.present()) return cpu.raise(Vector::kNP, selector_error(selector));
    if (d.limit() < (wide ? 0x67u : 0x2Bu)) return cpu.raise(Vector::kTS, selector_error(selector));
    TaskState t;
    if (!read_tss(cpu, d.base32(), wide, t)) return false;
    const bool new_space = wide && (cpu.cr0 & cr0::kPG) && t.cr3 != static_cast<u32>(cpu.cr3);
    const bool new_pdptes = new_space && pae_paging(cpu.cr0, cpu.cr4, cpu.efer);
    Pdptes pdptes;  // read while the switch can still start again
    if (new_pdptes && !read_pdptes(cpu, t.cr3, pdptes)) return false;

    // Save the old task; its busy bit goes unless it will be returned to.
    u64 flags = cpu.rflags();
    if (how == TaskSwitch::kIret) flags &= ~rflags::kNT;
    if (!save_tss(cpu, cpu.tr.base, is_tss32(cpu.tr), return_rip, flags)) return false;
    if (how == TaskSwitch::kJump || how == TaskSwitch::kIret) {
        Descriptor old;
        if (!read_descriptor(cpu, cpu.tr.selector, Vector::kTS, old) ||
            !set_task_busy(cpu, cpu.tr.selector, false))
            return false;
    }
    bool nested = how == TaskSwitch::kCall || how == TaskSwitch::kGate;
    u16 link = cpu.tr.selector;
    if (nested && !store_slow(cpu, d.base32(), 2, &link, true)) return false;
    if (how != TaskSwitch::kIret && !set_task_busy(cpu, selector, true)) return false;

    // From here the new task is current.
    cpu.tr = d.segment(selector);
    cpu.tr.attributes |= 2;
    cpu.cr0 |= cr0::kTS;
    if (new_space) {
        cpu.cr3 = t.cr3;
        if (new_pdptes) cpu.mmu.set_pdptes(pdptes);
        cpu.mmu.set_cr3(cpu.cr3, false);
    }
    for (unsigned i = 0; i < 8; ++i) cpu.gpr[i] = t.gpr[i];
    cpu.rip = wide ? t.eip : t.eip & 0xFFFF;
    u64 image = wide ? t.eflags : (t.eflags & 0xFFFF);
    if (nested) image |= rflags::kNT;
    cpu.set_rflags(image);
    cpu.mmu.set_control(cpu.cr0, cpu.cr4, cpu.efer);
    bool loaded = load_task_segments(cpu, t);
    cpu.dr[7] &= ~u64{0x55};
    cpu.update_mode();
    drop_unseen_resume_flag(cpu);
    cpu.step_trap = false;  // TF was the old task's
    if (!loaded) {
        // A fault of the new task, at its first instruction: never undone.
        deliver_fault(cpu);
        return true;
    }
    if (has_error) {
        NewStack stack{cpu, cpu.seg[kSs], cpu.gpr[kRsp], false, cpu.cpl != 3, 0};
        if (!stack.push(error_code, wide ? 4 : 2)) {
            deliver_fault(cpu);
            return true;
        }
        cpu.gpr[kRsp] = (cpu.gpr[kRsp] & ~stack.mask()) | (stack.rsp & stack.mask());
    }
    if (cpu.rip > cpu.seg[kCs].limit) {
        cpu.raise_gp0();
        deliver_fault(cpu);
    } else if (t.trap) {  // the TSS's T flag: a trap before the first instruction (SDM 3B 17.3.1.5), DR6.BT
        cpu.raise(Fault{Vector::kDB, false, 0, 0, dr6::kBT});
        deliver_fault(cpu);
    }
    return true;
}

bool stack_from_tss(Vcpu& cpu, unsigned cpl, u16& selector, u32& pointer) {
    bool wide = is_tss32(cpu.tr);
    u32 at = wide ? 4 + cpl * 8 : 2 + cpl * 4;
    if (at + (wide ? 5 : 3) > cpu.tr.limit) return cpu.raise(Vector::kTS, selector_error(cpu.tr.selector));
    pointer = 0;
    return load_slow(cpu, cpu.tr.base + at, wide ? 4 : 2, &pointer, true) &&
           load_slow(cpu, cpu.tr.base + at + (wide ? 4 : 2), 2, &selector, true);
}

bool stack_from_tss64(Vcpu& cpu, unsigned slot_offset, u64& pointer) {
    if (slot_offset + 7 > cpu.tr.limit) return cpu.raise(Vector::kTS, selector_error(cpu.tr.selector));
    if (!load_slow(cpu, cpu.tr.base + slot_offset, 8, &pointer, true)) return false;
    return is_canonical(pointer, cpu.cr4) ? true : cpu.raise(Vector::kSS, 0);
}

bool io_allowed(Vcpu& cpu, u16 port, unsigned size) {
    if (!(cpu.cr0 & cr0::kPE) || (!cpu.vm86() && cpu.cpl <= cpu.iopl())) return true;
    bool wide = is_tss32(cpu.tr) && cpu.tr.present();
    u16 map;
    if (!wide || cpu.tr.limit < 103) return cpu.raise_gp0();
    if (!load_slow(cpu, cpu.tr.base + 102, 2, &map, true)) return false;
    u32 at = map + port / 8u;
    if (at + 1 > cpu.tr.limit) return cpu.raise_gp0();  // both bytes are read (SDM 1 19.5.2)
    u16 bits;
    if (!load_slow(cpu, cpu.tr.base + at, 2, &bits, true)) return false;
    u32 mask = ((1u << size) - 1) << (port & 7);
    return bits & mask ? cpu.raise_gp0() : true;
}

}  // namespace shadowbox
