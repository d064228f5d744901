// SPDX-License-Identifier: MIT
// A floppy drive and the disk in it, as geometry over a BlockBackend: no controller registers. Used by
// Floppy82077.
#pragma once

#include <optional>

#include "core/archive.h"
#include "devices/storage/block_backend.h"

namespace shadowbox {

/// One format of a floppy disk; sectors of 512 bytes.
struct FloppyGeometry {
    unsigned cylinders = 0, heads = 0, sectors = 0;
    u8 cmos_type = 0;  // drive that is native to it: 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M
    u8 rates = 0;      // bit r set: readable at data rate r (0 500K, 1 300K, 2 250K, 3 1M bits/s)
    u64 bytes() const { return u64{cylinders} * heads * sectors * 512; }
};

/// The smallest standard format that holds `bytes`; nullopt above 2.88M.
std::optional<FloppyGeometry> floppy_geometry(u64 bytes);

class FloppyDrive {
 public:
    /// nullptr ejects. The guest sees the change line until it steps with a disk in the drive.
    void insert(BlockBackend* disk);
    BlockBackend* disk() const { return disk_; }
    const FloppyGeometry& geometry() const { return geometry_; }
    /// A drive stays what it was built as (CMOS type), whatever disk is put in later.
    u8 cmos_type() const { return cmos_type_; }

    void step_to(unsigned cylinder);
    unsigned cylinder() const { return cylinder_; }
    bool changed() const { return changed_; }
    bool write_protected() const { return disk_ && disk_->read_only(); }
    /// Byte offset of a sector; nullopt if the disk has none such. Sectors count from 1.
    std::optional<u64> offset(unsigned cylinder, unsigned head, unsigned sector) const;
    void serialize(Archive& archive) { archive(cylinder_, changed_); }

 private:
    BlockBackend* disk_ = nullptr;
    FloppyGeometry geometry_;
    u8 cmos_type_ = 0;
    u8 cylinder_ = 0;
    bool changed_ = false;
};

}  // namespace shadowbox
