// SPDX-License-Identifier: MIT
#include "cpu/events/x87_error.h"

#include "cpu/state/vcpu.h"

namespace shadowbox {

bool pass_x87_error(Vcpu& cpu) {
    if (cpu.cr0 & cr0::kNE) return cpu.raise(Vector::kMF);
    if (cpu.ignne()) return true;
    // FERR# reaches a device: at an exact count, with no host pointer held.
    if (!cpu.single) {
        cpu.exit = ExitReason::kSingleInsn;
        return false;
    }
    if (!cpu.ferr) cpu.set_ferr(true);
    cpu.exit = ExitReason::kHalt;
    cpu.x87_frozen = true;
    return false;
}

}  // namespace shadowbox
