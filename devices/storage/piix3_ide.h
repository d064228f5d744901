// SPDX-License-Identifier: MIT
// The PIIX3's IDE function: two channels at their ISA addresses and interrupts, and the bus-master registers
// behind BAR 4. 82371SB DS 2.3 and 2.4.
#pragma once

#include "devices/bus/pci_device.h"
#include "devices/storage/ide_channel.h"

namespace shadowbox {

class Piix3Ide final : public PciDevice {
 public:
    Piix3Ide(GuestMemory& memory, IrqLine irq14, IrqLine irq15);

    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    void set_page_waits(PageWaits& waits) {
        for (auto& channel : channels_) channel->master().set_page_waits(waits);
    }

    IdeChannel& channel(unsigned index) { return *channels_[index & 1]; }
    /// Drives 0 to 3: primary master, primary slave, secondary master, secondary slave.
    void attach(unsigned index, std::unique_ptr<IdeDrive> drive) {
        channel(index / 2).attach(index % 2, std::move(drive));
    }
    IdeDrive* drive(unsigned index) { return channel(index / 2).drive(index % 2); }

 private:
    void add_legacy_ports(unsigned channel);

    PortFunctions master_ports_;
    std::array<std::unique_ptr<IdeChannel>, 2> channels_;
};

}  // namespace shadowbox
