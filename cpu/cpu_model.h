// SPDX-License-Identifier: MIT
// What CPUID offers: only what works. One model value per `-cpu` name.
#pragma once

#include <array>
#include <string_view>

#include "cpu/opcode_row.h"

namespace shadowbox {

struct CpuidResult { u32 eax = 0, ebx = 0, ecx = 0, edx = 0; };

struct CpuModel {
    std::string_view name;
    u64 features;               ///< bit n: OpFeature n
    u64 tsc_hz = 1'000'000'000; ///< also the rate of guest-time nanoseconds under icount

    bool has(OpFeature feature) const { return features >> static_cast<unsigned>(feature) & 1; }
};

/// x86-64-v2 and the extras of the design.
const CpuModel& cpu_model_v2();

class Vcpu;
CpuidResult cpuid(const Vcpu& cpu, u32 leaf, u32 subleaf);

}  // namespace shadowbox
