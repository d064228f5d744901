// SPDX-License-Identifier: MIT
// Port access rights: IOPL, and the I/O permission bitmap of the TSS (SDM 1 19.5).
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

/// True if the current privilege may access `size` ports from `port`; else #GP(0) (or a fault reading the
/// TSS) is raised.
bool io_allowed(Vcpu& cpu, u16 port, unsigned size);

}  // namespace shadowbox
