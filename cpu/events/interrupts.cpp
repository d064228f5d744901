// SPDX-License-Identifier: MIT
#include "cpu/events/interrupts.h"

#include "cpu/access/new_stack.h"
#include "cpu/apic/local_apic.h"

namespace shadowbox {

namespace {

/// Error code for a fault on the IDT entry itself: selector field is the vector, IDT bit set (SDM 3A 6.13).
u32 idt_error(const Event& event) {
    return event.vector * 8u + 2 +
           (event.kind == EventKind::kSoftware || event.kind == EventKind::kSoftwareException ? 0 : 1);
}
u32 external_bit(const Event& event) {
    return event.kind == EventKind::kSoftware || event.kind == EventKind::kSoftwareException ? 0 : 1;
}

bool deliver_real(Vcpu& cpu, const Event& event) {
    u64 entry = event.vector * 4u;
    if (entry + 3 > cpu.idtr.limit) return cpu.raise(Vector::kGP, idt_error(event));
    u32 vector;
    if (!load_slow(cpu, cpu.idtr.base + entry, 4, &vector, true)) return false;
    NewStack stack{cpu, cpu.seg[kSs], cpu.gpr[kRsp], false, true, 0};
    stack.ss.attributes &= 0xBFFF;  // 16-bit stack pointer
    if (!stack.push(cpu.rflags() & 0xFFFF, 2) || !stack.push(cpu.seg[kCs].selector, 2) ||
        !stack.push(event.return_rip & 0xFFFF, 2))
        return false;
    cpu.set_reg<u16>(kRsp, static_cast<u16>(stack.rsp));
    cpu.other_flags &= ~(rflags::kIF | rflags::kTF | rflags::kAC | rflags::kRF);
    set_real_segment(cpu, kCs, static_cast<u16>(vector >> 16));
    cpu.rip = vector & 0xFFFF;
    cpu.update_mode();
    return true;
}

struct Gate {
    Descriptor d;
    bool interrupt;  ///< clears IF
    unsigned size;   ///< of a stack cell
    u64 target;
};

bool read_gate(Vcpu& cpu, const Event& event, Gate& gate) {
    bool long_mode = cpu.long_mode();
    u64 entry = event.vector * (long_mode ? 16u : 8u);
    if (entry + (long_mode ? 15 : 7) > cpu.idtr.limit) return cpu.raise(Vector::kGP, idt_error(event));
    u32 words[4] = {};
    if (!load_slow(cpu, cpu.idtr.base + entry, 8, words, true)) return false;
    if (long_mode && !load_slow(cpu, cpu.idtr.base + entry + 8, 8, words + 2, true)) return false;
    gate.d = {words[0], words[1], words[2]};
    unsigned type = gate.d.type();
    bool known = !gate.d.code_or_data() &&
                 (type == kInterruptGate32 || type == kTrapGate32 ||
                  (!long_mode && (type == kInterruptGate16 || type == kTrapGate16 || type == kTaskGate)));
    if (!known) return cpu.raise(Vector::kGP, idt_error(event));
    bool software = event.kind == EventKind::kSoftware || event.kind == EventKind::kSoftwareException;
    if (software && gate.d.dpl() < cpu.cpl) return cpu.raise(Vector::kGP, idt_error(event));
    if (!gate.d.present()) return cpu.raise(Vector::kNP, idt_error(event));
    gate.interrupt = type == kInterruptGate32 || type == kInterruptGate16;
    gate.size = long_mode ? 8 : type >= 8 ? 4 : 2;
    gate.target = long_mode   ? gate.d.gate_offset64()
                  : type >= 8 ? gate.d.gate_offset32()
                              : gate.d.gate_offset32() & 0xFFFF;
    return true;
}

/// The stack of the handler's privilege level.
bool choose_stack(Vcpu& cpu, const Event& event, const Gate& gate, unsigned new_cpl, NewStack& stack) {
    stack.error = external_bit(event);
    stack.supervisor = new_cpl != 3;
    if (cpu.long_mode()) {
        stack.long_mode = true;
        unsigned ist = gate.d.high & 7;
        if (ist) {
            if (!stack_from_tss64(cpu, 0x24 + (ist - 1) * 8, stack.rsp)) return false;
        } else if (new_cpl < cpu.cpl) {
            if (!stack_from_tss64(cpu, 4 + new_cpl * 8, stack.rsp)) return false;
        } else {
            stack.rsp = cpu.gpr[kRsp];
        }
        stack.rsp &= ~u64{15};
        stack.ss = cpu.seg[kSs];
        if (new_cpl < cpu.cpl)
            stack.ss = {static_cast<u16>(new_cpl), static_cast<u16>(0x4093 | new_cpl << 5), 0xFFFFFFFF, 0};
        return true;
    }
    if (new_cpl == cpu.cpl && !cpu.vm86()) {
        stack.ss = cpu.seg[kSs];
        stack.rsp = cpu.gpr[kRsp];
        return true;
    }
    u16 selector;
    u32 pointer;
    if (!stack_from_tss(cpu, new_cpl, selector, pointer)) return false;
    if (is_null(selector)) return cpu.raise(Vector::kTS, external_bit(event));
    if (!check_stack_segment(cpu, selector, new_cpl, Vector::kTS, stack.ss)) {
        cpu.fault.error_code |= external_bit(event);
        return false;
    }
    stack.rsp = pointer;
    return true;
}

bool push_frame(Vcpu& cpu, const Event& event, const Gate& gate, bool privilege_change, u64 flags,
                NewStack& stack) {
    unsigned size = gate.size;
    if (cpu.vm86()) {
        for (Seg seg : {kGs, kFs, kDs, kEs})
            if (!stack.push(cpu.seg[seg].selector, size)) return false;
    }
    if (privilege_change || cpu.long_mode()) {
        if (!stack.push(cpu.seg[kSs].selector, size) || !stack.push(cpu.gpr[kRsp], size)) return false;
    }
    if (!stack.push(flags, size) || !stack.push(cpu.seg[kCs].selector, size) ||
        !stack.push(event.return_rip, size))
        return false;
    return !event.has_error || stack.push(event.error_code, size);
}

bool deliver_protected(Vcpu& cpu, const Event& event) {
    Gate gate;
    if (!read_gate(cpu, event, gate)) return false;
    if (gate.d.type() == kTaskGate)
        return switch_task(cpu, gate.d.gate_selector(), TaskSwitch::kGate, event.return_rip, event.has_error,
                           event.error_code);
    u16 selector = gate.d.gate_selector();
    u32 ext = external_bit(event);
    if (is_null(selector)) return cpu.raise(Vector::kGP, ext);
    Descriptor code;
    if (!read_descriptor(cpu, selector, Vector::kGP, code)) {
        if (cpu.fault.vector == Vector::kGP) cpu.fault.error_code |= ext;
        return false;
    }
    bool bad =
        !code.is_code() || code.dpl() > cpu.cpl || (cpu.long_mode() && (!code.long_mode() || code.big()));
    unsigned new_cpl = code.conforming() ? cpu.cpl : code.dpl();
    if (bad || (cpu.vm86() && new_cpl != 0)) return cpu.raise(Vector::kGP, selector_error(selector) | ext);
    if (!code.present()) return cpu.raise(Vector::kNP, selector_error(selector) | ext);
    bool change = new_cpl < cpu.cpl || cpu.vm86();
    NewStack stack{cpu, {}, 0, false, true, 0};
    if (!choose_stack(cpu, event, gate, new_cpl, stack)) return false;
    u64 flags = cpu.rflags();
    bool fault_class = event.kind == EventKind::kException && event.vector != static_cast<u8>(Vector::kDB) &&
                       event.vector != static_cast<u8>(Vector::kDF);
    if (fault_class) flags |= rflags::kRF;  // others as it is: SDM 3B 18.3.1.1
    if (!push_frame(cpu, event, gate, change, flags, stack)) return false;
    bool target_ok = cpu.long_mode() ? is_canonical(gate.target, cpu.cr4) : gate.target <= code.limit();
    if (!target_ok) return cpu.raise(Vector::kGP, ext);
    if (!mark_accessed(cpu, selector, code)) return false;

    // Nothing can fault from here on.
    bool from_vm86 = cpu.vm86();
    cpu.other_flags &= ~(rflags::kTF | rflags::kNT | rflags::kRF | rflags::kVM);
    if (gate.interrupt) cpu.other_flags &= ~rflags::kIF;
    if (from_vm86)
        for (Seg seg : {kGs, kFs, kDs, kEs}) cpu.seg[seg] = {0, 0, 0, 0};
    set_code_segment(cpu, selector, code, new_cpl);
    if (change) cpu.seg[kSs] = stack.ss;
    u64 mask = stack.mask();
    cpu.gpr[kRsp] = (change && !stack.long_mode ? 0 : cpu.gpr[kRsp] & ~mask) | (stack.rsp & mask);
    cpu.rip = gate.target;
    cpu.update_mode();
    return true;
}

/// SDM 3A table 6-5: 0 benign, 1 contributory, 2 page fault.
unsigned fault_class(u8 vector) {
    if (vector == 0 || (vector >= 10 && vector <= 13)) return 1;
    return vector == 14 ? 2 : 0;
}

}  // namespace

bool deliver_event(Vcpu& cpu, const Event& event) {
    const bool done = cpu.cr0 & cr0::kPE ? deliver_protected(cpu, event) : deliver_real(cpu, event);
    if (done) cpu.step_trap = false;  // it cleared TF: none behind INT n, INT3, INTO, INT1
    return done;
}

static bool deliver_chain(Vcpu& cpu, const Event& first) {
    Event event = first;
    const u64 pending = cpu.pending_dr6;
    cpu.shutdown_chain.clear();
    for (;;) {
        cpu.exit = ExitReason::kNone;
        cpu.interrupt_shadow = false;
        cpu.shutdown_chain.push_back(event.vector);
        if (deliver_event(cpu, event)) {
            cpu.exit = ExitReason::kNone;
            cpu.shutdown_chain.clear();
            return true;
        }
        cpu.pending_dr6 = pending;  // what the failed attempt hit is no more

        if (cpu.exit != ExitReason::kFault) {  // a page must be waited for: again from the start
            cpu.hold_event(first);
            return true;
        }
        u8 second = static_cast<u8>(cpu.fault.vector);
        if (event.vector == static_cast<u8>(Vector::kDF) && event.kind == EventKind::kException) {
            cpu.shutdown_chain.push_back(second);
            return false;
        }
        if (cpu.fault.vector == Vector::kPF) cpu.cr2 = cpu.fault.cr2;
        bool exception = event.kind == EventKind::kException;
        unsigned a = exception ? fault_class(event.vector) : 0, b = fault_class(second);
        bool is_double = (a == 1 && b == 1) || (a == 2 && b != 0);
        if (is_double) {
            cpu.shutdown_chain.push_back(second);
            event = {static_cast<u8>(Vector::kDF), EventKind::kException, true, 0,
                     first.kind == EventKind::kException ? event.return_rip : cpu.rip};
        } else {
            event = {second, EventKind::kException, cpu.fault.has_error, cpu.fault.error_code, cpu.rip};
        }
    }
}

bool deliver_with_double_fault(Vcpu& cpu, const Event& first) {
    cpu.delivering = true;
    cpu.event_accesses.begin(first.return_rip);
    const bool delivered = deliver_chain(cpu, first);
    cpu.delivering = false;
    cpu.event_accesses.end(cpu.event_held());
    return delivered;
}

bool deliver_fault(Vcpu& cpu) {
    const Fault& fault = cpu.fault;
    ++cpu.counters.faults;
    if (fault.vector == Vector::kPF) {
        cpu.cr2 = fault.cr2;
        cpu.mmu.forget_device_tables();
    }
    if (fault.vector == Vector::kDB) {
        // B0 to B3 tell of this exception alone; the other bits are left to software to clear.
        cpu.dr[6] = (cpu.dr[6] & ~dr6::kBreakpoints) | fault.dr6_bits | cpu.pending_dr6;
        cpu.dr[7] &= ~dr7::kGD;
        cpu.msr.debugctl &= ~(debugctl::kLBR | debugctl::kBTF);
        cpu.pending_dr6 = 0;
    }
    bool software = fault.vector == Vector::kBP || fault.vector == Vector::kOF;
    Event event{static_cast<u8>(fault.vector),
                software ? EventKind::kSoftwareException : EventKind::kException,
                fault.has_error && !(cpu.real_mode()), fault.error_code, cpu.rip};
    return deliver_with_double_fault(cpu, event);
}

std::string shutdown_story(const Vcpu& cpu) {
    static constexpr const char* kNames[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM",
                                             "#DF", "-",   "#TS", "#NP", "#SS", "#GP", "#PF"};
    std::string text = "triple fault";
    for (u8 vector : cpu.shutdown_chain)
        text += fmt::format(" {} {}", &vector == cpu.shutdown_chain.data() ? ":" : "->",
                            vector < std::size(kNames) ? kNames[vector] : fmt::format("vector {}", vector));
    return text + fmt::format(" at {:04x}:{:x}, CR2 {:x}", cpu.seg[kCs].selector, cpu.rip, cpu.cr2);
}

bool Vcpu::interrupt_waiting() const {
    return held_event_ || nmi_pending_.load(std::memory_order_acquire) ||
           pic_line_.load(std::memory_order_acquire) || apic->init_pending() || apic->sipi_pending() ||
           apic->has_deliverable();
}

bool Vcpu::deliver_pending_interrupt() {
    if (held_event_) {
        Event event = *held_event_;
        held_event_.reset();
        if (!deliver_with_double_fault(*this, event)) {
            exit = ExitReason::kShutdown;
            return false;
        }
        if (held_event_) {
            if (exit != ExitReason::kRefused) exit = ExitReason::kWaitPage;
            return false;
        }
        return true;
    }
    if (apic->take_init()) {
        reset(true);
        wait_for_sipi_ = index != 0;
    }
    u8 page;
    if (wait_for_sipi_) {
        if (!apic->take_sipi(page)) {
            exit = ExitReason::kHalt;
            return false;
        }
        wait_for_sipi_ = false;
        set_real_segment(*this, kCs, static_cast<u16>(page << 8));
        rip = 0;
        update_mode();
    }
    if (interrupt_shadow) return true;
    Event event{2, EventKind::kNmi, false, 0, rip};
    if (!nmi_blocked && nmi_pending_.exchange(false, std::memory_order_acq_rel)) {
        nmi_blocked = true;
    } else if (other_flags & rflags::kIF) {
        int vector = -1;
        if (apic->has_deliverable())
            vector = apic->acknowledge();
        else if (pic_line_.load(std::memory_order_acquire) && apic->accepts_pic())
            vector = bus.acknowledge_pic();
        if (vector < 0) return true;
        event = {static_cast<u8>(vector), EventKind::kExternal, false, 0, rip};
    } else {
        return true;
    }
    ++counters.interrupts;
    check_interrupts_ = true;  // there may be more
    if (!deliver_with_double_fault(*this, event)) {
        exit = ExitReason::kShutdown;
        return false;
    }
    // Held back for a page: no instruction may run before it, or it would return to a place already passed.
    if (held_event_) {
        if (exit != ExitReason::kRefused) exit = ExitReason::kWaitPage;
        return false;
    }
    return true;
}

bool Vcpu::wakeup_pending() const {
    if (held_event_ || (x87_frozen && ignne())) return true;
    if (wait_for_sipi_) return apic->sipi_pending() || apic->init_pending();
    if (apic->init_pending() || (nmi_pending_.load(std::memory_order_acquire) && !nmi_blocked)) return true;
    if (!(other_flags & rflags::kIF)) return false;
    return apic->has_deliverable() || (pic_line_.load(std::memory_order_acquire) && apic->accepts_pic());
}

void Vcpu::set_pic_line(bool level) {
    pic_line_.store(level, std::memory_order_release);
    if (level) post_attention(SafepointParticipant::kAttentionInterrupt);
}

void Vcpu::set_ignne(bool level) {
    ignne_.store(level, std::memory_order_release);
    if (level) post_attention(SafepointParticipant::kAttentionInterrupt);
}

void Vcpu::post_nmi() {
    nmi_pending_.store(true, std::memory_order_release);
    post_attention(SafepointParticipant::kAttentionInterrupt);
}

void Vcpu::hold_event(const Event& event) {
    held_event_ = std::make_unique<Event>(event);
    check_interrupts_ = true;
}

}  // namespace shadowbox
