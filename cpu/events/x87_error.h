// SPDX-License-Identifier: MIT
// A pending x87 exception at a waiting instruction: #MF, or the PC's way by FERR# and IRQ 13. SDM 1 8.7.
#pragma once

namespace shadowbox {

class Vcpu;

/// FSW.ES is set as a waiting x87 or MMX instruction begins. True: IGNNE# lets it go on. False: #MF (CR0.NE =
/// 1), or FERR# is asserted and the vCPU stands before the instruction, as if halted, until an interrupt or
/// IGNNE# comes.
bool pass_x87_error(Vcpu& cpu);

}  // namespace shadowbox
