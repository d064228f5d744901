// SPDX-License-Identifier: MIT
// MOV, PUSH, POP of segment registers; descriptor-table registers; LAR LSL VERR VERW ARPL SLDT STR LLDT LTR.
#include "cpu/access/segments.h"
#include "cpu/ops/general/branch.h"
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

bool read_ew(Vcpu& cpu, const Insn& insn, u16& value) {
    if (insn.mem) return load_operand<u16>(cpu, insn, value);
    value = get<u16>(cpu, insn.rm);
    return true;
}
/// A selector or MSW to r/m: 16 bits to memory, zero-extended to a wider register.
bool write_rm16(Vcpu& cpu, const Insn& insn, u64 value) {
    if (insn.mem) return store_operand<u16>(cpu, insn, static_cast<u16>(value));
    if (insn.osize == 1)
        cpu.set_reg<u16>(insn.rm, static_cast<u16>(value));
    else if (insn.osize == 2)
        cpu.gpr[insn.rm] = static_cast<u32>(value);
    else
        cpu.gpr[insn.rm] = value;
    return true;
}
bool push_seg(Vcpu& cpu, const Insn& insn, Seg seg) {
    if (insn.osize != 2) return push_segmented(cpu, cpu.seg[seg].selector, 1u << insn.osize);
    // A 32-bit push of a segment register writes 16 bits only (SDM 2B PUSH, as recent processors do).
    u64 gva, offset = stack_offset(cpu, cpu.gpr[kRsp] - 4);
    if (!segment_address(cpu, kSs, offset, 4, MemoryAccess::kWrite, gva) ||
        !store<u16>(cpu, gva, cpu.seg[seg].selector))
        return false;
    add_to_stack_pointer(cpu, -4);
    return true;
}
bool pop_seg(Vcpu& cpu, const Insn& insn, Seg seg) {
    u64 value, old = cpu.gpr[kRsp];
    if (!pop_segmented(cpu, value, 1u << insn.osize)) return false;
    u64 popped = cpu.gpr[kRsp];
    if (!load_segment(cpu, seg, static_cast<u16>(value))) {
        cpu.gpr[kRsp] = old;
        return false;
    }
    cpu.gpr[kRsp] = popped;
    if (seg == kSs) cpu.cast_stack_shadow();
    cpu.update_mode();
    return true;
}
bool supervisor_only(Vcpu& cpu) { return cpu.cpl == 0 || cpu.raise_gp0(); }
/// SLDT, STR, SGDT, SIDT, SMSW with CR4.UMIP.
bool umip(Vcpu& cpu) { return !(cpu.cr4 & cr4::kUMIP) || cpu.cpl == 0 || cpu.raise_gp0(); }

bool store_table(Vcpu& cpu, const Insn& insn, const TableRegister& table) {
    if (!umip(cpu)) return false;
    unsigned size = cpu.long64() ? 10 : 6;
    u8 image[10];
    memcpy(image, &table.limit, 2);
    memcpy(image + 2, &table.base, 8);
    u64 gva;
    return operand_address(cpu, insn, size, MemoryAccess::kWrite, gva) && store_bytes(cpu, gva, size, image);
}
bool load_table(Vcpu& cpu, const Insn& insn, TableRegister& table) {
    if (!supervisor_only(cpu)) return false;
    unsigned size = cpu.long64() ? 10 : 6;
    u8 image[10] = {};
    u64 gva;
    if (!operand_address(cpu, insn, size, MemoryAccess::kRead, gva) || !load_bytes(cpu, gva, size, image))
        return false;
    TableRegister loaded;
    memcpy(&loaded.limit, image, 2);
    memcpy(&loaded.base, image + 2, 8);
    if (!cpu.long64())
        loaded.base &= insn.osize == 1 ? 0xFFFFFF : 0xFFFFFFFF;
    else if (!is_canonical(loaded.base, cpu.cr4))
        return cpu.raise_gp0();
    table = loaded;
    return true;
}

