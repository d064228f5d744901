// SPDX-License-Identifier: MIT
#include "bios/bios_data_area.h"

#include <algorithm>

namespace shadowbox {

std::vector<u8> make_bios_data_area(const BiosDataMachine& machine) {
    std::vector<u8> area(0x100);
    auto put16 = [&](unsigned where, u64 value) {
        area[where - kBiosDataArea] = static_cast<u8>(value);
        area[where - kBiosDataArea + 1] = static_cast<u8>(value >> 8);
    };
    auto put8 = [&](unsigned where, unsigned value) { area[where - kBiosDataArea] = static_cast<u8>(value); };
    std::size_t ports = std::min<std::size_t>(machine.serial_ports.size(), 4);
    for (unsigned i = 0; i < ports; ++i) put16(0x400 + i * 2, machine.serial_ports[i]);
    put16(0x40E, kExtendedBiosData >> 4);
    unsigned equipment = 0x06 | static_cast<unsigned>(ports) << 9;  // coprocessor, pointing device, color
    if (machine.floppies) equipment |= 0x01 | (machine.floppies - 1) << 6;
    put16(0x410, equipment);
    put16(0x413, kExtendedBiosData >> 10);
    // An empty keyboard buffer, between its bounds.
    put16(0x41A, 0x1E), put16(0x41C, 0x1E);
    put16(0x480, 0x1E), put16(0x482, 0x3E);
    put8(0x475, machine.hard_disks);
    put8(0x496, 0x10);  // a keyboard of 101 keys
    if (machine.text_mode) {
        put8(0x449, 3);
        put16(0x44A, 80);
        put16(0x44C, 0x1000);
        put16(0x460, 0x0D0E);  // cursor
        put16(0x463, 0x3D4);
        put8(0x465, 0x29);
        put8(0x484, 24);
        put16(0x485, 16);
        put8(0x487, 0x60), put8(0x488, 0xF9), put8(0x489, 0x51), put8(0x48A, 0x08);  // a color VGA
    }
    return area;
}

std::vector<u8> make_extended_bios_data() { return {(0xA0000 - kExtendedBiosData) >> 10}; }

}  // namespace shadowbox
