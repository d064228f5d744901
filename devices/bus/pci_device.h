// SPDX-License-Identifier: MIT
// What every PCI function has: 256 bytes of configuration space, BARs that place its handlers on the buses,
// an expansion ROM, a list of capabilities, INTx and MSI-X. Subclasses declare these in their constructor and
// implement registers only; PciBus (pci_bus.h) decodes. PCI 3.0 chapter 6.
//
// A subclass that overrides reset(), serialize() or inspect() calls PciDevice's first.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/bus/device.h"
#include "devices/bus/pci_config.h"
#include "mmu/page_types.h"

namespace shadowbox {

class ApicMessageSink;
class Msix;
class PciBus;

struct PciIdentity {
    u16 vendor = 0, device = 0;
    u8 revision = 0;
    u32 class_code = 0;  ///< class, subclass, programming interface: 0x010180 is IDE
    u16 subsystem_vendor = 0, subsystem = 0;
    u8 interrupt_pin = 0;  ///< 1 is INTA, 0 none
};

/// One range that a function decodes: a BAR, or a range at fixed or otherwise programmable addresses.
struct PciRegion {
    std::string label;
    u64 size = 0;
    /// Where the registers say it should be; nullopt: not decoded.
    std::function<std::optional<u64>()> wanted;
    // exactly one of these
    PortHandler* ports = nullptr;
    MmioHandler* mmio = nullptr;
    std::function<void(std::optional<u64>)> place_ram;  ///< moves pages of the physical map
    std::optional<u64> mapped;                          ///< PciBus: where it is
};

class PciDevice : public Device {
 public:
    PciDevice(std::string name, const PciIdentity& identity);
    ~PciDevice() override;

    std::string_view name() const override { return name_; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    /// Configuration cycles; `offset` + `size` stay inside a dword.
    u32 config_read(u8 offset, unsigned size) const;
    void config_write(u8 offset, unsigned size, u32 value);

    u16 command() const { return config16(pci::kCommand); }
    /// Devices without this right must not touch guest memory.
    bool bus_master() const { return command() & pci::kCommandMaster; }
    const std::vector<PciRegion>& regions() const { return regions_; }

 protected:
    // --- declarations, in the constructor ---
    void add_port_bar(unsigned index, u32 size, PortHandler& handler);
    /// `size`: a power of two, 16 bytes at least. 64-bit BARs occupy the next index as well.
    void add_mmio_bar(unsigned index, u64 size, MmioHandler& handler, u32 flags = 0);
    /// A BAR of guest RAM (frame buffers): `place` gets its address, nullopt when it is not decoded.
    void add_ram_bar(unsigned index, u64 size, u32 flags, std::function<void(std::optional<u64>)> place);
    /// Expansion ROM BAR; empty: none. The size is rounded up to a power of two.
    void set_expansion_rom(std::vector<u8> content);
    /// A range outside the BARs (legacy ports, PMBASE). Call regions_changed() when wanted() may differ.
    void add_region(PciRegion region) { regions_.push_back(std::move(region)); }
    /// Returns the offset of a zeroed capability of `size` bytes whose first two are filled in.
    u8 add_capability(u8 id, u8 size);
    /// MSI-X with its table and pending bits in memory BAR `bar` (a BAR of its own).
    Msix& add_msix(ApicMessageSink& sink, unsigned vectors, unsigned bar);
    /// Power-on value and which of its bits software can write.
    void init_config(u8 offset, unsigned size, u32 value, u32 writable = 0);

    // --- at run time ---
    /// Called after software wrote configuration space, BARs already moved.
    virtual void config_written(u8 offset, unsigned size) {}
    void regions_changed();
    /// The level of this function's INTx; gated by the command register.
    void set_intx(bool asserted);
    bool intx() const { return intx_wanted_; }
    u8 config8(u8 offset) const { return config_[offset]; }
    u16 config16(u8 offset) const { return static_cast<u16>(config_[offset] | config_[offset + 1] << 8); }
    u32 config32(u8 offset) const {
        return config16(offset) | u32{config16(static_cast<u8>(offset + 2))} << 16;
    }

 private:
    friend class PciBus;
    void add_bar(unsigned index, u64 size, u32 flags, PciRegion region);
    std::optional<u64> bar_address(unsigned index, u64 size) const;
    std::optional<u64> rom_address() const;
    void drive_intx();
    void connect(PciBus& bus, IrqLine intx);

    class RomHandler;
    std::string name_;
    PciBus* bus_ = nullptr;
    IrqLine intx_line_;
    std::array<u8, 256> power_on_{}, writable_{}, write_one_clears_{};
    std::vector<PciRegion> regions_;
    std::unique_ptr<RomHandler> rom_;
    std::unique_ptr<Msix> msix_;
    u8 next_capability_ = 0x40;  // devices with registers of their own from 40h on have no capabilities
    // guest-visible state
    std::array<u8, 256> config_{};
    bool intx_wanted_ = false;
};

}  // namespace shadowbox
