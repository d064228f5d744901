// SPDX-License-Identifier: MIT
// SMBIOS 2.8 tables (types 0, 1, 3, 4, 16, 17, 19, 32, 127): what dmidecode shows. For firmware by way of
// fw_cfg, or in the F segment.
#pragma once

#include <string>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

struct SmbiosMachine {
    u64 memory_bytes = 0;
    unsigned vcpus = 1;
    u8 uuid[16] = {};  ///< as the table has it: first three fields little-endian
    std::string name;
};

struct SmbiosTables {
    std::vector<u8> entry_point;  ///< 31 bytes; the table address is filled in by firmware or link_smbios()
    std::vector<u8> structures;
};
SmbiosTables build_smbios(const SmbiosMachine& machine);
/// Sets the structures' address in the entry point and its checksums.
void link_smbios(SmbiosTables& tables, u32 structures_address);

}  // namespace shadowbox
