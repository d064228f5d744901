// SPDX-License-Identifier: MIT
// What CPUID offers: only what works. One model value per `-cpu` name.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "core/error.h"
#include "cpu/decode/opcode_row.h"

namespace shadowbox {

struct CpuidResult {
    u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

struct CpuModel {
    std::string_view name;
    u64 features;                ///< bit n: OpFeature n
    u64 tsc_hz = 1'000'000'000;  ///< also the rate of guest-time nanoseconds under icount

    bool has(OpFeature feature) const { return features >> static_cast<unsigned>(feature) & 1; }
};

/// x86-64-v2 and the extras of the design.
const CpuModel& cpu_model_v2();
/// The same with AVX, AVX2, FMA and F16C: x86-64-v3. Only for a host that has them.
const CpuModel& cpu_model_v3();
bool host_runs_v3();

constexpr std::string_view kCpuModelNames = "v2, v3, qemu64, max or host (the best this host can do)";
/// The model for a `-cpu` name. An empty name is the default: the best this host can do, or with
/// `same_everywhere` (-icount), what every host can do. An error says what the host lacks.
/// "NAME,+f,-f,f=on" changes features. `not_done`: those that cannot be changed here are told, not refused.
Expected<const CpuModel*> find_cpu_model(std::string_view name, bool same_everywhere,
                                         std::string* not_done = nullptr);
/// The names of features that a model may gain or lose, for -cpu help.
std::string cpu_feature_names();

class Vcpu;
CpuidResult cpuid(const Vcpu& cpu, u32 leaf, u32 subleaf);

}  // namespace shadowbox
