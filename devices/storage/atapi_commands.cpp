// SPDX-License-Identifier: MIT
// The SCSI packets that a CD-ROM drive executes. MMC-5 6 (commands), SPC-3 6 (INQUIRY, REQUEST SENSE).
#include <algorithm>
#include <cstring>

#include "devices/storage/atapi_cdrom.h"

namespace shadowbox {

namespace {

constexpr u8 kIllegalRequest = 5, kUnitAttention = 6, kNotReady = 2;
constexpr u8 kNoMedium = 0x3A, kMediumChanged = 0x28, kInvalidField = 0x24, kInvalidCommand = 0x20;

void put16(std::vector<u8>& bytes, std::size_t at, u32 value) {
    bytes[at] = static_cast<u8>(value >> 8);
    bytes[at + 1] = static_cast<u8>(value);
}
void put32(std::vector<u8>& bytes, std::size_t at, u32 value) {
    put16(bytes, at, value >> 16);
    put16(bytes, at + 2, value);
}
/// LBA as minute, second, frame; 2 seconds are before LBA 0.
void put_msf(std::vector<u8>& bytes, std::size_t at, u32 lba) {
    u32 frames = lba + 150;
    bytes[at] = static_cast<u8>(frames / 75 / 60);
    bytes[at + 1] = static_cast<u8>(frames / 75 % 60);
    bytes[at + 2] = static_cast<u8>(frames % 75);
}

}  // namespace

/// One packet operation code.
struct AtapiCdrom::Row {
    u8 code;
    bool needs_disc;
    bool past_attention;  // executes although a UNIT ATTENTION waits (SPC-3 5.8.5)
    void (AtapiCdrom::*run)();
};

const AtapiCdrom::Row AtapiCdrom::kPackets[] = {
    {0x00, true, false, &AtapiCdrom::test_unit_ready},
    {0x03, false, true, &AtapiCdrom::request_sense},
    {0x12, false, true, &AtapiCdrom::inquiry},
    {0x1B, false, false, &AtapiCdrom::start_stop},
    {0x1E, false, false, &AtapiCdrom::prevent_allow},
    {0x25, true, false, &AtapiCdrom::read_capacity},
    {0x28, true, false, &AtapiCdrom::read10},
    {0x2B, true, false, &AtapiCdrom::finish},  // SEEK(10)
    {0x43, true, false, &AtapiCdrom::read_toc},
    {0x46, false, true, &AtapiCdrom::get_configuration},
    {0x4A, false, true, &AtapiCdrom::get_event_status},
    {0x51, true, false, &AtapiCdrom::read_disc_information},
    {0x5A, false, false, &AtapiCdrom::mode_sense},
    {0xA8, true, false, &AtapiCdrom::read12},
    {0xAD, true, false, &AtapiCdrom::read_dvd_structure},
    {0xBB, false, false, &AtapiCdrom::set_speed},
    {0xBD, false, false, &AtapiCdrom::mechanism_status},
    {0xBE, true, false, &AtapiCdrom::read_cd},
};

void AtapiCdrom::run_packet() {
    u8 code = settings_.packet[0];
    for (const Row& row : kPackets) {
        if (row.code != code) continue;
        if (settings_.attention && !row.past_attention) {
            settings_.attention = false;
            return fail({kUnitAttention, kMediumChanged, 0});
        }
        if (row.needs_disc && !ready())
            return fail({kNotReady, kNoMedium, static_cast<u8>(settings_.tray_open ? 2 : 1)});
        if (code != 0x03) settings_.sense = {};
        return (this->*row.run)();
    }
    fail({kIllegalRequest, kInvalidCommand, 0});
}

void AtapiCdrom::test_unit_ready() { finish(); }

void AtapiCdrom::request_sense() {
    Sense& sense = settings_.sense;
    if (sense.key == 0 && settings_.attention) {
        sense = {kUnitAttention, kMediumChanged, 0};
        settings_.attention = false;
    }
    std::vector<u8> data(18);
    data[0] = 0x70;
    data[2] = sense.key;
    data[7] = 10;
    data[12] = sense.code;
    data[13] = sense.qualifier;
    sense = {};
    reply(std::move(data), settings_.packet[4]);
}

void AtapiCdrom::inquiry() {
    if (settings_.packet[1] & 3) return fail({kIllegalRequest, kInvalidField, 0});  // no vital product data
    std::vector<u8> data(36, ' ');
    data[0] = 5;     // CD/DVD
    data[1] = 0x80;  // removable
    data[2] = 0;     // no SCSI standard: ATAPI
    data[3] = 0x21;  // ATAPI, response format 1
    data[4] = 31;
    data[5] = data[6] = data[7] = 0;
    std::memcpy(&data[8], "SHADOWBX", 8);
    std::memcpy(&data[16], "DVD-ROM         ", 16);
    std::memcpy(&data[32], "1.0 ", 4);
    reply(std::move(data), packet16(3));
}

void AtapiCdrom::start_stop() {
    bool start = settings_.packet[4] & 1, load_eject = settings_.packet[4] & 2;
    if (load_eject && !start) {
        if (settings_.locked) return fail({kIllegalRequest, 0x53, 2});  // removal prevented
        bool was_open = settings_.tray_open;
        settings_.tray_open = true;
        if (medium_ && !was_open) settings_.media_event = 3;
        if (!was_open && tray_moved_) tray_moved_(false);
    } else if (load_eject) {
        bool was_open = settings_.tray_open;
        settings_.tray_open = false;
        if (was_open && medium_) {
            settings_.attention = true;
            settings_.media_event = 2;
        }
        if (was_open && tray_moved_) tray_moved_(true);
    }
    finish();
}

void AtapiCdrom::prevent_allow() {
    settings_.locked = settings_.packet[4] & 1;
    finish();
}

void AtapiCdrom::read_capacity() {
    std::vector<u8> data(8);
    put32(data, 0, static_cast<u32>(std::min<u64>(disc_sectors() - 1, 0xFFFFFFFF)));
    put32(data, 4, kSector);
    reply(std::move(data), 8);
}

void AtapiCdrom::read10() { read_sectors(packet32(2), packet16(7)); }
void AtapiCdrom::read12() { read_sectors(packet32(2), packet32(6)); }

/// READ CD: only what a data disc gives without its subchannels, the 2048 bytes of user data.
void AtapiCdrom::read_cd() {
    u64 count = u32{settings_.packet[6]} << 16 | packet16(7);
    u8 wanted = settings_.packet[9] & 0xF8;
    if (count == 0 || wanted == 0) return finish();
    if (wanted != 0x10 || (settings_.packet[10] & 7)) return fail({kIllegalRequest, kInvalidField, 0});
    read_sectors(packet32(2), count);
}

void AtapiCdrom::read_toc() {
    const auto& packet = settings_.packet;
    bool msf = packet[1] & 2;
    u8 format = packet[2] & 15, first = packet[6];
    if (format == 0) format = packet[9] >> 6;  // where SFF-8020 had it
    u32 end = static_cast<u32>(disc_sectors());
    std::vector<u8> data(4);
    auto entry = [&](u8 number, u32 lba) {
        std::size_t at = data.size();
        data.resize(at + 8);
        data[at + 1] = 0x14;  // data track
        data[at + 2] = number;
        if (msf)
            put_msf(data, at + 5, lba);
        else
            put32(data, at + 4, lba);
    };
    // A full TOC's entry: session, ADR/control, 0, point, running time (4), then minute, second, frame.
    auto raw_entry = [&](u8 point, u32 lba, bool numbers) {
        std::size_t at = data.size();
        data.resize(at + 11);
        data[at] = 1;
        data[at + 1] = 0x14;
        data[at + 3] = point;
        if (numbers)
            data[at + 8] = 1;
        else
            put_msf(data, at + 8, lba);
    };
    switch (format) {
        case 0:
            if (first > 1 && first != 0xAA) return fail({kIllegalRequest, kInvalidField, 0});
            data[2] = data[3] = 1;  // first and last track
            if (first <= 1) entry(1, 0);
            entry(0xAA, end);
            break;
        case 1:
            data[2] = data[3] = 1;  // sessions
            entry(1, 0);
            break;
        case 2:
            data[2] = data[3] = 1;
            raw_entry(0xA0, 0, true);
            raw_entry(0xA1, 0, true);
            raw_entry(0xA2, end, false);
            raw_entry(1, 0, false);
            break;
        default: return fail({kIllegalRequest, kInvalidField, 0});
    }
    put16(data, 0, static_cast<u32>(data.size() - 2));
    reply(std::move(data), packet16(7));
}

void AtapiCdrom::read_disc_information() {
    if (settings_.packet[1] & 7) return fail({kIllegalRequest, kInvalidField, 0});
    std::vector<u8> data(34);
    put16(data, 0, 32);
    data[2] = 0x0E;  // last session complete, disc finalized
    data[3] = data[4] = data[5] = data[6] = 1;
    data[7] = 0x20;  // unrestricted use
    reply(std::move(data), packet16(7));
}

void AtapiCdrom::get_configuration() {
    constexpr u16 kProfileCd = 0x08, kProfileDvd = 0x10;
    constexpr u64 kLargestCd = 80 * 60 * 75;  // sectors
    u16 current = !ready() ? 0 : disc_sectors() > kLargestCd ? kProfileDvd : kProfileCd;
    u16 first = packet16(2);
    u8 kind = settings_.packet[1] & 3;
    std::vector<u8> data(8);
    put16(data, 6, current);
    auto feature = [&](u16 code, u8 flags, std::vector<u8> content) {
        if (kind == 2 ? code != first : code < first) return;
        if (kind == 1 && !(flags & 1)) return;
        std::size_t at = data.size();
        data.resize(at + 4);
        put16(data, at, code);
        data[at + 2] = flags;
        data[at + 3] = static_cast<u8>(content.size());
        data.insert(data.end(), content.begin(), content.end());
    };
    u8 cd = current == kProfileCd, dvd = current == kProfileDvd;
    feature(0x0000, 0x03, {0, kProfileDvd, dvd, 0, 0, kProfileCd, cd, 0});  // profile list
    feature(0x0001, 0x0B, {0, 0, 0, 2, 1, 0, 0, 0});                        // core: ATAPI, DBE
    feature(0x0003, 0x03, {0x29, 0, 0, 0});                                 // removable: tray, eject, lock
    feature(0x0010, static_cast<u8>(current ? 1 : 0), {0, 0, 8, 0, 0, 16, 0, 0});  // random readable
    feature(0x001E, static_cast<u8>(0x08 | cd), {0, 0, 0, 0});                     // CD read
    feature(0x001F, static_cast<u8>(0x04 | dvd), {0, 0, 0, 0});                    // DVD read
    put32(data, 0, static_cast<u32>(data.size() - 4));
    reply(std::move(data), packet16(7));
}

void AtapiCdrom::get_event_status() {
    constexpr u8 kMediaClass = 4, kMediaBit = 1 << kMediaClass;
    if (!(settings_.packet[1] & 1)) return fail({kIllegalRequest, kInvalidField, 0});  // polled only
    std::vector<u8> data(4);
    data[3] = kMediaBit;
    if (settings_.packet[4] & kMediaBit) {
        data.resize(8);
        data[2] = kMediaClass;
        data[4] = settings_.media_event;
        data[5] = static_cast<u8>((settings_.tray_open ? 1 : 0) | (ready() ? 2 : 0));
        settings_.media_event = 0;
    } else {
        data[2] = 0x80;  // no event available in the classes asked for
    }
    put16(data, 0, static_cast<u32>(data.size() - 2));
    reply(std::move(data), packet16(7));
}

void AtapiCdrom::mode_sense() {
    u8 wanted = settings_.packet[2] & 0x3F, control = settings_.packet[2] >> 6;
    if (control == 3) return fail({kIllegalRequest, 0x39, 0});  // saving is not supported
    std::vector<u8> data(8);
    data[2] = !medium_              ? 0x70
              : settings_.tray_open ? 0x71
                                    : 0x01;  // medium type: none, door open, 120 mm data
    bool known = false;
    auto mode_page = [&](u8 code, std::vector<u8> content) {
        if (wanted != code && wanted != 0x3F) return;
        known = true;
        data.push_back(code);
        data.push_back(static_cast<u8>(content.size()));
        if (control == 1) std::fill(content.begin(), content.end(), u8{0});  // nothing is changeable
        data.insert(data.end(), content.begin(), content.end());
    };
    u8 lock = settings_.locked ? 2 : 0;
    mode_page(0x01, {0, 5, 0, 0, 0, 0});  // error recovery: 5 retries
    mode_page(0x0E, {4, 0, 0, 0, 0, 75, 1, 255, 2, 255, 0, 0, 0, 0});
    // Capabilities: reads CD-R, CD-RW, DVD-ROM; multisession, mode 2; tray, eject, lock; speeds in KB/s.
    mode_page(0x2A, {0x3B, 0, 0x70, 0, static_cast<u8>(0x29 | lock), 0, 0x02, 0xC2, 0, 2, 2, 0, 0x02, 0xC2, 0,
                     0, 0, 0});
    if (!known) return fail({kIllegalRequest, kInvalidField, 0});
    put16(data, 0, static_cast<u32>(data.size() - 2));
    reply(std::move(data), packet16(7));
}

void AtapiCdrom::mechanism_status() {
    std::vector<u8> data(8);
    data[1] = settings_.tray_open ? 0x10 : 0;
    data[5] = 1;  // one slot
    reply(std::move(data), packet16(8));
}

/// Only the physical format of a DVD (format 0); firmware and players ask for nothing else.
void AtapiCdrom::read_dvd_structure() {
    if (settings_.packet[7] != 0 || settings_.packet[1] != 0 || settings_.packet[6] != 0)
        return fail({kIllegalRequest, kInvalidField, 0});
    std::vector<u8> data(4 + 2048);
    put16(data, 0, 2048 + 2);
    data[4] = 0x01;  // DVD-ROM, version 1
    data[5] = 0x0F;  // 120 mm, no maximum rate
    data[6] = 0x01;  // one layer, embossed
    put32(data, 8, 0x30000);
    put32(data, 12, static_cast<u32>(0x30000 + disc_sectors() - 1));
    reply(std::move(data), packet16(8));
}

void AtapiCdrom::set_speed() { finish(); }

}  // namespace shadowbox
