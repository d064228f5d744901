// SPDX-License-Identifier: MIT
// What the host CPU offers to emitted code.
#pragma once

namespace shadowbox::jit {

struct HostCpu {
    bool bmi2, avx;
};
inline const HostCpu kHostCpu = {__builtin_cpu_supports("bmi2") != 0, __builtin_cpu_supports("avx") != 0};

}  // namespace shadowbox::jit
