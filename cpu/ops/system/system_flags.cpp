// SPDX-License-Identifier: MIT
// PUSHF, POPF, CLI, STI, CLAC, STAC, IN, OUT, with IOPL, VME and PVI rules.
#include "cpu/access/io_permission.h"
#include "cpu/events/breakpoints.h"
#include "cpu/ops/general/branch.h"
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

SB_OP(op_pushf) {
    u64 image = cpu.rflags() & ~(rflags::kVM | rflags::kRF);
    if (cpu.vm86() && cpu.iopl() < 3) {
        if (!(cpu.cr4 & cr4::kVME) || insn.osize != 1) return cpu.raise_gp0();
        image = (image & ~rflags::kIF) | (cpu.other_flags & rflags::kVIF ? rflags::kIF : 0) | rflags::kIOPL;
    }
    return push_segmented(cpu, image, 1u << insn.osize);
}

SB_END(op_popf) {
    u64 image, old = cpu.gpr[kRsp], flags = cpu.rflags();
    unsigned size = 1u << insn.osize;
    bool virtual_if = cpu.vm86() && cpu.iopl() < 3;
    if (virtual_if && (!(cpu.cr4 & cr4::kVME) || size != 2)) return cpu.raise_gp0();
    if (!pop_segmented(cpu, image, size)) return false;
    u64 change = rflags::kArithmetic | rflags::kTF | rflags::kDF | rflags::kNT;
    if (size > 2) change |= rflags::kAC | rflags::kID;
    if (virtual_if) {
        if (((image & rflags::kIF) && (flags & rflags::kVIP)) || (image & rflags::kTF)) {
            cpu.gpr[kRsp] = old;
            return cpu.raise_gp0();
        }
        change |= rflags::kVIF;
        image = (image & ~rflags::kVIF) | (image & rflags::kIF ? rflags::kVIF : 0);
    } else {
        if (cpu.cpl <= cpu.iopl() || cpu.real_mode()) change |= rflags::kIF;
        if (cpu.cpl == 0 && !cpu.vm86()) change |= rflags::kIOPL;
    }
    flags &= ~rflags::kRF;
    cpu.set_rflags((flags & ~change) | (image & change));
    cpu.update_mode();
    if (cpu.other_flags & rflags::kIF) cpu.recheck_interrupts();
    return true;
}

SB_OP(op_cli) {
    if (cpu.real_mode() || (cpu.cpl <= cpu.iopl() && !(cpu.vm86() && cpu.iopl() < 3))) {
        cpu.other_flags &= ~rflags::kIF;
        return true;
    }
    bool virtual_if = cpu.vm86() ? cpu.cr4 & cr4::kVME : (cpu.cr4 & cr4::kPVI) && cpu.cpl == 3;
    if (!virtual_if) return cpu.raise_gp0();
    cpu.other_flags &= ~rflags::kVIF;
    return true;
}
SB_END(op_sti) {
    if (cpu.real_mode() || (cpu.cpl <= cpu.iopl() && !(cpu.vm86() && cpu.iopl() < 3))) {
        if (!(cpu.other_flags & rflags::kIF)) {
            cpu.other_flags |= rflags::kIF;
            cpu.interrupt_shadow = true;
            cpu.recheck_interrupts();
        }
        return true;
    }
    bool virtual_if = cpu.vm86() ? cpu.cr4 & cr4::kVME : (cpu.cr4 & cr4::kPVI) && cpu.cpl == 3;
    if (!virtual_if || (cpu.other_flags & rflags::kVIP)) return cpu.raise_gp0();
    cpu.other_flags |= rflags::kVIF;
    return true;
}

SB_END(op_clac) {
    if (cpu.cpl != 0) return cpu.raise(Vector::kUD);
    cpu.other_flags &= ~rflags::kAC;
    cpu.mmu.set_privilege(false, false);
    return true;
}
SB_END(op_stac) {
    if (cpu.cpl != 0) return cpu.raise(Vector::kUD);
    cpu.other_flags |= rflags::kAC;
    cpu.mmu.set_privilege(false, true);
    return true;
}

namespace {
unsigned port_size(const Insn& insn) { return insn.opcode & 1 ? (insn.osize == 1 ? 2 : 4) : 1; }
u16 port_of(const Vcpu& cpu, const Insn& insn) {
    return insn.opcode & 8 ? static_cast<u16>(cpu.gpr[kRdx]) : static_cast<u8>(insn.imm);
}
}  // namespace

SB_END(op_in) {
    unsigned size = port_size(insn);
    u16 port = port_of(cpu, insn);
    if (!io_allowed(cpu, port, size)) return false;
    ++cpu.counters.port_io;
    u32 value = cpu.bus.port_read(port, size);
    note_port_access(cpu, port, size);
    if (size == 1)
        cpu.set_reg8(0, static_cast<u8>(value));
    else if (size == 2)
        cpu.set_reg<u16>(kRax, static_cast<u16>(value));
    else
        cpu.gpr[kRax] = value;
    return true;
}
SB_END(op_out) {
    unsigned size = port_size(insn);
    u16 port = port_of(cpu, insn);
    if (!io_allowed(cpu, port, size)) return false;
    ++cpu.counters.port_io;
    u32 value = static_cast<u32>(cpu.gpr[kRax]);
    cpu.bus.port_write(port, size, size == 1 ? value & 0xFF : size == 2 ? value & 0xFFFF : value);
    note_port_access(cpu, port, size);
    return true;
}

}  // namespace shadowbox