/// Descriptor of a selector for LAR, LSL, VERR, VERW: no fault, false in `ok` if it cannot be seen.
bool peek(Vcpu& cpu, u16 selector, Descriptor& d, bool& ok) {
    ok = false;
    if (is_null(selector)) return true;
    if (!read_descriptor(cpu, selector, Vector::kGP, d)) {
        if (cpu.exit == ExitReason::kFault && cpu.fault.vector == Vector::kGP) {
            cpu.exit = ExitReason::kNone;
            return true;
        }
        return false;
    }
    bool conforming = d.is_code() && d.conforming();
    ok = conforming || (cpu.cpl <= d.dpl() && (selector & 3u) <= d.dpl());
    return true;
}
void set_zf(Vcpu& cpu, bool value) { cpu.flags.update(rflags::kZF, value ? rflags::kZF : 0); }

}  // namespace

SB_OP(op_push_es) { return push_seg(cpu, insn, kEs); }
SB_OP(op_push_cs) { return push_seg(cpu, insn, kCs); }
SB_OP(op_push_ss) { return push_seg(cpu, insn, kSs); }
SB_OP(op_push_ds) { return push_seg(cpu, insn, kDs); }
SB_OP(op_push_fs) { return push_seg(cpu, insn, kFs); }
SB_OP(op_push_gs) { return push_seg(cpu, insn, kGs); }
SB_END(op_pop_es) { return pop_seg(cpu, insn, kEs); }
SB_END(op_pop_ss) { return pop_seg(cpu, insn, kSs); }
SB_END(op_pop_ds) { return pop_seg(cpu, insn, kDs); }
SB_END(op_pop_fs) { return pop_seg(cpu, insn, kFs); }
SB_END(op_pop_gs) { return pop_seg(cpu, insn, kGs); }

SB_OP(op_mov_from_seg) {
    if (insn.reg > kGs) return cpu.raise(Vector::kUD);
    return write_rm16(cpu, insn, cpu.seg[insn.reg].selector);
}
SB_END(op_mov_to_seg) {
    u16 selector;
    if (insn.reg > kGs || insn.reg == kCs) return cpu.raise(Vector::kUD);
    if (!read_ew(cpu, insn, selector) || !load_segment(cpu, static_cast<Seg>(insn.reg), selector))
        return false;
    if (insn.reg == kSs) cpu.cast_stack_shadow();
    cpu.update_mode();
    return true;
}

SB_OP(op_arpl) {
    u16 source = get<u16>(cpu, insn.reg), target;
    if (!read_ew(cpu, insn, target)) return false;
    const bool raised = (target & 3) < (source & 3);
    if (raised) {  // else nothing is written: the page may be read-only
        target = static_cast<u16>((target & ~3) | (source & 3));
        if (!insn.mem)
            cpu.set_reg<u16>(insn.rm, target);
        else if (!store_operand<u16>(cpu, insn, target))
            return false;
    }
    set_zf(cpu, raised);
    return true;
}

SB_OP(op_sldt) { return umip(cpu) && write_rm16(cpu, insn, cpu.ldtr.selector); }
SB_OP(op_str) { return umip(cpu) && write_rm16(cpu, insn, cpu.tr.selector); }
SB_OP(op_smsw) {
    if (!umip(cpu)) return false;
    return write_rm16(cpu, insn, cpu.cr0);
}
SB_OP(op_sgdt) { return store_table(cpu, insn, cpu.gdtr); }
SB_OP(op_sidt) { return store_table(cpu, insn, cpu.idtr); }
SB_OP(op_lgdt) { return load_table(cpu, insn, cpu.gdtr); }
SB_OP(op_lidt) { return load_table(cpu, insn, cpu.idtr); }

