// SPDX-License-Identifier: MIT
#include "cpu/state/control_registers.h"

#include "cpu/blocks/block.h"
#include "cpu/state/cpu_model.h"

namespace shadowbox {

namespace {
u64 cr4_allowed(const CpuModel& model) {
    u64 bits = cr4::kVME | cr4::kPVI | cr4::kTSD | cr4::kDE | cr4::kPSE | cr4::kPAE | cr4::kMCE | cr4::kPGE |
               cr4::kPCE | cr4::kOSFXSR | cr4::kOSXMMEXCPT | cr4::kUMIP | cr4::kPCIDE | cr4::kSMEP;
    if (model.has(OpFeature::Fsgsbase)) bits |= cr4::kFSGSBASE;
    if (model.has(OpFeature::Xsave)) bits |= cr4::kOSXSAVE;
    if (model.has(OpFeature::Smap)) bits |= cr4::kSMAP;
    if (model.has(OpFeature::Pku)) bits |= cr4::kPKE;
    return bits | cr4::kLA57;
}

bool load_pdptes(Vcpu& cpu, u64 cr3) {
    Pdptes read;
    if (!read_pdptes(cpu, cr3, read)) return false;
    cpu.mmu.set_pdptes(read);
    return true;
}
}  // namespace

bool read_pdptes(Vcpu& cpu, u64 cr3, Pdptes& read) {
    switch (cpu.mmu.read_pdptes(cr3, read)) {
        case VcpuMmu::PdpteRead::kRead: return true;
        case VcpuMmu::PdpteRead::kReserved: return cpu.raise_gp0();
        case VcpuMmu::PdpteRead::kWait: return cpu.want_page(ExitReason::kWaitPage, cpu.mmu.wanted_page());
        case VcpuMmu::PdpteRead::kRefused: return cpu.want_page(ExitReason::kRefused, cpu.mmu.wanted_page());
    }
    return false;
}

bool write_cr0(Vcpu& cpu, u64 value) {
    if (value >> 32) return cpu.raise_gp0();
    if (((value & cr0::kPG) && !(value & cr0::kPE)) || ((value & cr0::kNW) && !(value & cr0::kCD)))
        return cpu.raise_gp0();
    value = (value & 0xE005003F) | cr0::kET;
    u64 changed = value ^ cpu.cr0, efer = cpu.efer;
    if (changed & cr0::kPG) {
        if (value & cr0::kPG) {
            if (efer & efer::kLME) {
                if (!(cpu.cr4 & cr4::kPAE) || cpu.seg[kCs].long_mode()) return cpu.raise_gp0();
                efer |= efer::kLMA;
            }
        } else {
            if (cpu.long64() || (cpu.cr4 & cr4::kPCIDE)) return cpu.raise_gp0();
            efer &= ~efer::kLMA;
        }
    }
    if (pae_paging(value, cpu.cr4, efer) && (changed & (cr0::kPG | cr0::kCD | cr0::kNW))) {
        if (!load_pdptes(cpu, cpu.cr3)) return false;
    }
    cpu.cr0 = value;
    cpu.efer = efer;
    cpu.mmu.set_control(cpu.cr0, cpu.cr4, cpu.efer);
    cpu.update_mode();
    return true;
}

bool write_cr3(Vcpu& cpu, u64 value) {
    bool pcide = cpu.cr4 & cr4::kPCIDE;
    bool keep = pcide && value >> 63;
    if (cpu.long_mode()) {
        u64 plain = pcide ? value & ~(u64{1} << 63) : value;
        if (plain >> kPhysicalBits) return cpu.raise_gp0();
        value = plain;
    } else {
        value = static_cast<u32>(value);
    }
    if (pae_paging(cpu.cr0, cpu.cr4, cpu.efer) && !load_pdptes(cpu, value)) return false;
    cpu.cr3 = value;
    cpu.mmu.set_cr3(value, keep);
    cpu.blocks->enter_space(value);
    return true;
}

bool write_cr4(Vcpu& cpu, u64 value) {
    if (value & ~cr4_allowed(cpu.model)) return cpu.raise_gp0();
    u64 changed = value ^ cpu.cr4;
    if (cpu.long_mode() && (changed & (cr4::kLA57) || !(value & cr4::kPAE))) return cpu.raise_gp0();
    if ((changed & value & cr4::kPCIDE) && (!cpu.long_mode() || (cpu.cr3 & 0xFFF))) return cpu.raise_gp0();
    if (pae_paging(cpu.cr0, value, cpu.efer) &&
        (changed & (cr4::kPAE | cr4::kPSE | cr4::kPGE | cr4::kSMEP))) {
        if (!load_pdptes(cpu, cpu.cr3)) return false;
    }
    cpu.cr4 = value;
    cpu.mmu.set_control(cpu.cr0, cpu.cr4, cpu.efer);
    cpu.update_mode();
    return true;
}

bool write_efer(Vcpu& cpu, u64 value) {
    if (value & ~(efer::kSCE | efer::kLME | efer::kLMA | efer::kNXE)) return cpu.raise_gp0();
    if ((cpu.cr0 & cr0::kPG) && ((value ^ cpu.efer) & efer::kLME)) return cpu.raise_gp0();
    cpu.efer = (value & ~efer::kLMA) | (cpu.efer & efer::kLMA);
    cpu.mmu.set_control(cpu.cr0, cpu.cr4, cpu.efer);
    cpu.update_mode();
    return true;
}

}  // namespace shadowbox
