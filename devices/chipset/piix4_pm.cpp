// SPDX-License-Identifier: MIT
// PMBASE decoding.
#include "devices/chipset/piix4_pm.h"

namespace shadowbox {

namespace {
constexpr u8 kPmBase = 0x40, kDevActB = 0x58, kPmRegMisc = 0x80, kSmbusConfig = 0xD2;
constexpr u32 kApmcEnable = 1u << 25;
constexpr u32 kPmBaseBits = 0xFFC0;
}  // namespace

Piix4Pm::Piix4Pm(AcpiPm& acpi)
    : PciDevice("piix4-pm", {.vendor = 0x8086,
                             .device = 0x7113,
                             .revision = 3,
                             .class_code = 0x068000,
                             .subsystem_vendor = 0x1AF4,
                             .subsystem = 0x1100,
                             .interrupt_pin = 1}) {
    init_config(pci::kStatus, 2, 0x0280);
    for (unsigned offset = 0x40; offset < 0x100; ++offset) init_config(static_cast<u8>(offset), 1, 0, 0xFF);
    init_config(kPmBase, 4, 1, kPmBaseBits);
    // Firmware takes APMC_EN at power-on for "SMM is set up already" and leaves SMM alone: there is none.
    init_config(kDevActB, 4, kApmcEnable, ~u32{0});
    init_config(kPmRegMisc, 1, 0, 0x01);
    init_config(kSmbusConfig, 1, 0, 0);
    PciRegion pm;
    pm.label = "acpi-pm";
    pm.size = 64;
    pm.ports = &acpi.pm_ports();
    // Not gated by the command register's I/O bit: PMIOSE alone enables the block (82371AB DS 7.1.20).
    pm.wanted = [this]() -> std::optional<u64> {
        u32 base = config32(kPmBase) & kPmBaseBits;
        if (!(config8(kPmRegMisc) & 1) || base == 0) return std::nullopt;
        return base;
    };
    add_region(std::move(pm));
}

void Piix4Pm::config_written(u8 offset, unsigned size) { regions_changed(); }

}  // namespace shadowbox