SB_OP(op_lldt) {
    u16 selector;
    if (!supervisor_only(cpu) || !read_ew(cpu, insn, selector)) return false;
    if (is_null(selector)) {
        cpu.ldtr = {selector, 0, 0, 0};
        return true;
    }
    Descriptor d;
    if (selector & 4) return cpu.raise(Vector::kGP, selector_error(selector));
    if (!read_descriptor(cpu, selector, Vector::kGP, d, cpu.long_mode())) return false;
    if (d.code_or_data() || d.type() != kLdt) return cpu.raise(Vector::kGP, selector_error(selector));
    if (!d.present()) return cpu.raise(Vector::kNP, selector_error(selector));
    if (cpu.long_mode() && !is_canonical(d.base64(), cpu.cr4))
        return cpu.raise(Vector::kGP, selector_error(selector));
    cpu.ldtr = d.segment(selector);
    if (cpu.long_mode()) cpu.ldtr.base = d.base64();
    return true;
}
SB_OP(op_ltr) {
    u16 selector;
    if (!supervisor_only(cpu) || !read_ew(cpu, insn, selector)) return false;
    Descriptor d;
    if (is_null(selector)) return cpu.raise_gp0();
    if (selector & 4) return cpu.raise(Vector::kGP, selector_error(selector));
    if (!read_descriptor(cpu, selector, Vector::kGP, d, cpu.long_mode())) return false;
    bool available = d.type() == kTss32 || (d.type() == kTss16 && !cpu.long_mode());
    if (d.code_or_data() || !available) return cpu.raise(Vector::kGP, selector_error(selector));
    if (!d.present()) return cpu.raise(Vector::kNP, selector_error(selector));
    if (cpu.long_mode() && !is_canonical(d.base64(), cpu.cr4))
        return cpu.raise(Vector::kGP, selector_error(selector));
    if (!write_descriptor_high(cpu, selector, d.high | 0x200)) return false;
    cpu.tr = d.segment(selector);
    cpu.tr.attributes |= 2;
    if (cpu.long_mode()) cpu.tr.base = d.base64();
    return true;
}

SB_OP(op_lar) {
    u16 selector;
    Descriptor d;
    bool ok;
    if (!read_ew(cpu, insn, selector) || !peek(cpu, selector, d, ok)) return false;
    unsigned type = d.type();
    bool known = d.code_or_data() || type == kTss32 || type == kBusyTss32 || type == kLdt ||
                 type == kCallGate32 ||
                 (!cpu.long_mode() &&
                  (type == kTss16 || type == kBusyTss16 || type == kCallGate16 || type == kTaskGate));
    ok = ok && known;
    if (ok) put_sized(cpu, insn, d.high & 0x00F0FF00);
    set_zf(cpu, ok);
    return true;
}
SB_OP(op_lsl) {
    u16 selector;
    Descriptor d;
    bool ok;
    if (!read_ew(cpu, insn, selector) || !peek(cpu, selector, d, ok)) return false;
    unsigned type = d.type();
    bool known = d.code_or_data() || type == kTss32 || type == kBusyTss32 || type == kLdt ||
                 (!cpu.long_mode() && (type == kTss16 || type == kBusyTss16));
    ok = ok && known;
    if (ok) put_sized(cpu, insn, d.limit());
    set_zf(cpu, ok);
    return true;
}
SB_OP(op_verr) {
    u16 selector;
    Descriptor d;
    bool ok;
    if (!read_ew(cpu, insn, selector) || !peek(cpu, selector, d, ok)) return false;
    set_zf(cpu, ok && d.code_or_data() && (!d.is_code() || d.readable_code()));
    return true;
}
SB_OP(op_verw) {
    u16 selector;
    Descriptor d;
    bool ok;
    if (!read_ew(cpu, insn, selector) || !peek(cpu, selector, d, ok)) return false;
    set_zf(cpu, ok && d.code_or_data() && !d.is_code() && d.writable());
    return true;
}

}  // namespace shadowbox
