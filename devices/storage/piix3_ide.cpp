// SPDX-License-Identifier: MIT
// PIIX3 IDE: decoding of its ports.
#include "devices/storage/piix3_ide.h"

#include "devices/bus/layout.h"

namespace shadowbox {

namespace {
constexpr u8 kTiming = 0x40;  // IDETIM, one word a channel; stored only
}

Piix3Ide::Piix3Ide(GuestMemory& memory, IrqLine irq14, IrqLine irq15)
    : PciDevice("piix3-ide", {.vendor = 0x8086,
                              .device = 0x7010,
                              .class_code = 0x010180,
                              .subsystem_vendor = 0x1AF4,
                              .subsystem = 0x1100}),
      master_ports_(
          [this](u16 offset, unsigned size) {
              u32 value = 0;
              for (unsigned i = 0; i < size; ++i) {
                  u16 at = static_cast<u16>(offset + i);
                  value |= channel(at / 8).master().read(at % 8) << (i * 8);
              }
              return value;
          },
          [this](u16 offset, unsigned size, u32 value) {
              channel(offset / 8).master().write(offset % 8, std::min(size, 8u - offset % 8u), value);
          },
          4) {
    auto may_master = [this] { return bus_master(); };
    channels_[0] = std::make_unique<IdeChannel>(memory, std::move(irq14), may_master);
    channels_[1] = std::make_unique<IdeChannel>(memory, std::move(irq15), may_master);
    init_config(pci::kStatus, 2, 0x0280);
    init_config(kTiming, 4, 0, ~u32{0});
    init_config(kTiming + 4, 1, 0, 0xFF);  // SIDETIM
    add_port_bar(4, 16, master_ports_);
    add_legacy_ports(0);
    add_legacy_ports(1);
}

void Piix3Ide::add_legacy_ports(unsigned index) {
    auto region = [&](const char* label, layout::PortRange range, PortHandler& handler) {
        PciRegion result;
        result.label = label;
        result.size = range.count;
        result.ports = &handler;
        result.wanted = [this, first = range.first]() -> std::optional<u64> {
            // QEMU's board answers whatever IDETIM's decode enable says, and small guests that never
            // write it are made for that board.
            if (!(command() & pci::kCommandIo)) return std::nullopt;
            return first;
        };
        add_region(std::move(result));
    };
    region(index ? "ide1" : "ide0", index ? layout::kIdeSecondary : layout::kIdePrimary,
           channel(index).command_ports());
    region(index ? "ide1 control" : "ide0 control",
           index ? layout::kIdeSecondaryControl : layout::kIdePrimaryControl, channel(index).control_port());
}

void Piix3Ide::reset() {
    PciDevice::reset();
    for (auto& channel : channels_) channel->reset();
}

void Piix3Ide::serialize(Archive& archive) {
    PciDevice::serialize(archive);
    for (auto& channel : channels_) channel->serialize(archive);
}

void Piix3Ide::inspect(Inspector& inspector) const {
    PciDevice::inspect(inspector);
    for (unsigned i = 0; i < 2; ++i) {
        Inspector group = inspector.group(i ? "secondary" : "primary");
        channels_[i]->inspect(group);
    }
}

}  // namespace shadowbox
