// SPDX-License-Identifier: MIT
// PC firmware from a file: finds SeaBIOS where Debian installs it (or what -bios names), maps it below 4 GiB
// and in the BIOS segment, and fills fw_cfg with what it asks for.
#pragma once

#include "core/error.h"

namespace shadowbox {

class VirtualMachine;

Expected<void> load_bios(VirtualMachine& vm);

}  // namespace shadowbox
