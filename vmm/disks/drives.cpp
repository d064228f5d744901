// SPDX-License-Identifier: MIT
#include "vmm/disks/drives.h"

#include <algorithm>

namespace shadowbox {

namespace {

const char* interface_name(DriveInterface interface) {
    switch (interface) {
        case DriveInterface::kIde: return "ide";
        case DriveInterface::kVirtio: return "virtio";
        default: return "floppy";
    }
}
int places(DriveInterface interface) {
    return interface == DriveInterface::kIde ? 4 : interface == DriveInterface::kFloppy ? 2 : 16;
}

bool taken(const std::vector<Drive>& drives, DriveInterface interface, int index) {
    return std::any_of(drives.begin(), drives.end(),
                       [&](const Drive& d) { return d.config.interface == interface && d.index == index; });
}

Expected<int> place(const std::vector<Drive>& drives, const DriveConfig& config) {
    int count = places(config.interface);
    if (config.index >= 0) {
        if (config.index >= count)
            return make_error(ErrorCode::kInvalidArgument, "there is no place {} on {}: it has 0 to {}",
                              config.index, interface_name(config.interface), count - 1);
        if (taken(drives, config.interface, config.index)) {
            return make_error(ErrorCode::kInvalidArgument,
                              "two drives want place {} on {}; give '{}' another index", config.index,
                              interface_name(config.interface), config.file);
        }
        return config.index;
    }
    if (config.cdrom && config.interface == DriveInterface::kIde && !taken(drives, config.interface, 2))
        return 2;
    for (int i = 0; i < count; ++i)
        if (!taken(drives, config.interface, i)) return i;
    return make_error(ErrorCode::kInvalidArgument, "no place left on {} for '{}'",
                      interface_name(config.interface), config.file);
}

}  // namespace

Expected<std::vector<Drive>> open_drives(const MachineConfig& config, IoExecutor& executor) {
    std::vector<Drive> drives;
    // Those with a place of their own come first, so that the others fill the gaps.
    std::vector<DriveConfig> order = config.drives;
    std::stable_partition(order.begin(), order.end(), [](const DriveConfig& d) { return d.index >= 0; });
    for (const DriveConfig& wanted : order) {
        auto index = place(drives, wanted);
        if (!index) return tl::unexpected(index.error());
        bool read_only = wanted.read_only || wanted.cdrom;
        auto image = ImageFile::open(wanted.file, read_only         ? ImageMode::kReadOnly
                                                  : wanted.snapshot ? ImageMode::kSnapshot
                                                                    : ImageMode::kWritable);
        if (!image) return tl::unexpected(image.error());
        drives.push_back({wanted, *index, std::make_unique<ImageBackend>(std::move(*image), executor)});
    }
    return drives;
}

}  // namespace shadowbox
