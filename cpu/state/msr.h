// SPDX-License-Identifier: MIT
// The architectural MSRs that guests touch. False: no such MSR, or a value that the manual forbids: #GP(0).
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

bool read_msr(Vcpu& cpu, u32 number, u64& value);
bool write_msr(Vcpu& cpu, u32 number, u64 value);

}  // namespace shadowbox
