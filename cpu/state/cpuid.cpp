// SPDX-License-Identifier: MIT
// CPUID leaves, from the model's feature bits (SDM 2A CPUID). Topology: the Vcpu's; one package, one thread a
// core by default.
#include <bit>
#include <cstring>
#include <initializer_list>

#include "cpu/apic/local_apic.h"
#include "cpu/ops/system/xsave_layout.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {

using enum OpFeature;

struct Bit {
    OpFeature feature;
    unsigned position;
};
u32 bits(const CpuModel& model, std::initializer_list<Bit> list) {
    u32 word = 0;
    for (const Bit& bit : list)
        if (model.has(bit.feature)) word |= 1u << bit.position;
    return word;
}

/// 4 registers of text.
void text16(CpuidResult& r, const char* text) {
    memcpy(&r.eax, text, 4);
    memcpy(&r.ebx, text + 4, 4);
    memcpy(&r.ecx, text + 8, 4);
    memcpy(&r.edx, text + 12, 4);
}

CpuidResult leaf1(const Vcpu& cpu) {
    const CpuModel& m = cpu.model;
    CpuidResult r;
    r.eax = 0x000306C3;  // family 6
    r.ebx = 8 << 8 | (cpu.package_size() & 0xFF) << 16 | (cpu.apic->id() & 0xFF) << 24;
    r.ecx = bits(m, {{Sse3, 0},
                     {Pclmul, 1},
                     {Ssse3, 9},
                     {Fma, 12},
                     {Cx16, 13},
                     {Sse41, 19},
                     {Sse42, 20},
                     {Movbe, 22},
                     {Popcnt, 23},
                     {Aes, 25},
                     {Xsave, 26},
                     {Avx, 28},
                     {F16c, 29},
                     {Rdrand, 30}}) |
            1u << 17 /* PCID */ | 1u << 21 /* x2APIC */ | 1u << 24 /* TSC deadline */ |
            1u << 31 /* hypervisor */;
    if (cpu.cr4 & cr4::kOSXSAVE) r.ecx |= 1u << 27;
    r.edx = bits(m, {{X87, 0},
                     {Cx8, 8},
                     {Sysenter, 11},
                     {Cmov, 15},
                     {Clflush, 19},
                     {Mmx, 23},
                     {Fxsr, 24},
                     {Sse, 25},
                     {Sse2, 26}}) |
            1u << 1 /* VME */ | 1u << 2 /* DE */ | 1u << 3 /* PSE */ | 1u << 4 /* TSC */ | 1u << 5 /* MSR */ |
            1u << 6 /* PAE */ | 1u << 7 /* MCE */ | 1u << 9 /* APIC */ | 1u << 12 /* MTRR */ |
            1u << 13 /* PGE */ | 1u << 14 /* MCA */ | 1u << 16 /* PAT */ | 1u << 17 /* PSE-36 */ |
            1u << 28 /* HTT: the count in EBX is valid */;
    if (!(cpu.apic->base() & 1 << 11)) r.edx &= ~(1u << 9);
    return r;
}

/// Deterministic cache parameters: 32 KiB L1 data and code, 1 MiB L2, 8 MiB L3; all inclusive enough for a
/// guest's tables.
CpuidResult leaf4(u32 index, u32 package, u32 threads) {
    struct Cache {
        u32 type, level, ways, sets;
    };
    static constexpr Cache kCaches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}, {3, 3, 16, 8192}};
    if (index >= std::size(kCaches)) return {};
    const Cache& c = kCaches[index];
    u32 sharers = (c.level == 3 ? package : threads) - 1;
    return {c.type | c.level << 5 | 1 << 8 | sharers << 14 | (package / threads - 1) << 26,
            63 | (c.ways - 1) << 22, c.sets - 1, 0};
}

CpuidResult leaf7(const Vcpu& cpu, u32 subleaf) {
    if (subleaf != 0) return {};
    const CpuModel& m = cpu.model;
    CpuidResult r;
    r.ebx = bits(m, {{Fsgsbase, 0},
                     {Bmi1, 3},
                     {Avx2, 5},
                     {Bmi2, 8},
                     {Invpcid, 10},
                     {Rdseed, 18},
                     {Adx, 19},
                     {Smap, 20},
                     {Clflushopt, 23},
                     {Clwb, 24},
                     {Sha, 29}}) |
            1u << 1 /* TSC_ADJUST */ | 1u << 7 /* SMEP */ | 1u << 9 /* ERMS */ |
            1u << 13 /* FCS/FDS deprecated */;
    r.ecx = bits(m, {{Pku, 3}, {Rdpid, 22}}) | 1u << 2 /* UMIP */ | 1u << 16 /* LA57 */;
    if (cpu.cr4 & cr4::kPKE) r.ecx |= 1u << 4;
    r.edx = 1u << 4 /* FSRM */ | 1u << 26 /* IBRS */ | 1u << 27 /* STIBP */ |
            1u << 29 /* ARCH_CAPABILITIES */ | 1u << 31 /* SSBD */;
    return r;
}

