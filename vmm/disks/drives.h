// SPDX-License-Identifier: MIT
// The drives of a machine: images opened and given a place on their interface. The board plugs them in.
#pragma once

#include <memory>
#include <vector>

#include "vmm/config/machine_config.h"
#include "vmm/disks/image_backend.h"

namespace shadowbox {

struct Drive {
    DriveConfig config;
    int index = 0;  ///< IDE: 0 primary master to 3 secondary slave; floppy: 0 A, 1 B; virtio: in order
    std::unique_ptr<ImageBackend> backend;
};

/// Opens every image. Drives without an index take the next free place; CD-ROMs prefer the secondary master,
/// as QEMU's do.
Expected<std::vector<Drive>> open_drives(const MachineConfig& config, IoExecutor& executor);

}  // namespace shadowbox
