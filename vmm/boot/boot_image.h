// SPDX-License-Identifier: MIT
// What a VM starts from, read once before the first start and kept for resets.
#pragma once

#include <memory>

#include "bios/acpi_tables.h"
#include "bios/elf_boot.h"
#include "bios/linux_boot.h"
#include "bios/smbios_tables.h"

namespace shadowbox {

struct BootImage {
    std::shared_ptr<const LinuxImage> linux_image;
    std::shared_ptr<const ElfKernel> elf_kernel;
    // A boot without firmware: tables put into memory at each reset.
    AcpiBlob acpi;
    SmbiosTables smbios;
    static constexpr u32 kRsdpAddress = 0xF0000, kSmbiosAddress = 0xF0020,
                         kAcpiAddress = 0xF2000;  // 64 CPUs need 4 KiB of SMBIOS
    bool started = false;                         ///< once: the boot order of the first start is over
    bool direct() const { return linux_image || elf_kernel; }
};

}  // namespace shadowbox
