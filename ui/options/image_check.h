// SPDX-License-Identifier: MIT
// Looks at disk images and other files before anything is built, so that the user hears in one line what is
// wrong with them.
#pragma once

#include "core/error.h"
#include "vmm/config/machine_config.h"

namespace shadowbox {

/// "a/debian 12.img" -> "debian-12"
std::string guest_name_of(const std::string& image);
/// Whether the file holds an ISO 9660 volume. False for what cannot be read.
bool is_iso_image(const std::string& file);
/// Missing, a directory, unreadable, empty, cut off, or in a format that is not read.
Expected<void> check_image(const DriveConfig& drive);
/// Kernel, initrd, firmware.
Expected<void> check_file(const std::string& file, const char* what);
/// The same writable image twice, in one guest or in two; two drives at one position.
Expected<void> check_drives_together(const std::vector<MachineConfig>& machines);

}  // namespace shadowbox
