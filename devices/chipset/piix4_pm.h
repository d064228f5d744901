// SPDX-License-Identifier: MIT
// The PIIX4's function 3: where the ACPI power management block lies (PMBASE) and whether it is decoded. The
// block itself is AcpiPm (acpi_pm.h). The SMBus host controller is not there and reads as disabled.
// 82371AB DS 7.1.
#pragma once

#include "devices/bus/pci_bus.h"
#include "devices/chipset/acpi_pm.h"

namespace shadowbox {

class Piix4Pm final : public PciDevice {
 public:
    explicit Piix4Pm(AcpiPm& acpi);

 private:
    void config_written(u8 offset, unsigned size) override;
};

}  // namespace shadowbox
