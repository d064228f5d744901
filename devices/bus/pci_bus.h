// SPDX-License-Identifier: MIT
// PCI bus 0: 32 slots of 8 functions. Finds the function of a configuration cycle and keeps the port and MMIO
// maps as the functions' registers want them. The host bridge (i440fx.h) is its door; PIIX3 (piix3_isa.h)
// gives it the interrupt wires. Guarded by the VM's device lock.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "devices/bus/io_bus.h"
#include "devices/bus/pci_device.h"

namespace shadowbox {

class PciBus {
 public:
    static constexpr unsigned kSlots = 32, kFunctions = 8;
    /// A new wire into PIRQ A-D (0-3).
    using PirqWires = std::function<IrqLine(unsigned pirq)>;
    PciBus(PortBus& ports, MmioBus& mmio) : ports_(ports), mmio_(mmio) {}
    PciBus(const PciBus&) = delete;
    PciBus& operator=(const PciBus&) = delete;

    /// Before any device with an interrupt pin is added.
    void set_pirq_wires(PirqWires wires) { wires_ = std::move(wires); }
    /// The device must live as long as the bus. Aborts if the place is taken: the board decides, not users.
    void add(unsigned slot, unsigned function, PciDevice& device);
    /// The lowest free slot from `first` on; aborts when the bus is full.
    unsigned free_slot(unsigned first) const;
    PciDevice* at(unsigned slot, unsigned function) const;
    /// Slot n's INTA reaches PIRQ (n - 1) mod 4, its other pins follow: the wiring of QEMU's board, which
    /// the DSDT's _PRT describes.
    static unsigned pirq_of(unsigned slot, unsigned pin) { return (slot + pin - 2) & 3; }

    /// `address` as in CONFIG_ADDRESS, bits 1:0 valid. Ones for what is not there.
    u32 config_read(u32 address, unsigned size) const;
    void config_write(u32 address, unsigned size, u32 value);
    /// Something's registers changed: first takes away what moved, then maps what is wanted and free.
    void remap();

 private:
    PciDevice* addressed(u32 address) const;
    void unmap(PciRegion& region);
    void map(PciRegion& region, u64 address);

    PortBus& ports_;
    MmioBus& mmio_;
    PirqWires wires_;
    std::array<PciDevice*, kSlots * kFunctions> devices_{};
    std::vector<PciDevice*> present_;
};

}  // namespace shadowbox
