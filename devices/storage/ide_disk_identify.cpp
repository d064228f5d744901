// SPDX-License-Identifier: MIT
// ATA commands without sectors: IDENTIFY DEVICE, features, power, SMART, geometry.
#include <algorithm>

#include "devices/storage/ide_disk.h"

namespace shadowbox {

using namespace ata;

namespace {

constexpr u8 kSmartReadData = 0xD0, kSmartReadThresholds = 0xD1, kSmartAutosave = 0xD2, kSmartOffline = 0xD4,
             kSmartEnable = 0xD8, kSmartDisable = 0xD9, kSmartStatus = 0xDA;
constexpr u64 kMostLba28 = 0x0FFFFFFF;

/// Text as ATA has it: padded with blanks, the first character of each pair in the high byte.
void put_text(std::array<u16, 256>& words, unsigned first, unsigned count, const std::string& text) {
    for (unsigned i = 0; i < count * 2; ++i) {
        u8 c = i < text.size() ? static_cast<u8>(text[i]) : u8{' '};
        u16& word = words[first + i / 2];
        word = static_cast<u16>(i % 2 ? (word & 0xFF00) | c : c << 8);
    }
}

}  // namespace

void IdeDisk::execute_other(u8 code) {
    Registers& r = state_;
    switch (code) {
        case kIdentify: {
            auto words = identify();
            buffer().resize(kSector);
            for (unsigned i = 0; i < 256; ++i) {
                buffer()[i * 2] = static_cast<u8>(words[i]);
                buffer()[i * 2 + 1] = static_cast<u8>(words[i] >> 8);
            }
            return send_buffer();
        }
        case kSetFeatures: return set_features();
        case kSetMultiple: return set_multiple();
        case kInitializeParameters: return initialize_parameters();
        case kSmart: return smart();
        case kFlushCache:
        case kFlushCacheExt: return flush();
        case kReadNativeMax: return report_native_max(false);
        case kReadNativeMaxExt: return report_native_max(true);
        case kCheckPower:
        case kCheckPowerOld: r.count = 0xFF; return complete();  // active or idle
        case kStandbyNow:
        case kIdleNow:
        case kStandby:
        case kIdle:
        case kSleep:
        case kStandbyNowOld:
        case kIdleNowOld:
        case kStandbyOld:
        case kIdleOld:
        case kSleepOld: return complete();
        default:
            // 1xh RECALIBRATE and 7xh SEEK of old drives: the arm is everywhere.
            if ((code & 0xF0) == 0x10 || (code & 0xF0) == 0x70) return complete();
            return complete(kAborted);
    }
}

void IdeDisk::send_buffer() {
    settings_.left = 0;
    data_in(0, static_cast<u32>(buffer().size()));
}

IdeDisk::Geometry IdeDisk::default_geometry() const {
    return {static_cast<u32>(std::clamp<u64>(sectors_ / (16 * 63), 1, 16383)), 16, 63};
}

std::array<u16, 256> IdeDisk::identify() const {
    std::array<u16, 256> w{};
    const Settings& s = settings_;
    Geometry geometry = default_geometry();
    w[0] = 0x0040;  // fixed
    w[1] = static_cast<u16>(geometry.cylinders);
    w[3] = static_cast<u16>(geometry.heads);
    w[6] = static_cast<u16>(geometry.sectors);
    put_text(w, 10, 10, serial_);
    put_text(w, 23, 4, "1.0");
    put_text(w, 27, 20, "SHADOWBOX HARDDISK");
    w[47] = 0x8000 | kMostMultiple;
    w[48] = 1;       // 32-bit data port
    w[49] = 0x0F00;  // IORDY, LBA, DMA
    w[50] = 0x4000;
    w[51] = 0x0200;
    w[53] = 7;  // words 54-58, 64-70 and 88 are valid
    u32 cylinders = static_cast<u32>(std::min<u64>(sectors_ / (u64{s.heads} * s.track), 65535));
    u32 chs_sectors = cylinders * s.heads * s.track;
    w[54] = static_cast<u16>(cylinders);
    w[55] = static_cast<u16>(s.heads);
    w[56] = static_cast<u16>(s.track);
    w[57] = static_cast<u16>(chs_sectors);
    w[58] = static_cast<u16>(chs_sectors >> 16);
    if (s.multiple) w[59] = static_cast<u16>(0x100 | s.multiple);
    u64 lba28 = std::min(sectors_, kMostLba28);
    w[60] = static_cast<u16>(lba28);
    w[61] = static_cast<u16>(lba28 >> 16);
    for (unsigned i = 0; i < 4; ++i) w[100 + i] = static_cast<u16>(sectors_ >> (i * 16));
    identify_features(w);
    return w;
}

void IdeDisk::identify_features(std::array<u16, 256>& w) const {
    const Settings& s = settings_;
    u8 mode = s.dma_mode & 7;
    w[63] = static_cast<u16>(0x07 | ((s.dma_mode & 0xF8) == 0x20 ? 0x100 << mode : 0));
    w[64] = 3;  // PIO 3 and 4
    for (unsigned i = 65; i <= 68; ++i) w[i] = 120;
    w[80] = 0x00F0;  // ATA/ATAPI-4 to 7
    w[82] = 0x4061;  // NOP, look-ahead, write cache, SMART
    w[83] = 0x7400;  // FLUSH CACHE EXT, FLUSH CACHE, 48 bits
    w[84] = 0x4000;
    w[85] =
        static_cast<u16>(0x4000 | (s.look_ahead ? 0x40 : 0) | (s.write_cache ? 0x20 : 0) | (s.smart ? 1 : 0));
    w[86] = 0x3400;
    w[87] = 0x4000;
    w[88] = static_cast<u16>(0x3F | ((s.dma_mode & 0xF8) == 0x40 ? 0x100 << mode : 0));
    w[93] = 0x6001 | (state_.device & kDeviceSelect ? 0x0E00 : 0x000E);  // 80-wire cable, passed diagnostics
}

void IdeDisk::reset_settings(bool hard) {
    Settings& s = settings_;
    Geometry geometry = default_geometry();
    s.lba = s.left = 0;
    s.block = 1;
    if (!hard) return;
    s.heads = geometry.heads;
    s.track = geometry.sectors;
    s.multiple = kMostMultiple;
    s.dma_mode = 0x22;
    s.write_cache = s.look_ahead = s.smart = true;
}

void IdeDisk::write_signature() {
    state_.count = state_.lba[0] = 1;
    state_.lba[1] = state_.lba[2] = 0;
}

void IdeDisk::set_multiple() {
    u8 count = state_.count;
    if (count > kMostMultiple || (count & (count - 1))) return complete(kAborted);
    settings_.multiple = count;
    complete();
}

/// Sets the logical geometry: heads in the device register, sectors a track in count.
void IdeDisk::initialize_parameters() {
    if (state_.count == 0) return complete(kAborted);
    settings_.heads = (state_.device & 15u) + 1;
    settings_.track = state_.count;
    complete();
}

void IdeDisk::set_features() {
    Settings& s = settings_;
    u8 mode = state_.count;
    switch (state_.features) {
        case 0x02: s.write_cache = true; return complete();
        case 0x82: s.write_cache = false; return flush();
        case 0xAA: s.look_ahead = true; return complete();
        case 0x55: s.look_ahead = false; return complete();
        case 0x03: {
            u8 kind = mode & 0xF8, number = mode & 7;
            bool pio = kind == 0x00 || (kind == 0x08 && number <= 4);
            bool dma = (kind == 0x20 && number <= 2) || (kind == 0x40 && number <= 5);
            if (!pio && !dma) return complete(kAborted);
            if (dma) s.dma_mode = mode;
            return complete();
        }
        case 0xCC:  // resets revert to power-on defaults, or
        case 0x66:  // keep settings: they are kept either way
        case 0x05:  // advanced power management
        case 0x85:
        case 0x42:  // acoustic management
        case 0xC2: return complete();
        default: return complete(kAborted);
    }
}

void IdeDisk::report_native_max(bool extended) {
    u64 last = sectors_ - 1;
    settings_.extended = extended;
    settings_.lba_mode = true;
    report_address(extended ? last : std::min(last, kMostLba28 - 1));
    complete();
}

/// A healthy disk with no attributes to tell of.
void IdeDisk::smart() {
    Registers& r = state_;
    if (r.lba[1] != 0x4F || r.lba[2] != 0xC2) return complete(kAborted);
    if (r.features == kSmartEnable || r.features == kSmartDisable) {
        settings_.smart = r.features == kSmartEnable;
        return complete();
    }
    if (!settings_.smart) return complete(kAborted);
    switch (r.features) {
        case kSmartReadData:
        case kSmartReadThresholds: {
            buffer().assign(kSector, 0);
            buffer()[0] = 0x10;  // revision
            u8 sum = 0;
            for (u8 byte : buffer()) sum = static_cast<u8>(sum + byte);
            buffer()[511] = static_cast<u8>(-sum);
            return send_buffer();
        }
        case kSmartAutosave:
        case kSmartOffline:
        case kSmartStatus: return complete();  // LBA mid and high unchanged: no threshold exceeded
        default: return complete(kAborted);
    }
}

}  // namespace shadowbox
