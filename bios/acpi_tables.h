// SPDX-License-Identifier: MIT
// The ACPI tables of our PC: RSDP, RSDT, FADT, FACS, MADT, HPET, DSDT (ACPI 6.4 chapter 5). Two ways to the
// guest: placed in memory for a kernel that boots without firmware, or handed to firmware through fw_cfg with
// a linker script (QEMU's table-loader).
#pragma once

#include <string>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

struct AcpiMachine {
    unsigned vcpus = 1;
    std::vector<u8> pci_irqs = {10, 10, 11, 11};  ///< GSI of PIRQ A to D, as firmware programs PIIX3
};

/// Tables in one blob with every pointer and checksum still open.
struct AcpiBlob {
    struct Pointer {
        u32 at;
        u8 size;
        u32 target;
    };  ///< offsets in the blob
    struct Checksum {
        u32 at, first, size;
    };
    std::vector<u8> bytes;
    std::vector<Pointer> pointers;
    std::vector<Checksum> checksums;
    u32 rsdt = 0;
};
AcpiBlob build_acpi(const AcpiMachine& machine);

/// The blob as it lies at guest-physical `base`: pointers and checksums filled in.
std::vector<u8> link_acpi(const AcpiBlob& blob, u32 base);
/// A revision 0 RSDP that points to the RSDT.
std::vector<u8> make_rsdp(u32 rsdt_address);
/// QEMU's "etc/table-loader" script for the files "etc/acpi/tables" (the blob) and "etc/acpi/rsdp".
std::vector<u8> acpi_loader_script(const AcpiBlob& blob);

}  // namespace shadowbox
