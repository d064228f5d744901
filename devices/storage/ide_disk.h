// SPDX-License-Identifier: MIT
// An ATA hard disk over a BlockBackend: PIO, multiple and bus-master DMA transfers with CHS, LBA28 and LBA48
// addresses. No security, no host protected area, no queueing. ATA/ATAPI-7 volume 1, 4 and 6.
#pragma once

#include "devices/storage/ide_drive.h"

namespace shadowbox {

class IdeDisk final : public IdeDrive {
 public:
    /// `label` is the section tag of its state ("ide0-0"); `serial` up to 20 characters.
    IdeDisk(std::string label, BlockBackend& disk, std::string serial);

    void inspect(Inspector& inspector) const override;
    BlockBackend& disk() { return disk_; }
    u64 sectors() const { return sectors_; }

 private:
    static constexpr u32 kSector = 512, kMostMultiple = 16;
    static constexpr u32 kChunk = 256;  // sectors that PIO moves to or from the image at once
    struct Geometry {
        u32 cylinders, heads, sectors;
    };

    void execute(u8 code) override;
    void data_in_done() override;
    void data_out_done() override;
    void run_dma() override;
    void reset_settings(bool hard) override;
    void write_signature() override;
    void serialize_settings(Archive& archive) override;

    bool execute_transfer(u8 code);
    void execute_other(u8 code);
    bool take_address(bool extended);
    void report_address(u64 lba);
    void read_chunk();
    void next_block_in();
    void write_chunk();
    void next_block_out(bool with_interrupt);
    u32 block_bytes() const;
    void flush();
    void set_features();
    void set_multiple();
    void initialize_parameters();
    void smart();
    void report_native_max(bool extended);
    void send_buffer();
    std::array<u16, 256> identify() const;
    void identify_features(std::array<u16, 256>& words) const;
    Geometry default_geometry() const;

    BlockBackend& disk_;
    const std::string serial_;
    const u64 sectors_;
    struct Settings {
        u32 heads, track;  // logical geometry
        u32 multiple;      // sectors a block of READ/WRITE MULTIPLE; 0: off
        u8 dma_mode;       // as in SET FEATURES 03h: 20h+n multiword, 40h+n Ultra DMA
        bool write_cache, look_ahead, smart;
        // the command under way
        u64 lba;
        u32 left;   // sectors
        u32 block;  // sectors a DRQ block
        bool writing, extended, lba_mode;
    } settings_{};
};

}  // namespace shadowbox
