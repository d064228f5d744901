// SPDX-License-Identifier: MIT
// The PIIX3's function 0, the PCI-to-ISA bridge: routes PIRQ A-D to ISA interrupts. In APIC mode the routed
// interrupt arrives at the IOAPIC pin of the same number, as on QEMU's board. The bridge's other registers
// can be programmed and do nothing. 82371SB DS 2.2.
#pragma once

#include <array>

#include "devices/bus/pci_bus.h"
#include "devices/interrupts/irq_router.h"

namespace shadowbox {

class Piix3Isa final : public PciDevice {
 public:
    explicit Piix3Isa(IrqRouter& router);

    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    /// A new wire into PIRQ A-D (0-3); wires are ORed.
    IrqLine pirq_line(unsigned pirq);

 private:
    void config_written(u8 offset, unsigned size) override;
    unsigned routed_irq(unsigned pirq) const;
    void drive();

    std::array<IrqLine, 16> isa_;
    std::array<u32, 4> asserted_{};  // wires asserted, per PIRQ
};

}  // namespace shadowbox
