// SPDX-License-Identifier: MIT
// SYSCALL SYSRET SYSENTER SYSEXIT SWAPGS and the FSGSBASE instructions (SDM 2B).
#include "cpu/blocks/dispatch.h"
#include "cpu/ops/operand_forms.h"
#include "cpu/state/control_registers.h"

namespace shadowbox {

namespace {
/// A flat 4 GiB segment as the fast system calls load it, without looking at a descriptor.
void flat_segment(Vcpu& cpu, Seg seg, u16 selector, unsigned dpl, bool code, bool long_mode) {
    u16 attributes = static_cast<u16>(0x8000 | 0x90 | dpl << 5 | (code ? 0xB : 0x3));
    attributes |= static_cast<u16>(code && long_mode ? 0x2000 : 0x4000);
    cpu.seg[seg] = {selector, attributes, 0xFFFFFFFF, 0};
}
void enter_level(Vcpu& cpu, u16 cs, u16 ss, unsigned cpl, bool long_mode) {
    flat_segment(cpu, kCs, cs, cpl, true, long_mode);
    flat_segment(cpu, kSs, ss, cpl, false, false);
    cpu.cpl = static_cast<u8>(cpl);
    cpu.update_mode();
}
}  // namespace

namespace {
/// Behind SYSCALL and SYSRET TF counts as they leave it: none at the target of a SYSCALL whose mask clears
/// it, and at once behind a SYSRET that sets it.
void trap_on_loaded_flag(Vcpu& cpu) {
    cpu.step_trap = false;
    if (cpu.other_flags & rflags::kTF) cpu.pending_dr6 |= dr6::kBS;
}
}  // namespace

SB_END(op_syscall) {
    // On Intel processors SYSCALL exists in 64-bit mode only (SDM 2B SYSCALL).
    if (!(cpu.efer & efer::kSCE) || !cpu.long64()) return cpu.raise(Vector::kUD);
    cpu.gpr[kRcx] = cpu.rip;
    cpu.gpr[kR11] = cpu.rflags() & ~rflags::kRF;
    cpu.rip = cpu.msr.lstar;
    cpu.set_rflags(cpu.rflags() & ~(cpu.msr.sfmask | rflags::kRF));
    u16 cs = static_cast<u16>(cpu.msr.star >> 32 & 0xFFFC);
    enter_level(cpu, cs, static_cast<u16>(cs + 8), 0, true);
    trap_on_loaded_flag(cpu);
    return true;
}
SB_END(op_sysret) {
    if (!(cpu.efer & efer::kSCE) || !cpu.long64()) return cpu.raise(Vector::kUD);
    if (cpu.cpl != 0) return cpu.raise_gp0();
    u16 base = static_cast<u16>(cpu.msr.star >> 48);
    bool to64 = insn.osize == 3;
    if (to64 && !is_canonical(cpu.gpr[kRcx], cpu.cr4)) return cpu.raise_gp0();
    cpu.set_rflags(cpu.gpr[kR11] & 0x3C7FD7);
    cpu.rip = to64 ? cpu.gpr[kRcx] : static_cast<u32>(cpu.gpr[kRcx]);
    enter_level(cpu, static_cast<u16>((to64 ? base + 16 : base) | 3), static_cast<u16>(base + 8) | 3, 3,
                to64);
    trap_on_loaded_flag(cpu);
    cpu.recheck_interrupts();
    return true;
}
SB_END(op_sysenter) {
    if (cpu.real_mode() || !(cpu.msr.sysenter_cs & 0xFFFC)) return cpu.raise_gp0();
    u16 cs = static_cast<u16>(cpu.msr.sysenter_cs & 0xFFFC);
    cpu.other_flags &= ~(rflags::kVM | rflags::kIF | rflags::kRF);
    bool wide = cpu.long_mode();
    cpu.gpr[kRsp] = wide ? cpu.msr.sysenter_esp : static_cast<u32>(cpu.msr.sysenter_esp);
    cpu.rip = wide ? cpu.msr.sysenter_eip : static_cast<u32>(cpu.msr.sysenter_eip);
    enter_level(cpu, cs, static_cast<u16>(cs + 8), 0, wide);
    return true;
}
SB_END(op_sysexit) {
    if (cpu.real_mode() || !(cpu.msr.sysenter_cs & 0xFFFC) || cpu.cpl != 0) return cpu.raise_gp0();
    bool to64 = insn.osize == 3;
    u64 rip = cpu.gpr[kRdx], rsp = cpu.gpr[kRcx];
    if (to64 && (!is_canonical(rip, cpu.cr4) || !is_canonical(rsp, cpu.cr4))) return cpu.raise_gp0();
    u16 base = static_cast<u16>((cpu.msr.sysenter_cs & 0xFFFC) + (to64 ? 32 : 16));
    cpu.gpr[kRsp] = to64 ? rsp : static_cast<u32>(rsp);
    cpu.rip = to64 ? rip : static_cast<u32>(rip);
    enter_level(cpu, base | 3, static_cast<u16>(base + 8) | 3, 3, to64);
    return true;
}

SB_END(op_swapgs) {
    if (cpu.cpl != 0) return cpu.raise_gp0();
    std::swap(cpu.seg[kGs].base, cpu.msr.kernel_gs_base);
    return true;
}

namespace {
bool fsgsbase_enabled(Vcpu& cpu) { return cpu.cr4 & cr4::kFSGSBASE ? true : cpu.raise(Vector::kUD); }
bool read_base(Vcpu& cpu, const Insn& insn, Seg seg) {
    if (!fsgsbase_enabled(cpu)) return false;
    cpu.gpr[insn.rm] = insn.osize == 3 ? cpu.seg[seg].base : static_cast<u32>(cpu.seg[seg].base);
    return true;
}
bool write_base(Vcpu& cpu, const Insn& insn, Seg seg) {
    if (!fsgsbase_enabled(cpu)) return false;
    u64 base = insn.osize == 3 ? cpu.gpr[insn.rm] : static_cast<u32>(cpu.gpr[insn.rm]);
    if (!is_possible_base(base)) return cpu.raise_gp0();
    cpu.seg[seg].base = base;
    return true;
}
}  // namespace
SB_OP(op_rdfsbase) { return read_base(cpu, insn, kFs); }
SB_OP(op_rdgsbase) { return read_base(cpu, insn, kGs); }
SB_OP(op_wrfsbase) { return write_base(cpu, insn, kFs); }
SB_OP(op_wrgsbase) { return write_base(cpu, insn, kGs); }

}  // namespace shadowbox
