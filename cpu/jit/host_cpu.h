// SPDX-License-Identifier: MIT
// What the host CPU offers to emitted code.
#pragma once

namespace shadowbox::jit {

struct HostCpu {
    bool bmi2;
};
inline const HostCpu kHostCpu = {__builtin_cpu_supports("bmi2") != 0};

}  // namespace shadowbox::jit
