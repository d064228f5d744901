// SPDX-License-Identifier: MIT
// Debug registers (SDM 3B 17.2): instruction and data breakpoints. Costs nothing while DR7 enables none:
// pages under a data watch are kept out of the TLB, so only their accesses reach note_data_access().
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

/// Records in `pending_dr6` the data breakpoints that [gva, gva+size) hits; #DB comes after the instruction.
void note_data_access(Vcpu& cpu, u64 gva, unsigned size, bool write);

/// DR6 bits of instruction breakpoints at linear address `gva`, 0 if none.
u64 instruction_breakpoints(const Vcpu& cpu, u64 gva);

/// A data breakpoint lies on the page of `gva`, which then has to stay out of the TLB.
bool watches_page(const Vcpu& cpu, u64 gva);
/// After MOV DR7: keeps or frees the watched pages.
void breakpoints_changed(Vcpu& cpu);

}  // namespace shadowbox
