// SPDX-License-Identifier: MIT
// What a VM starts from. A kernel and its initrd are here from when they are read until they are in the
// guest's memory.
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
    /// Of files that wait for the start.
    u64 bytes() const {
        u64 sum = linux_image ? linux_image->kernel.size() + linux_image->initrd.size() : 0;
        if (elf_kernel) {
            sum += elf_kernel->kernel.size();
            for (const auto& module : elf_kernel->modules) sum += module.bytes.size();
        }
        return sum;
    }
    bool direct() const { return linux_image || elf_kernel; }
};

}  // namespace shadowbox
