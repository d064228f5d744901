// SPDX-License-Identifier: MIT
// Debug registers (SDM 3B 18.2): instruction, data and I/O breakpoints. Costs nothing while DR7 enables none:
// then this is the only place that knows. While it enables any, instructions run one by one
// (Vcpu::step_one()), and pages under a data breakpoint have no TLB entry in any context
// (VcpuMmu::watch_pages()), so that every access to them, of whatever instruction or of the processor itself,
// comes to load_slow() or store_slow() and from there to note_data_access().
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

/// Records in `pending_dr6` the data breakpoints that [gva, gva+size), on one page, hits. #DB comes behind
/// the instruction.
void note_data_access(Vcpu& cpu, u64 gva, unsigned size, bool write);
/// The same for a port that was read or written: with CR4.DE only.
void note_port_access(Vcpu& cpu, u16 port, unsigned size);

/// DR6 bits of instruction breakpoints at linear address `gva`, 0 if none.
u64 instruction_breakpoints(const Vcpu& cpu, u64 gva);

/// After any change of DR0 to DR3 or DR7: tells the MMU which pages are watched.
void breakpoints_changed(Vcpu& cpu);

}  // namespace shadowbox
