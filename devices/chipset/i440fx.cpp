// SPDX-License-Identifier: MIT
// Host bridge: configuration access and PAM.
#include "devices/chipset/i440fx.h"

#include "devices/bus/layout.h"

namespace shadowbox {

namespace {
constexpr u8 kPam0 = 0x59, kPamLast = 0x5F, kSmram = 0x72;
constexpr u32 kEnable = 0x80000000, kReadEnable = 1, kWriteEnable = 2;
constexpr u32 kAddressKept = 0x80FFFFFC;  // bits 30:24 and 1:0 are reserved
}  // namespace

I440fx::I440fx(PciBus& bus, ShadowRam& shadow, PortHandler& reset_control)
    : PciDevice("i440fx", {.vendor = 0x8086,
                           .device = 0x1237,
                           .revision = 2,
                           .class_code = 0x060000,
                           .subsystem_vendor = 0x1AF4,
                           .subsystem = 0x1100}),
      bus_(bus),
      shadow_(shadow),
      // Only dword accesses reach CONFIG_ADDRESS (PCI 3.0 3.2.2.3.2); others are ordinary port cycles, and
      // the PIIX3 answers them at CF9h.
      address_ports_(
          [this, &reset_control](u16 offset, unsigned size) {
              if (size == 4) return address_;
              if (size == 1 && offset == layout::kResetControlOffset) return reset_control.port_read(0, 1);
              return ~u32{0};
          },
          [this, &reset_control](u16 offset, unsigned size, u32 value) {
              if (size == 4)
                  address_ = value & kAddressKept;
              else if (size == 1 && offset == layout::kResetControlOffset)
                  reset_control.port_write(0, 1, value);
          },
          4),
      data_ports_(
          [this](u16 offset, unsigned size) {
              if (!(address_ & kEnable)) return ~u32{0};
              return bus_.config_read(address_ | offset, size);
          },
          [this](u16 offset, unsigned size, u32 value) {
              if (address_ & kEnable) bus_.config_write(address_ | offset, size, value);
          },
          4) {
    init_config(pci::kCommand, 2, pci::kCommandMemory | pci::kCommandMaster, pci::kCommandSerr);
    init_config(pci::kStatus, 2, 0x0280);
    for (u8 offset = kPam0; offset <= kPamLast; ++offset) init_config(offset, 1, 0, 0x33);
    init_config(kPam0, 1, 0, 0x30);
    init_config(kSmram, 1, 0x02, 0x78);
}

void I440fx::reset() {
    PciDevice::reset();
    address_ = 0;
    apply_pam();
}

void I440fx::config_written(u8 offset, unsigned size) {
    if (offset <= kPamLast && offset + size > kPam0) apply_pam();
}

/// Regions 0-11 are the nibbles of 5Ah-5Fh, low first; 12 (F0000h) is the high nibble of 59h.
void I440fx::apply_pam() {
    for (unsigned region = 0; region < ShadowRam::kRegions; ++region) {
        u8 offset = static_cast<u8>(region == 12 ? kPam0 : kPam0 + 1 + region / 2);
        bool high = region == 12 || region % 2;
        u32 nibble = config8(offset) >> (high ? 4 : 0);
        shadow_.set(region, nibble & kReadEnable, nibble & kWriteEnable);
    }
}

void I440fx::serialize(Archive& archive) {
    PciDevice::serialize(archive);
    archive(address_);
    address_ &= kAddressKept;
    if (archive.loading()) apply_pam();
}

void I440fx::inspect(Inspector& inspector) const {
    PciDevice::inspect(inspector);
    inspector.hex("CONFIG_ADDRESS", address_);
    for (u8 offset = kPam0; offset <= kPamLast; ++offset)
        inspector.hex(fmt::format("PAM{}", offset - kPam0), config8(offset));
}

}  // namespace shadowbox
