// SPDX-License-Identifier: MIT
// Standard floppy formats and the state of one drive.
#include "devices/storage/floppy_drive.h"

#include <algorithm>

namespace shadowbox {

namespace {
constexpr u8 k500 = 1, k300 = 2, k250 = 4, k1000 = 8;
constexpr FloppyGeometry kFormats[] = {
    {40, 1, 8, 1, k250 | k300}, {40, 1, 9, 1, k250 | k300}, {40, 2, 8, 1, k250 | k300},
    {40, 2, 9, 1, k250 | k300}, {80, 2, 9, 3, k250},        {80, 2, 15, 2, k500},
    {80, 2, 18, 4, k500},       {80, 2, 21, 4, k500},       {80, 2, 36, 5, k1000},
};
constexpr unsigned kMostCylinders = 85;  // the head's mechanical stop
}  // namespace

std::optional<FloppyGeometry> floppy_geometry(u64 bytes) {
    for (const FloppyGeometry& format : kFormats)
        if (bytes <= format.bytes()) return format;
    return std::nullopt;
}

void FloppyDrive::insert(BlockBackend* disk) {
    disk_ = disk;
    changed_ = true;
    geometry_ = disk ? floppy_geometry(disk->size_bytes()).value_or(FloppyGeometry{}) : FloppyGeometry{};
    if (cmos_type_ == 0) cmos_type_ = geometry_.cmos_type;
}

void FloppyDrive::step_to(unsigned cylinder) {
    cylinder_ = static_cast<u8>(std::min(cylinder, kMostCylinders));
    if (disk_) changed_ = false;
}

std::optional<u64> FloppyDrive::offset(unsigned cylinder, unsigned head, unsigned sector) const {
    if (!disk_ || cylinder >= geometry_.cylinders || head >= geometry_.heads) return std::nullopt;
    if (sector == 0 || sector > geometry_.sectors) return std::nullopt;
    u64 block = (u64{cylinder} * geometry_.heads + head) * geometry_.sectors + sector - 1;
    return block * 512;
}

}  // namespace shadowbox
