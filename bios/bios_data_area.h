// SPDX-License-Identifier: MIT
// The words that a BIOS leaves below 1 MiB for whoever looks there without asking it: BIOS data area at 400H
// and the extended one at the end of low memory. For kernels that boot without firmware. IBM PS/2 BIOS
// Interface Technical Reference, "Data Areas".
#pragma once

#include <span>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

constexpr u64 kBiosDataArea = 0x400, kExtendedBiosData = 0x9FC00;

struct BiosDataMachine {
    std::span<const u16> serial_ports;  ///< at most four
    unsigned floppies = 0, hard_disks = 0;
    bool text_mode = false;  ///< mode 3 with 25 lines of 16 dots
};

/// The 256 bytes at 400H.
std::vector<u8> make_bios_data_area(const BiosDataMachine& machine);
/// What lies at kExtendedBiosData: its size in KiB.
std::vector<u8> make_extended_bios_data();

}  // namespace shadowbox
