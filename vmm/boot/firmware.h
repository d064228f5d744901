// SPDX-License-Identifier: MIT
// How a VM boots: firmware from a file, or a kernel loaded straight into memory (bios/ knows the formats).
#pragma once

#include "core/error.h"

namespace shadowbox {

class VirtualMachine;

/// Once, before the first start: reads firmware, kernel and initrd; fills fw_cfg and CMOS.
Expected<void> prepare_firmware(VirtualMachine& vm);
/// At power-on and each reset, device lock held: puts code into memory and sets the boot processor's
/// registers.
void start_firmware(VirtualMachine& vm);

}  // namespace shadowbox
