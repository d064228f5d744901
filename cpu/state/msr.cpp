// SPDX-License-Identifier: MIT
#include "cpu/state/msr.h"

#include "core/log.h"
#include "cpu/apic/local_apic.h"
#include "cpu/state/control_registers.h"
#include "cpu/state/cpu_model.h"

namespace shadowbox {

namespace {

// SDM 4 chapter 2.
enum : u32 {
    kTsc = 0x10,
    kPlatformId = 0x17,
    kApicBase = 0x1B,
    kFeatureControl = 0x3A,
    kTscAdjust = 0x3B,
    kSpecCtrl = 0x48,
    kPredCmd = 0x49,
    kMicrocode = 0x8B,
    kMtrrCap = 0xFE,
    kArchCapabilities = 0x10A,
    kFlushCmd = 0x10B,
    kSysenterCs = 0x174,
    kSysenterEsp = 0x175,
    kSysenterEip = 0x176,
    kMcgCap = 0x179,
    kMcgStatus = 0x17A,
    kMiscEnable = 0x1A0,
    kDebugCtl = 0x1D9,
    kMtrrBase0 = 0x200,
    kMtrrFix64k = 0x250,
    kPat = 0x277,
    kMtrrDefType = 0x2FF,
    kTscDeadline = 0x6E0,
    kX2ApicFirst = 0x800,
    kX2ApicLast = 0x8FF,
    kXss = 0xDA0,
    kEfer = 0xC0000080,
    kStar,
    kLstar,
    kCstar,
    kSfmask,
    kFsBase = 0xC0000100,
    kGsBase,
    kKernelGsBase,
    kTscAux,
    kPlatformInfo = 0xCE,
    kSmiCount = 0x34,
    kMiscFeaturesEnables = 0x140,  // Linux looks for these on every processor
    kAmdDeCfg = 0xC0011029,
    kMc0Ctl = 0x400,
};
/// Fixed-range MTRRs, in the order of Msrs::mtrr_fixed.
constexpr u32 kFixedMtrrs[11] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26A, 0x26B, 0x26C, 0x26D, 0x26E, 0x26F};

/// RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO,
/// BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO: guests skip PTI, retpolines and buffer clearing (design section 4).
constexpr u64 kArchCapabilitiesValue = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 13 |
                                       1 << 14 | 1 << 15 | 1 << 20 | 1 << 24 | 1 << 26 | 1 << 27;

bool valid_pat(u64 value) {
    for (unsigned i = 0; i < 8; ++i) {
        unsigned type = value >> (8 * i) & 0xFF;
        if (type > 7 || type == 2 || type == 3) return false;
    }
    return true;
}

u64* plain_msr(Vcpu& cpu, u32 number) {
    Vcpu::Msrs& m = cpu.msr;
    switch (number) {
        case kSysenterCs: return &m.sysenter_cs;
        case kStar: return &m.star;
        case kMtrrDefType: return &m.mtrr_def_type;
        case kMiscEnable: return &m.misc_enable;
        case kMcgStatus: return &m.mcg_status;
        case kFeatureControl: return &m.feature_control;
        case kDebugCtl: return &m.debugctl;
        case kMicrocode: return &m.microcode;
        default: break;
    }
    if (number >= kMtrrBase0 && number < kMtrrBase0 + 16)
        return number & 1 ? &m.mtrr_mask[(number - kMtrrBase0) / 2] : &m.mtrr_base[(number - kMtrrBase0) / 2];
    for (unsigned i = 0; i < 11; ++i)
        if (kFixedMtrrs[i] == number) return &m.mtrr_fixed[i];
    return nullptr;
}
/// MSRs that hold a canonical linear address.
u64* address_msr(Vcpu& cpu, u32 number) {
    switch (number) {
        case kSysenterEsp: return &cpu.msr.sysenter_esp;
        case kSysenterEip: return &cpu.msr.sysenter_eip;
        case kLstar: return &cpu.msr.lstar;
        case kCstar: return &cpu.msr.cstar;
        case kFsBase: return &cpu.seg[kFs].base;
        case kGsBase: return &cpu.seg[kGs].base;
        case kKernelGsBase: return &cpu.msr.kernel_gs_base;
        default: return nullptr;
    }
}

}  // namespace

