// SPDX-License-Identifier: MIT
// Control and debug registers, TLB invalidation, MSR access, time, CPUID, random numbers, cache control,
// PAUSE.
#include "cpu/access/effective_address.h"
#include "cpu/apic/local_apic.h"
#include "cpu/blocks/dispatch.h"
#include "cpu/ops/operand_forms.h"
#include "cpu/state/control_registers.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/msr.h"

namespace shadowbox {

namespace {
/// CR1, CR5 to CR7 and CR9 up: #UD at any privilege level.
bool control_register_exists(unsigned number) {
    return number == 0 || (number >= 2 && number <= 4) || number == 8;
}
bool supervisor_only(Vcpu& cpu) { return cpu.cpl == 0 || cpu.raise_gp0(); }
}  // namespace

SB_OP(op_mov_from_cr) {
    unsigned number = insn.reg;
    if (!control_register_exists(number)) return cpu.raise(Vector::kUD);
    if (!supervisor_only(cpu)) return false;
    u64 value;
    switch (number) {
        case 0: value = cpu.cr0; break;
        case 2: value = cpu.cr2; break;
        case 3: value = cpu.cr3; break;
        case 4: value = cpu.cr4; break;
        case 8: value = cpu.apic->task_priority() >> 4; break;
        default: return cpu.raise(Vector::kUD);
    }
    cpu.gpr[insn.rm] = cpu.long64() ? value : static_cast<u32>(value);
    return true;
}
SB_END(op_mov_to_cr) {
    if (!control_register_exists(insn.reg)) return cpu.raise(Vector::kUD);
    if (!supervisor_only(cpu)) return false;
    u64 value = cpu.long64() ? cpu.gpr[insn.rm] : static_cast<u32>(cpu.gpr[insn.rm]);
    switch (insn.reg) {
        case 0: return write_cr0(cpu, value);
        case 2: cpu.cr2 = value; return true;
        case 3: return write_cr3(cpu, value);
        case 4: return write_cr4(cpu, value);
        case 8:
            if (value & ~u64{15}) return cpu.raise_gp0();
            cpu.apic->set_task_priority(static_cast<u8>(value << 4));
            cpu.recheck_interrupts();
            return true;
        default: return cpu.raise(Vector::kUD);
    }
}
SB_END(op_lmsw) {
    u16 value;
    if (!supervisor_only(cpu)) return false;
    if (insn.mem ? !load_operand<u16>(cpu, insn, value) : (value = get<u16>(cpu, insn.rm), false))
        return false;
    u64 pe = (cpu.cr0 & cr0::kPE) | (value & cr0::kPE);  // LMSW cannot clear PE
    return write_cr0(cpu, (cpu.cr0 & ~u64{15}) | (value & 14) | pe);
}
SB_END(op_clts) {
    if (!supervisor_only(cpu)) return false;
    cpu.cr0 &= ~cr0::kTS;
    cpu.update_mode();
    return true;
}

namespace {
/// A fault, and RF is pushed set as by every fault but instruction breakpoints (SDM 3B 18.3.1.1).
bool general_detect(Vcpu& cpu) {
    cpu.other_flags |= rflags::kRF;
    return cpu.raise(Fault{Vector::kDB, false, 0, 0, dr6::kBD});
}
}  // namespace

SB_OP(op_mov_from_dr) {
    unsigned number = insn.reg;
    if (number >= 8) return cpu.raise(Vector::kUD);
    if (number == 4 || number == 5) {
        if (cpu.cr4 & cr4::kDE) return cpu.raise(Vector::kUD);
        number += 2;
    }
    if (!supervisor_only(cpu)) return false;
    if (cpu.dr[7] & dr7::kGD) return general_detect(cpu);
    cpu.gpr[insn.rm] = cpu.long64() ? cpu.dr[number] : static_cast<u32>(cpu.dr[number]);
    return true;
}
SB_END(op_mov_to_dr) {
    unsigned number = insn.reg;
    if (number >= 8) return cpu.raise(Vector::kUD);
    if (number == 4 || number == 5) {
        if (cpu.cr4 & cr4::kDE) return cpu.raise(Vector::kUD);
        number += 2;
    }
    if (!supervisor_only(cpu)) return false;
    if (cpu.dr[7] & dr7::kGD) return general_detect(cpu);
    u64 value = cpu.long64() ? cpu.gpr[insn.rm] : static_cast<u32>(cpu.gpr[insn.rm]);
    if (number >= 6 && value >> 32) return cpu.raise_gp0();
    if (number == 6) value = (value & 0xE00F) | 0xFFFF0FF0;
    if (number == 7) value = (value & ~u64{0xD800}) | 0x400;
    cpu.dr[number] = value;
    cpu.update_mode();
    return true;
}

SB_END(op_invlpg) {
    u64 gva;
    if (!supervisor_only(cpu)) return false;
    u64 offset = effective_address(cpu, insn);
    gva = cpu.long64() ? offset + (insn.seg >= kFs ? cpu.seg[insn.seg].base : 0)
                       : (offset + cpu.seg[insn.seg].base) & 0xFFFFFFFF;
    if (!cpu.long64() || is_canonical(gva, cpu.cr4)) cpu.mmu.invlpg(Gva(gva));
    return true;
}
SB_END(op_invpcid) {
    if (cpu.real_mode() || cpu.vm86()) return cpu.raise(Vector::kUD);
    if (!supervisor_only(cpu)) return false;
    u64 descriptor[2], gva, type = cpu.long64() ? cpu.gpr[insn.reg] : static_cast<u32>(cpu.gpr[insn.reg]);
    if (!operand_address(cpu, insn, 16, MemoryAccess::kRead, gva) || !load_bytes(cpu, gva, 16, descriptor))
        return false;
    bool bad = type > 3 || (type < 2 && (descriptor[0] >> 12)) ||
               (type == 0 && !is_possible_base(descriptor[1])) ||
               (type < 2 && !(cpu.cr4 & cr4::kPCIDE) && (descriptor[0] & 0xFFF));
    if (bad) return cpu.raise_gp0();
    cpu.mmu.invpcid(static_cast<unsigned>(type), static_cast<u16>(descriptor[0] & 0xFFF), Gva(descriptor[1]));
    return true;
}

SB_OP(op_rdpkru) {
    if (!(cpu.cr4 & cr4::kPKE)) return cpu.raise(Vector::kUD);
    if (static_cast<u32>(cpu.gpr[kRcx])) return cpu.raise_gp0();
    cpu.gpr[kRax] = cpu.pkru;
    cpu.gpr[kRdx] = 0;
    return true;
}
SB_END(op_wrpkru) {
    if (!(cpu.cr4 & cr4::kPKE)) return cpu.raise(Vector::kUD);
    if (static_cast<u32>(cpu.gpr[kRcx]) || static_cast<u32>(cpu.gpr[kRdx])) return cpu.raise_gp0();
    cpu.pkru = static_cast<u32>(cpu.gpr[kRax]);
    cpu.mmu.set_pkru(cpu.pkru);
    return true;
}

SB_OP(op_wbinvd) { return supervisor_only(cpu); }
SB_OP(op_clflush) {
    u8 byte;
    return load_operand<u8>(cpu, insn, byte);  // may fault like a load (SDM 2A CLFLUSH)
}
/// Whoever spins waits for another vCPU, which may be waiting for the host CPU that the spinning burns.
SB_OP(op_pause) {
    constexpr u32 kPausesBetweenYields = 64;  // about a microsecond
    if (!cpu.alone && !cpu.exact_time && ++cpu.pauses % kPausesBetweenYields == 0) yield_thread();
    return true;
}

SB_END(op_rdmsr) {
    u64 value;
    if (!supervisor_only(cpu)) return false;
    if (!read_msr(cpu, static_cast<u32>(cpu.gpr[kRcx]), value)) return cpu.raise_gp0();
    cpu.gpr[kRax] = static_cast<u32>(value);
    cpu.gpr[kRdx] = value >> 32;
    return true;
}
SB_END(op_wrmsr) {
    if (!supervisor_only(cpu)) return false;
    u64 value = (cpu.gpr[kRdx] & 0xFFFFFFFF) << 32 | (cpu.gpr[kRax] & 0xFFFFFFFF);
    if (!write_msr(cpu, static_cast<u32>(cpu.gpr[kRcx]), value)) return cpu.raise_gp0();
    return true;
}
SB_OP(op_rdpmc) {
    if (cpu.cpl != 0 && !(cpu.cr4 & cr4::kPCE) && (cpu.cr0 & cr0::kPE)) return cpu.raise_gp0();
    return cpu.raise_gp0();  // no performance counter is offered
}

namespace {
bool read_time(Vcpu& cpu) {
    if ((cpu.cr4 & cr4::kTSD) && cpu.cpl != 0) return cpu.raise_gp0();
    u64 tsc = cpu.read_tsc();
    cpu.gpr[kRax] = static_cast<u32>(tsc);
    cpu.gpr[kRdx] = tsc >> 32;
    return true;
}
}  // namespace
SB_END(op_rdtsc) { return read_time(cpu); }
SB_END(op_rdtscp) {
    if (!read_time(cpu)) return false;
    cpu.gpr[kRcx] = static_cast<u32>(cpu.msr.tsc_aux);
    return true;
}
SB_OP(op_rdpid) {
    cpu.gpr[insn.rm] = static_cast<u32>(cpu.msr.tsc_aux);
    return true;
}

SB_END(op_cpuid) {
    CpuidResult r = cpuid(cpu, static_cast<u32>(cpu.gpr[kRax]), static_cast<u32>(cpu.gpr[kRcx]));
    cpu.gpr[kRax] = r.eax;
    cpu.gpr[kRbx] = r.ebx;
    cpu.gpr[kRcx] = r.ecx;
    cpu.gpr[kRdx] = r.edx;
    return true;
}

SB_OP(op_rdrand) {
    u64 value = cpu.random.next();
    if (insn.osize == 1)
        cpu.set_reg<u16>(insn.rm, static_cast<u16>(value));
    else
        cpu.gpr[insn.rm] = insn.osize == 2 ? static_cast<u32>(value) : value;
    cpu.flags.set(rflags::kCF);
    return true;
}

}  // namespace shadowbox
