// SPDX-License-Identifier: MIT
// The CPU models by name, and which of them this host can run.
#include "cpu/state/cpu_model.h"

#include <initializer_list>

#include "cpu/state/host_fpu.h"

namespace shadowbox {

namespace {

constexpr u64 features(std::initializer_list<OpFeature> list) {
    u64 bits = 0;
    for (OpFeature feature : list) bits |= u64{1} << static_cast<unsigned>(feature);
    return bits;
}

using enum OpFeature;
constexpr u64 kV2 = features(
    {Base,    X87,        Mmx,     Sse,      Sse2,  Sse3, Ssse3,     Sse41,    Sse42,  Popcnt, Lzcnt,
     Bmi1,    Bmi2,       Adx,     Movbe,    Cx16,  Cx8,  Aes,       Pclmul,   Sha,    Rdrand, Rdseed,
     Clflush, Clflushopt, Clwb,    Rdtscp,   Rdpid, Fxsr, Xsave,     Xsaveopt, Xsavec, Xsaves, Fsgsbase,
     Smap,    Invpcid,    Syscall, Sysenter, Pku,   Cmov, Prefetchw, Lm});
constexpr u64 kV3 = kV2 | features({Avx, Avx2, Fma, F16c});

/// AVX ops are the host's own, with no portable form behind them.
std::string missing_for_v3() {
    struct Need {
        bool there;
        const char* name;
    };
    const HostFeatures& host = kHostFeatures;
    std::string names;
    for (Need need : {Need{host.avx, "AVX"},
                      {host.avx2, "AVX2"},
                      {host.fma, "FMA"},
                      {host.f16c, "F16C"},
                      {host.aes, "AES"},
                      {host.pclmul, "PCLMULQDQ"}}) {
        if (!need.there) names += (names.empty() ? "" : ", ") + std::string(need.name);
    }
    return names;
}

}  // namespace

const CpuModel& cpu_model_v2() {
    static const CpuModel model{"v2", kV2};
    return model;
}

const CpuModel& cpu_model_v3() {
    static const CpuModel model{"v3", kV3};
    return model;
}

bool host_runs_v3() { return missing_for_v3().empty(); }

Expected<const CpuModel*> find_cpu_model(std::string_view name, bool same_everywhere) {
    if (name == "v2" || (name.empty() && same_everywhere)) return &cpu_model_v2();
    if (name == "v3") {
        if (host_runs_v3()) return &cpu_model_v3();
        return make_error(ErrorCode::kUnsupported,
                          "CPU model v3 needs a host processor with {}; v2 runs on every host",
                          missing_for_v3());
    }
    if (name == "max" || name.empty()) return host_runs_v3() ? &cpu_model_v3() : &cpu_model_v2();
    return make_error(ErrorCode::kInvalidArgument, "'{}' is not a CPU model: {}", name, kCpuModelNames);
}

}  // namespace shadowbox
