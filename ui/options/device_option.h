// SPDX-License-Identifier: MIT
// QEMU's pairs of a back end and a device: -netdev and -device virtio-net-pci, -drive if=none and -device
// virtio-blk-pci. They may come in any order; plug_devices() joins them once all are read.
#pragma once

#include <string>

#include "core/error.h"
#include "vmm/config/machine_config.h"

namespace shadowbox {

/// For settle(): gives drives and networks their devices, and -nodefaults its meaning.
Expected<void> plug_devices(MachineConfig& machine);
/// Names of devices, for -device help.
std::string device_list();

}  // namespace shadowbox
