// SPDX-License-Identifier: MIT
// -drive, -hda to -hdd, -cdrom, -fda, -fdb.
#pragma once

#include "core/error.h"
#include "vmm/config/machine_config.h"

namespace shadowbox {

/// "file=disk.img,if=virtio,snapshot=on".
Expected<DriveConfig> parse_drive(const std::string& text, std::vector<std::string>* notes = nullptr);

}  // namespace shadowbox
