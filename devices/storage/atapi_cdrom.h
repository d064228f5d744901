// SPDX-License-Identifier: MIT
// An ATAPI CD/DVD-ROM drive over a read-only BlockBackend, with a tray: packets by PIO or DMA, media changes.
// Data discs of one track; no audio. ATA/ATAPI-7 volume 2, 9.8 (packet protocol); MMC-5 and SPC-3 (commands).
//
//   PACKET -> 12 bytes -> run_packet -> reply(buffer) or read_sectors -> blocks by PIO, or DMA -> finish
#pragma once

#include <array>

#include "devices/storage/ide_drive.h"

namespace shadowbox {

class AtapiCdrom final : public IdeDrive {
 public:
    AtapiCdrom(std::string label, std::string serial, BlockBackend* medium = nullptr);

    /// From outside the guest: puts a disc in and closes the tray; nullptr takes it out. The old medium must
    /// stay alive until requests in flight have completed.
    void insert(BlockBackend* medium);
    /// Called when the guest opened (false) or closed the tray.
    void on_tray(std::function<void(bool closed)> moved) { tray_moved_ = std::move(moved); }
    bool locked() const { return settings_.locked; }
    bool tray_open() const { return settings_.tray_open; }
    BlockBackend* medium() const { return medium_; }

    void inspect(Inspector& inspector) const override;

 private:
    static constexpr u32 kSector = 2048, kPacketBytes = 12;
    static constexpr u32 kChunk = 64;  // sectors a PIO refill reads
    struct Sense {
        u8 key, code, qualifier;
    };
    struct Row;
    static const Row kPackets[];

    void execute(u8 code) override;
    void data_in_done() override;
    void data_out_done() override;
    void run_dma() override;
    void reset_settings(bool hard) override;
    void write_signature() override;
    u8 status_after_reset() const override { return 0; }  // DRDY waits for the first packet
    bool interrupts_anything(u8 code) const override { return code == ata::kDeviceReset; }
    void serialize_settings(Archive& archive) override;

    void identify_packet();
    void start_packet();
    void run_packet();
    void reply(std::vector<u8> data, u32 allocated);
    void read_sectors(u64 first, u64 count);
    void refill();
    void next_block();
    void finish();
    void fail(Sense sense);
    bool ready() const { return medium_ && !settings_.tray_open; }
    u64 disc_sectors() const { return ready() ? medium_->size_bytes() / kSector : 0; }
    u16 packet16(unsigned at) const {
        return static_cast<u16>(settings_.packet[at] << 8 | settings_.packet[at + 1]);
    }
    u32 packet32(unsigned at) const { return u32{packet16(at)} << 16 | packet16(at + 2); }

    // atapi_commands.cpp
    void test_unit_ready();
    void request_sense();
    void inquiry();
    void start_stop();
    void prevent_allow();
    void read_capacity();
    void read10();
    void read12();
    void read_cd();
    void read_toc();
    void read_disc_information();
    void get_configuration();
    void get_event_status();
    void mode_sense();
    void mechanism_status();
    void read_dvd_structure();
    void set_speed();

    std::function<void(bool)> tray_moved_;
    const std::string serial_;
    BlockBackend* medium_ = nullptr;
    struct Settings {
        std::array<u8, 16> packet;
        Sense sense;
        bool attention;  // a medium came that the host has not been told of (UNIT ATTENTION)
        u8 media_event;  // for GET EVENT STATUS NOTIFICATION: 0 none, 1 eject request, 2 new, 3 removed
        bool locked, tray_open;
        u8 dma_mode;
        // the packet under way
        bool in_packet;  // DRQ is for the packet itself
        bool dma;
        u32 limit = 1;  // byte count limit of a DRQ block
        u32 block;      // bytes of the one under way
        u64 sector;     // next to read from the medium
        u64 sectors_left;
        u64 bytes_left;  // of the reply, not yet moved
    } settings_{};
};

}  // namespace shadowbox
