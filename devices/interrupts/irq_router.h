// SPDX-License-Identifier: MIT
// The wires between devices and the two interrupt controllers of a PC. Every device asks for a line of its
// own; lines that share an input are ORed, as level interrupts on a bus are. ISA IRQ 0 reaches the IOAPIC at
// pin 2. The routing of PCI INTA-D through PIIX3's PIRQ registers lies in the PCI code, on top of this.
#pragma once

#include <array>

#include "devices/bus/device.h"
#include "devices/interrupts/ioapic.h"
#include "devices/interrupts/pic8259.h"

namespace shadowbox {

class IrqRouter final : public Device {
 public:
    IrqRouter(Pic8259Pair& pic, IoApic& ioapic) : pic_(pic), ioapic_(ioapic) {}

    std::string_view name() const override { return "irq-router"; }
    void reset() override {}  // every device lowers its own line
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    /// A new line for ISA interrupt 0-15: to the PIC, and to the IOAPIC pin of the same number (0: pin 2).
    IrqLine isa_line(unsigned irq);
    /// A new line for global system interrupt 0-23: to that IOAPIC pin, below 16 to the PIC as well
    /// (2 is the PIT's, PIC input 0).
    IrqLine gsi_line(unsigned gsi);

 private:
    struct Input {
        u32 sources = 0;             // lines that are asserted now
        bool change(bool asserted);  // true if the OR of all sources changed
    };
    void set_pic(unsigned irq, bool asserted);
    void set_ioapic(unsigned pin, bool asserted);

    Pic8259Pair& pic_;
    IoApic& ioapic_;
    std::array<Input, 16> pic_inputs_{};
    std::array<Input, layout::kIoApicPins> ioapic_inputs_{};
};

}  // namespace shadowbox
