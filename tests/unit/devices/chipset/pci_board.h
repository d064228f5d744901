// SPDX-License-Identifier: MIT
// The legacy test board plus the PCI half: host bridge, PIIX, IDE with disks and a CD, and configuration
// cycles through CF8h/CFCh. No test cases here.
#pragma once

#include "devices/bus/pci_setup.h"
#include "devices/chipset/i440fx.h"
#include "devices/chipset/piix3_isa.h"
#include "devices/chipset/piix4_pm.h"
#include "devices/storage/atapi_cdrom.h"
#include "devices/storage/ide_disk.h"
#include "devices/storage/piix3_ide.h"
#include "tests/unit/devices/test_board.h"

namespace shadowbox::test {

struct PciBoard : Board {
    MemoryDisk hard_disk{2048 * 512 + 63 * 16 * 512}, compact_disc{300 * 2048};
    unsigned exclusive_runs = 0;
    ShadowRam shadow{memory.guest, [this](std::function<void()> work) {
                         ++exclusive_runs;
                         work();
                     }};
    PciBus pci{ports, mmio};
    I440fx bridge{pci, shadow, control.reset_control()};
    Piix3Isa isa{router};
    Piix3Ide ide{memory.guest, router.isa_line(14), router.isa_line(15)};
    Piix4Pm pm{acpi};
    IdeDisk* disk0 = nullptr;
    AtapiCdrom* cdrom = nullptr;

    PciBoard() {
        ports.remove(0xCF9);
        ports.remove(layout::kAcpiPm.first);
        add(layout::kPciConfigAddress, bridge.address_ports());
        add(layout::kPciConfigData, bridge.data_ports());
        pci.set_pirq_wires([this](unsigned pirq) { return isa.pirq_line(pirq); });
        pci.add(0, 0, bridge);
        pci.add(1, 0, isa);
        pci.add(1, 1, ide);
        pci.add(1, 3, pm);
        auto first = std::make_unique<IdeDisk>("ide0-0", hard_disk, "SB0001");
        auto second = std::make_unique<AtapiCdrom>("ide1-0", "SB0002", &compact_disc);
        disk0 = first.get();
        cdrom = second.get();
        ide.attach(0, std::move(first));
        ide.attach(2, std::move(second));
        for (std::size_t i = 0; i < hard_disk.content.size(); ++i)
            hard_disk.content[i] = static_cast<u8>(i / 512 * 7 + i % 251);
        for (std::size_t i = 0; i < compact_disc.content.size(); ++i)
            compact_disc.content[i] = static_cast<u8>(i / 2048 * 5 + i % 241);
        for (Device* device : std::initializer_list<Device*>{&bridge, &isa, &ide, &pm}) {
            devices.push_back(device);
            device->reset();
        }
    }
    u32 config(unsigned slot, unsigned function, unsigned offset, unsigned size = 4) {
        out32(0xCF8, 0x80000000 | slot << 11 | function << 8 | (offset & 0xFC));
        return ports.read(static_cast<u16>(0xCFC + (offset & 3)), size);
    }
    void set_config(unsigned slot, unsigned function, unsigned offset, u32 value, unsigned size = 4) {
        out32(0xCF8, 0x80000000 | slot << 11 | function << 8 | (offset & 0xFC));
        ports.write(static_cast<u16>(0xCFC + (offset & 3)), size, value);
    }
    std::vector<u8> guest(u64 where, std::size_t size) {
        std::vector<u8> bytes(size);
        memory.guest.read(Gpa(where), bytes);
        return bytes;
    }
};

}  // namespace shadowbox::test
