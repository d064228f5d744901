// SPDX-License-Identifier: MIT
// The packet protocol and the moving of sectors. The packets themselves are in atapi_commands.cpp.
#include "devices/storage/atapi_cdrom.h"

#include <algorithm>

namespace shadowbox {

using namespace ata;

namespace {
constexpr u8 kFeatureDma = 1;
constexpr u32 kMostBlock = 0xFFFE;
}  // namespace

AtapiCdrom::AtapiCdrom(std::string label, std::string serial, BlockBackend* medium)
    : IdeDrive(std::move(label)), serial_(std::move(serial)), medium_(medium) {
    power_on();
}

void AtapiCdrom::insert(BlockBackend* medium) {
    bool had = ready();
    // A packet under way dies with its disc.
    bool under_way = state_.phase != Phase::kIdle && state_.phase != Phase::kInReset && !settings_.in_packet;
    if (under_way) {
        abandon();
        fail({2, 0x3A, 0});
    }
    medium_ = medium;
    settings_.tray_open = false;
    settings_.attention = medium != nullptr;
    settings_.media_event = medium ? 2 : had ? 3 : 0;
}

// --- ATA commands ---

void AtapiCdrom::execute(u8 code) {
    settings_.bytes_left = settings_.sectors_left = 0;  // whatever was under way is over
    switch (code) {
        case kPacket: return start_packet();
        case kIdentifyPacket: return identify_packet();
        case kDeviceReset:
            abandon();
            write_signature();
            state_.device &= kDeviceSelect;
            return set_idle(0, 0x01);  // no interrupt (ATA/ATAPI-7 6.10)
        case kIdentify:
        case kReadSectors:
            // The signature tells old drivers that this is a packet device.
            write_signature();
            return complete(kAborted);
        case kSetFeatures: {
            u8 kind = state_.count & 0xF8, number = state_.count & 7;
            bool dma = (kind == 0x20 && number <= 2) || (kind == 0x40 && number <= 5);
            bool pio = kind == 0 || (kind == 8 && number <= 4);
            if (state_.features != 0x03 || (!dma && !pio)) return complete(kAborted);
            if (dma) settings_.dma_mode = state_.count;
            return complete();
        }
        case kCheckPower:
        case kCheckPowerOld: state_.count = 0xFF; return complete();
        case kFlushCache:
        case kStandbyNow:
        case kIdleNow:
        case kStandby:
        case kIdle:
        case kSleep: return complete();
        default: return complete(kAborted);
    }
}

void AtapiCdrom::identify_packet() {
    std::array<u16, 256> w{};
    auto text = [&w](unsigned first, unsigned count, const std::string& from) {
        for (unsigned i = 0; i < count * 2; ++i) {
            u8 c = i < from.size() ? static_cast<u8>(from[i]) : u8{' '};
            u16& word = w[first + i / 2];
            word = static_cast<u16>(i % 2 ? (word & 0xFF00) | c : c << 8);
        }
    };
    w[0] = 0x85C0;  // packet device, CD-ROM, removable, DRQ within 50 us, 12-byte packets
    text(10, 10, serial_);
    text(23, 4, "1.0");
    text(27, 20, "SHADOWBOX DVD-ROM");
    w[48] = 1;
    w[49] = 0x0B00;  // DMA, LBA, IORDY
    w[53] = 7;
    u8 mode = settings_.dma_mode;
    w[63] = static_cast<u16>(0x07 | ((mode & 0xF8) == 0x20 ? 0x100 << (mode & 7) : 0));
    w[64] = 3;
    for (unsigned i = 65; i <= 68; ++i) w[i] = 120;
    w[71] = 30;  // nanoseconds to release the bus, to clear BSY after SERVICE
    w[72] = 30;
    w[80] = 0x001E;  // to ATA/ATAPI-4
    w[82] = 0x4210;  // NOP, DEVICE RESET, PACKET
    w[83] = w[84] = 0x4000;
    w[85] = 0x4210;
    w[87] = 0x4000;
    w[88] = static_cast<u16>(0x3F | ((mode & 0xF8) == 0x40 ? 0x100 << (mode & 7) : 0));
    buffer().resize(512);
    for (unsigned i = 0; i < 256; ++i) {
        buffer()[i * 2] = static_cast<u8>(w[i]);
        buffer()[i * 2 + 1] = static_cast<u8>(w[i] >> 8);
    }
    settings_.in_packet = true;  // the end of this data is no end of a packet
    data_in(0, 512);
}

// --- packet phases ---

void AtapiCdrom::start_packet() {
    Settings& s = settings_;
    if (state_.features & ~kFeatureDma) return complete(kAborted);  // overlapped: not offered
    s.dma = state_.features & kFeatureDma;
    s.limit = state_.lba[1] | u32{state_.lba[2]} << 8;
    if (s.limit == 0 || s.limit > kMostBlock) s.limit = kMostBlock;
    s.in_packet = true;
    s.bytes_left = s.sectors_left = 0;
    buffer().assign(kPacketBytes, 0);
    state_.count = kReasonCommand;
    data_out(0, kPacketBytes, false);
}

void AtapiCdrom::data_out_done() {
    std::copy_n(buffer().begin(), kPacketBytes, settings_.packet.begin());
    settings_.in_packet = false;
    buffer().clear();
    state_.position = state_.block_end = 0;
    run_packet();
}

/// A reply from memory, cut to what the host allocated.
void AtapiCdrom::reply(std::vector<u8> data, u32 allocated) {
    if (data.size() > allocated) data.resize(allocated);
    if (data.empty()) return finish();
    settings_.bytes_left = data.size();
    settings_.sectors_left = 0;
    buffer() = std::move(data);
    state_.position = state_.block_end = 0;
    if (settings_.dma)
        wait_for_dma();
    else
        next_block();
}

void AtapiCdrom::read_sectors(u64 first, u64 count) {
    Settings& s = settings_;
    if (!ready()) return fail({2, 0x3A, 0});
    if (first > disc_sectors() || count > disc_sectors() - first) return fail({5, 0x21, 0});
    if (count == 0) return finish();
    s.sector = first;
    s.sectors_left = count;
    s.bytes_left = count * kSector;
    buffer().clear();
    state_.position = state_.block_end = 0;
    if (s.dma)
        wait_for_dma();
    else
        next_block();
}

/// One DRQ block: the byte count limit, or what is left. Reads on when the buffer holds less than that.
void AtapiCdrom::next_block() {
    Settings& s = settings_;
    u32 size = static_cast<u32>(std::min<u64>(s.limit, s.bytes_left));
    if (size < s.bytes_left) size &= ~1u;  // only the last block may be odd
    if (size == 0) size = static_cast<u32>(std::min<u64>(2, s.bytes_left));
    if (state_.block_end + size > buffer().size()) return refill();
    s.block = size;
    state_.lba[1] = static_cast<u8>(size);
    state_.lba[2] = static_cast<u8>(size >> 8);
    state_.count = kReasonIn;
    data_in(state_.block_end, state_.block_end + size);
}

void AtapiCdrom::refill() {
    Settings& s = settings_;
    auto& bytes = buffer();
    bytes.erase(bytes.begin(), bytes.begin() + state_.block_end);
    state_.position = state_.block_end = 0;
    std::size_t kept = bytes.size();
    u32 sectors = static_cast<u32>(std::min<u64>(s.sectors_left, kChunk));
    bytes.resize(kept + sectors * kSector);
    u64 offset = s.sector * kSector;
    s.sector += sectors;
    s.sectors_left -= sectors;
    medium_->read(offset, std::span<u8>(bytes).subspan(kept), when_done([this](IoStatus status) {
                      if (status != IoStatus::kOk) return fail({3, 0x11, 0});
                      next_block();
                  }));
}

void AtapiCdrom::data_in_done() {
    Settings& s = settings_;
    if (s.in_packet) {  // IDENTIFY PACKET DEVICE
        s.in_packet = false;
        return set_idle(kReady | kSeekDone);
    }
    s.bytes_left -= std::min<u64>(s.bytes_left, s.block);
    if (s.bytes_left == 0)
        finish();
    else
        next_block();
}

void AtapiCdrom::run_dma() {
    Settings& s = settings_;
    if (s.sectors_left > 0 && s.bytes_left > u64{65536} * kSector) return fail({5, 0x24, 0});
    std::shared_ptr<DmaPages> pages = gather(s.bytes_left, true);
    if (!pages) return;
    if (s.sectors_left == 0) {
        pages->copy_in(buffer());
        pages->pins.clear();
        state_.count = kReasonCommand | kReasonIn;
        s.bytes_left = 0;
        return dma_finished(0);
    }
    medium_->read(s.sector * kSector, pages->pieces, when_done([this, pages](IoStatus status) {
                      pages->pins.clear();
                      settings_.bytes_left = settings_.sectors_left = 0;
                      state_.count = kReasonCommand | kReasonIn;
                      if (status != IoStatus::kOk) settings_.sense = {3, 0x11, 0};
                      dma_finished(status == IoStatus::kOk ? 0 : 3 << 4 | kAborted);
                  }));
}

void AtapiCdrom::finish() {
    settings_.bytes_left = 0;
    state_.count = kReasonCommand | kReasonIn;
    complete();
}

void AtapiCdrom::fail(Sense sense) {
    settings_.sense = sense;
    settings_.bytes_left = settings_.sectors_left = 0;
    state_.count = kReasonCommand | kReasonIn;
    complete(static_cast<u8>(sense.key << 4 | kAborted));
}

// --- resets and state ---

void AtapiCdrom::reset_settings(bool hard) {
    Settings& s = settings_;
    s.in_packet = s.dma = false;
    s.bytes_left = s.sectors_left = 0;
    s.limit = 1;
    s.sense = {};
    if (!hard) return;
    s.packet = {};
    s.dma_mode = 0x22;
    s.locked = false;
    s.media_event = 0;
    s.attention = medium_ != nullptr;  // SPC-3 5.8.5: power on is reported once
}

void AtapiCdrom::write_signature() {
    state_.count = state_.lba[0] = 1;
    state_.lba[1] = 0x14;
    state_.lba[2] = 0xEB;
}

void AtapiCdrom::serialize_settings(Archive& archive) {
    Settings& s = settings_;
    archive(s.packet, s.sense, s.attention, s.media_event, s.locked, s.tray_open, s.dma_mode, s.in_packet,
            s.dma, s.limit, s.block, s.sector, s.sectors_left, s.bytes_left);
    if (!archive.loading()) return;
    s.limit = std::clamp<u32>(s.limit, 1, kMostBlock);
    u64 end = disc_sectors();
    if (s.sectors_left > 0 && (s.sector > end || s.sectors_left > end - s.sector))
        s.sector = s.sectors_left = 0;
    // What is left is in the buffer or on the disc.
    u64 buffered = buffer().size() - std::min<u64>(state_.block_end, buffer().size());
    s.block = std::min(s.block, kMostBlock);
    u64 current = state_.phase == Phase::kDataIn ? s.block : 0;
    s.bytes_left = std::min(s.bytes_left, buffered + current + s.sectors_left * kSector);
}

void AtapiCdrom::inspect(Inspector& inspector) const {
    IdeDrive::inspect(inspector);
    inspector.text("disc", medium_ ? medium_->label() : "none");
    inspector.field("tray open", settings_.tray_open);
    inspector.field("locked", settings_.locked);
    inspector.text("sense", fmt::format("{:x}/{:02x}/{:02x}", settings_.sense.key, settings_.sense.code,
                                        settings_.sense.qualifier));
}

}  // namespace shadowbox
