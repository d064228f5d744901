// SPDX-License-Identifier: MIT
// PC firmware from a file: finds SeaBIOS where Debian installs it (or what -bios names) and maps it below
// 4 GiB and in the BIOS segment. fw_cfg is filled with and without it: kernels read it too.
#pragma once

#include "core/error.h"

namespace shadowbox {

class VirtualMachine;

Expected<void> load_bios(VirtualMachine& vm);
/// What firmware and kernels ask of fw_cfg, from the machine's configuration and its boot_image().
void fill_fw_cfg(VirtualMachine& vm);

}  // namespace shadowbox
