// SPDX-License-Identifier: MIT
// Assigns PCI resources in order of slot and BAR.
#include "devices/bus/pci_setup.h"

#include "devices/bus/layout.h"

namespace shadowbox {

using namespace pci;

namespace {

constexpr u32 kFirstPort = 0xC000;
constexpr u64 kFirstMemory = 0xE0000000;
constexpr u64 kMemoryEnd = layout::kPciHole.first + layout::kPciHole.size;

struct Assigner {
    PciBus& bus;
    u32 port = kFirstPort;
    u64 memory = kFirstMemory;

    static u32 at(unsigned slot, unsigned function, u8 offset) { return slot << 11 | function << 8 | offset; }
    /// Sizes one BAR, gives it an address; true if it was a 64-bit one.
    bool assign(unsigned slot, unsigned function, u8 offset) {
        u32 address = at(slot, function, offset);
        u32 flags = bus.config_read(address, 4);
        bus.config_write(address, 4, ~u32{0});
        u32 mask = bus.config_read(address, 4) & ~u32{flags & kBarIo ? 3u : 15u};
        bool wide = !(flags & kBarIo) && (flags & kBar64);
        if (mask == 0) return false;
        u64 size = u64{~mask} + 1;
        if (flags & kBarIo) {
            size &= 0xFFFF;
            port = static_cast<u32>((port + size - 1) & ~(size - 1));
            bus.config_write(address, 4, port);
            port += static_cast<u32>(size);
            return false;
        }
        memory = (memory + size - 1) & ~(size - 1);
        u64 where = memory + size <= kMemoryEnd ? memory : 0;  // 0: no room, stays off
        bus.config_write(address, 4, static_cast<u32>(where));
        if (wide) bus.config_write(address + 4, 4, 0);
        memory += where ? size : 0;
        return wide;
    }
};

void set_up_function(Assigner& assigner, unsigned slot, unsigned function) {
    PciBus& bus = assigner.bus;
    auto config = [&](u8 offset) { return Assigner::at(slot, function, offset); };
    for (unsigned bar = 0; bar < 6; ++bar)
        if (assigner.assign(slot, function, static_cast<u8>(kBar0 + bar * 4))) ++bar;
    bus.config_write(config(kRomBar), 4, 0);
    if (u32 pin = bus.config_read(config(kInterruptPin), 1))
        bus.config_write(config(kInterruptLine), 1, kPirqIrqs[PciBus::pirq_of(slot, pin)]);
    u32 id = bus.config_read(config(kVendorId), 4);
    if (id == 0x70008086)
        for (u8 pirq = 0; pirq < 4; ++pirq)
            bus.config_write(config(static_cast<u8>(0x60 + pirq)), 1, kPirqIrqs[pirq]);
    if (id == 0x70108086) bus.config_write(config(0x40), 4, 0x80008000);  // IDETIM: decode both channels
    if (id == 0x71138086) {
        bus.config_write(config(kInterruptLine), 1, layout::kIrqSci);
        bus.config_write(config(0x40), 4, layout::kAcpiPm.first | 1);  // PMBASE
        bus.config_write(config(0x80), 1, 1);                          // PMIOSE
    }
    u32 command = bus.config_read(config(kCommand), 2);
    bus.config_write(config(kCommand), 2, command | kCommandIo | kCommandMemory | kCommandMaster);
}

}  // namespace

void set_up_pci(PciBus& bus) {
    Assigner assigner{bus};
    for (unsigned slot = 0; slot < PciBus::kSlots; ++slot)
        for (unsigned function = 0; function < PciBus::kFunctions; ++function)
            if (bus.at(slot, function)) set_up_function(assigner, slot, function);
}

}  // namespace shadowbox
