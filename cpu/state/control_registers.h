// SPDX-License-Identifier: MIT
// Writes to CR0, CR3, CR4 and EFER with the checks and side effects of SDM 3A 2.5 and 9.8.5. False: #GP(0)
// raised, nothing changed.
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

bool write_cr0(Vcpu& cpu, u64 value);
bool write_cr3(Vcpu& cpu, u64 value);
bool write_cr4(Vcpu& cpu, u64 value);
bool write_efer(Vcpu& cpu, u64 value);

}  // namespace shadowbox
