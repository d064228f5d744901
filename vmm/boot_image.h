// SPDX-License-Identifier: MIT
// What a VM starts from, read once before the first start and kept for resets.
#pragma once

#include <memory>

#include "bios/linux_boot.h"

namespace shadowbox {

struct BootImage {
    std::shared_ptr<const LinuxImage> linux_image;
    u64 rsdp = 0;  ///< ACPI root pointer of a boot without firmware
};

}  // namespace shadowbox