bool read_msr(Vcpu& cpu, u32 number, u64& value) {
    if (const u64* cell = plain_msr(cpu, number)) return value = *cell, true;
    if (const u64* cell = address_msr(cpu, number)) return value = *cell, true;
    if (number >= kX2ApicFirst && number <= kX2ApicLast) return cpu.apic->read_x2apic(number, value);
    switch (number) {
        case kTsc: value = cpu.read_tsc(); return true;
        case kApicBase: value = cpu.apic->base(); return true;
        case kTscAdjust: value = cpu.msr.tsc_adjust; return true;
        case kSpecCtrl: value = cpu.msr.spec_ctrl; return true;
        case kMtrrCap:
            value = 8 | 1 << 8 | 1 << 10;
            return true;  // 8 variable ranges, fixed ranges, write combining
        case kArchCapabilities: value = kArchCapabilitiesValue; return true;
        case kMcgCap: value = 0; return true;
        case kPat: value = cpu.msr.pat; return true;
        case kTscDeadline: value = cpu.apic->tsc_deadline(); return true;
        case kEfer: value = cpu.efer; return true;
        case kSfmask: value = cpu.msr.sfmask; return true;
        case kTscAux: value = cpu.msr.tsc_aux; return true;
        case kXss: value = cpu.msr.xss; return cpu.model.has(OpFeature::Xsaves);
        case kPlatformId:
        case kSmiCount: value = 0; return true;
        default:
            if (number == kMiscFeaturesEnables || number == kAmdDeCfg)
                return guest_habit("unknown-msr-read"), false;
            guest_oddity("unknown-msr-read", fmt::format("RDMSR of unknown MSR {:#x}", number));
            return false;
    }
}

bool write_msr(Vcpu& cpu, u32 number, u64 value) {
    if (number == kMicrocode) return true;
    if (u64* cell = plain_msr(cpu, number)) return *cell = value, true;
    if (u64* cell = address_msr(cpu, number)) {
        if (!is_canonical(value, cpu.cr4)) return false;
        *cell = value;
        return true;
    }
    if (number >= kX2ApicFirst && number <= kX2ApicLast) {
        bool done = cpu.apic->write_x2apic(number, value);
        cpu.recheck_interrupts();
        return done;
    }
    switch (number) {
        case kTsc:
            // The offset moves; IA32_TSC_ADJUST moves along (SDM 3B 17.17.3).
            cpu.msr.tsc_adjust += value - cpu.read_tsc();
            cpu.tsc_offset += static_cast<i64>(value - cpu.read_tsc());
            return true;
        case kTscAdjust:
            cpu.tsc_offset += static_cast<i64>(value - cpu.msr.tsc_adjust);
            cpu.msr.tsc_adjust = value;
            return true;
        case kApicBase: return cpu.apic->set_base(value);
        case kSpecCtrl: cpu.msr.spec_ctrl = value & 7; return !(value & ~u64{7});
        case kPredCmd:
        case kFlushCmd: return !(value & ~u64{1});
        case kPat:
            if (!valid_pat(value)) return false;
            cpu.msr.pat = value;
            return true;
        case kTscDeadline: cpu.apic->set_tsc_deadline(value); return true;
        case kEfer:
            if (!write_efer(cpu, value)) {
                cpu.exit = ExitReason::kNone;
                return false;
            }
            return true;
        case kSfmask: cpu.msr.sfmask = static_cast<u32>(value); return true;
        case kTscAux: cpu.msr.tsc_aux = static_cast<u32>(value); return true;
        case kXss: cpu.msr.xss = 0; return value == 0 && cpu.model.has(OpFeature::Xsaves);
        case kPlatformId:
        case kSmiCount:
        case kMcgCap: return false;
        default:
            guest_oddity("unknown-msr-write", fmt::format("WRMSR of unknown MSR {:#x}", number));
            return false;
    }
}

}  // namespace shadowbox
