// SPDX-License-Identifier: MIT
// The x86 MSI format (SDM 3A 11.11, figures "Layout of the MSI Message Address/Data Register").
#include "mmu/machine_bus.h"

namespace shadowbox {

ApicMessage msi_message(u64 msi_address, u32 msi_data) {
    ApicMessage message;
    message.destination = static_cast<u32>(msi_address >> 12 & 0xFF);
    // The manual lets DM count only together with the redirection hint; processors honour it without, and
    // Linux since 5.10 relies on that (logical destination, hint clear).
    message.logical = msi_address >> 2 & 1;
    message.delivery = static_cast<ApicDelivery>(msi_data >> 8 & 7);
    message.vector = static_cast<u8>(msi_data);
    message.level_triggered = msi_data >> 15 & 1;
    // The level bit has a meaning for level-triggered messages only; an edge is always an assertion.
    message.asserted = !message.level_triggered || (msi_data >> 14 & 1);
    return message;
}

}  // namespace shadowbox