CpuidResult extended1(const Vcpu& cpu) {
    const CpuModel& m = cpu.model;
    CpuidResult r;
    r.ecx = bits(m, {{Lm, 0}, {Lzcnt, 5}, {Prefetchw, 8}});
    r.edx = bits(m, {{Rdtscp, 27}, {Lm, 29}}) | 1u << 20 /* NX */ | 1u << 26 /* 1 GiB pages */;
    if (m.has(Syscall) && cpu.long64()) r.edx |= 1u << 11;
    return r;
}

/// XSAVE: sizes and offsets of the state components.
CpuidResult leaf_d(const Vcpu& cpu, u32 subleaf) {
    const CpuModel& m = cpu.model;
    if (!m.has(Xsave)) return {};
    u64 supported = xsave::supported_xcr0(m);
    if (subleaf == 0)
        return {static_cast<u32>(supported), xsave::standard_size(cpu.xcr0), xsave::standard_size(supported),
                static_cast<u32>(supported >> 32)};
    if (subleaf == 1) {
        u32 bits = (m.has(Xsaveopt) ? 1 : 0) | (m.has(Xsavec) ? 2 | 4 : 0) | (m.has(Xsaves) ? 8 : 0);
        return {bits, xsave::compacted_size(cpu.xcr0 | cpu.msr.xss), 0, 0};
    }
    for (const xsave::Component& c : xsave::kComponents) {
        if (c.number == subleaf && (supported >> c.number & 1))
            return {c.size, c.offset, c.aligned ? 2u : 0u, 0};
    }
    return {};
}

}  // namespace

CpuidResult cpuid(const Vcpu& cpu, u32 leaf, u32 subleaf) {
    constexpr u32 kMaxBasic = 0x16, kMaxExtended = 0x80000008;
    if (leaf >= 0x40000000 && leaf < 0x40000100) {
        CpuidResult r;
        if (leaf == 0x40000000) {
            text16(r, "____ShadowboxVMM");
            r.eax = 0x40000010;
        } else if (leaf == 0x40000010) {  // TSC and APIC bus frequency in kHz, as VMware defined it
            r.eax = static_cast<u32>(cpu.model.tsc_hz / 1000);
            r.ebx = static_cast<u32>(LocalApic::kBusHz / 1000);
        }
        return r;
    }
    if (leaf < 0x80000000 && leaf > kMaxBasic) leaf = kMaxBasic;
    if (leaf > kMaxExtended) leaf = kMaxBasic;
    CpuidResult r;
    switch (leaf) {
        case 0: {
            r.eax = kMaxBasic;
            memcpy(&r.ebx, "Genu", 4), memcpy(&r.edx, "ineI", 4), memcpy(&r.ecx, "ntel", 4);
            return r;
        }
        case 1: return leaf1(cpu);
        case 2: return {0x00000001, 0, 0, 0x00FF0000};  // leaf 4 has the caches
        case 4: return leaf4(subleaf, cpu.package_size(), cpu.threads_per_core);
        case 6: return {1u << 2 /* ARAT: the APIC timer never stops */, 0, 0, 0};
        case 7: return leaf7(cpu, subleaf);
        case 0xB: {
            u32 id = cpu.apic->id();
            auto bits_for = [](u32 count) { return static_cast<u32>(std::bit_width(count - 1)); };
            if (subleaf == 0) return {bits_for(cpu.threads_per_core), cpu.threads_per_core, 1 << 8, id};
            if (subleaf == 1) return {bits_for(cpu.package_size()), cpu.package_size(), 2 << 8 | 1, id};
            return {0, 0, subleaf & 0xFF, id};
        }
        case 0xD: return leaf_d(cpu, subleaf);
        case 0x15:
            return {1, static_cast<u32>(cpu.model.tsc_hz / LocalApic::kCrystalHz), LocalApic::kCrystalHz, 0};
        case 0x16:
            return {static_cast<u32>(cpu.model.tsc_hz / 1000000),
                    static_cast<u32>(cpu.model.tsc_hz / 1000000), 100, 0};
        case 0x80000000: return {kMaxExtended, 0, 0, 0};
        case 0x80000001: return extended1(cpu);
        case 0x80000002: text16(r, "Shadowbox softwa"); return r;
        case 0x80000003: text16(r, "re x86-64 proces"); return r;
        case 0x80000004: text16(r, "sor\0\0\0\0\0\0\0\0\0\0\0\0"); return r;
        case 0x80000006: return {0, 0, 64 | 8 << 12 | 1024u << 16, 0};
        case 0x80000007: return {0, 0, 0, 1 << 8 /* invariant TSC */};
        case 0x80000008: return {kPhysicalBits | 57 << 8, 0, 0, 0};
        default: return r;
    }
}

}  // namespace shadowbox
