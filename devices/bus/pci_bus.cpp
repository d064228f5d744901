// SPDX-License-Identifier: MIT
// Configuration cycles and the maps of decoded ranges.
#include "devices/bus/pci_bus.h"

#include "core/check.h"
#include "core/log.h"

namespace shadowbox {

void PciBus::add(unsigned slot, unsigned function, PciDevice& device) {
    VM_CHECK(slot < kSlots && function < kFunctions && !at(slot, function));
    devices_[slot * kFunctions + function] = &device;
    present_.push_back(&device);
    u8 pin = device.config8(pci::kInterruptPin);
    device.connect(*this, pin ? wires_(pirq_of(slot, pin)) : IrqLine());
}

unsigned PciBus::free_slot(unsigned first) const {
    for (unsigned slot = first; slot < kSlots; ++slot)
        if (!at(slot, 0)) return slot;
    VM_CHECK(false && "no free PCI slot");
    return 0;
}

PciDevice* PciBus::at(unsigned slot, unsigned function) const {
    return devices_[slot * kFunctions + function];
}

PciDevice* PciBus::addressed(u32 address) const {
    if (address >> 16 & 0xFF) return nullptr;  // no bridges: bus 0 is all there is
    return devices_[address >> 8 & 0xFF];
}

u32 PciBus::config_read(u32 address, unsigned size) const {
    const PciDevice* device = addressed(address);
    return device ? device->config_read(static_cast<u8>(address), size) : ~u32{0};
}

void PciBus::config_write(u32 address, unsigned size, u32 value) {
    if (PciDevice* device = addressed(address)) device->config_write(static_cast<u8>(address), size, value);
}

void PciBus::unmap(PciRegion& region) {
    if (region.ports) ports_.remove(static_cast<u16>(*region.mapped));
    if (region.mmio) mmio_.remove(Gpa(*region.mapped));
    if (region.place_ram) region.place_ram(std::nullopt);
    region.mapped.reset();
}

void PciBus::map(PciRegion& region, u64 address) {
    bool mapped = true;
    if (region.ports)
        mapped =
            ports_.add(static_cast<u16>(address), static_cast<u32>(region.size), *region.ports, region.label);
    if (region.mmio) mapped = mmio_.add(Gpa(address), region.size, *region.mmio, region.label);
    if (region.place_ram) region.place_ram(address);
    if (mapped)
        region.mapped = address;
    else
        guest_oddity("pci-overlap",
                     fmt::format("{} placed at 0x{:x}, over something else", region.label, address));
}

void PciBus::remap() {
    for (PciDevice* device : present_)
        for (PciRegion& region : device->regions_)
            if (region.mapped && region.wanted() != region.mapped) unmap(region);
    for (PciDevice* device : present_)
        for (PciRegion& region : device->regions_)
            if (std::optional<u64> address; !region.mapped && (address = region.wanted()))
                map(region, *address);
}

}  // namespace shadowbox
