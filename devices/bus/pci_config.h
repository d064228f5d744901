// SPDX-License-Identifier: MIT
// Offsets and bits of the PCI configuration space header. PCI Local Bus Specification 3.0, 6.1, 6.2 and 6.8.
#pragma once

#include "core/integers.h"

namespace shadowbox::pci {

constexpr u8 kVendorId = 0x00, kDeviceId = 0x02, kCommand = 0x04, kStatus = 0x06, kRevision = 0x08,
             kClass = 0x09, kCacheLineSize = 0x0C, kLatencyTimer = 0x0D, kHeaderType = 0x0E, kBar0 = 0x10,
             kSubsystemVendor = 0x2C, kSubsystem = 0x2E, kRomBar = 0x30, kCapabilities = 0x34,
             kInterruptLine = 0x3C, kInterruptPin = 0x3D;

constexpr u16 kCommandIo = 1 << 0, kCommandMemory = 1 << 1, kCommandMaster = 1 << 2, kCommandParity = 1 << 6,
              kCommandSerr = 1 << 8, kCommandIntxDisable = 1 << 10;
constexpr u16 kStatusInterrupt = 1 << 3, kStatusCapabilities = 1 << 4, kStatusErrors = 0xF900;

constexpr u8 kHeaderMultifunction = 0x80;
constexpr u32 kBarIo = 1, kBar64 = 4, kBarPrefetchable = 8;
constexpr u32 kRomEnable = 1;

constexpr u8 kCapVendor = 0x09, kCapMsix = 0x11;

}  // namespace shadowbox::pci
