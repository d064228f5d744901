// SPDX-License-Identifier: MIT
// 8237A registers and transfers.
#include "devices/chipset/dma8237.h"

#include <algorithm>

#include "core/log.h"

namespace shadowbox {

namespace {
constexpr u8 kModeAutoInit = 0x10, kModeDown = 0x20, kModeTypeMask = 0x0C, kModeWrite = 0x04,
             kModeRead = 0x08, kModeCascade = 0xC0;
constexpr u8 kCommandDisable = 0x04;
// Low digit of the page register's port, by channel (PC/AT; 8Fh belongs to refresh).
constexpr u8 kPagePort[8] = {0x7, 0x3, 0x1, 0x2, 0xF, 0xB, 0x9, 0xA};
}  // namespace

Dma8237::Dma8237(GuestMemory& memory)
    : memory_(memory),
      parked_{ParkedRequest(memory), ParkedRequest(memory), ParkedRequest(memory), ParkedRequest(memory),
              ParkedRequest(memory), ParkedRequest(memory), ParkedRequest(memory), ParkedRequest(memory)},
      low_([this](u16 offset, unsigned) { return u32{read(0, offset)}; },
           [this](u16 offset, unsigned, u32 value) { write(0, offset, static_cast<u8>(value)); }),
      high_([this](u16 offset, unsigned) { return u32{read(1, offset >> 1)}; },
            [this](u16 offset, unsigned, u32 value) { write(1, offset >> 1, static_cast<u8>(value)); }),
      pages_([this](u16 offset, unsigned) { return u32{state_.pages[(offset + 1) & 15]}; },
             [this](u16 offset, unsigned, u32 value) {
                 state_.pages[(offset + 1) & 15] = static_cast<u8>(value);
             }) {
    reset();
}

void Dma8237::reset() {
    state_ = State{};
    for (ParkedRequest& request : parked_) request.cancel();
    for (unsigned i = 0; i < 2; ++i) master_clear(i);
}

void Dma8237::master_clear(unsigned controller) { state_.controllers[controller] = {0, 0, 0x0F, false}; }

u8 Dma8237::read(unsigned index, unsigned reg) {
    Controller& controller = state_.controllers[index];
    if (reg < 8) {
        const Channel& channel = state_.channels[index * 4 + reg / 2];
        u16 value = reg & 1 ? channel.count : channel.address;
        bool high = controller.high_byte_next;
        controller.high_byte_next = !high;
        return static_cast<u8>(high ? value >> 8 : value);
    }
    if (reg == 8) {
        u8 status = controller.status;
        controller.status &= 0xF0;  // reading clears the terminal-count bits
        return status;
    }
    if (reg == 15) return controller.mask | 0xF0;
    return 0;  // the temporary register serves memory-to-memory only
}

void Dma8237::write_channel(unsigned index, unsigned reg, u8 value) {
    Controller& controller = state_.controllers[index];
    Channel& channel = state_.channels[index * 4 + reg / 2];
    u16& base = reg & 1 ? channel.base_count : channel.base_address;
    u16& current = reg & 1 ? channel.count : channel.address;
    base =
        static_cast<u16>(controller.high_byte_next ? (base & 0x00FF) | value << 8 : (base & 0xFF00) | value);
    current = base;
    controller.high_byte_next = !controller.high_byte_next;
}

void Dma8237::write(unsigned index, unsigned reg, u8 value) {
    Controller& controller = state_.controllers[index];
    if (reg < 8) return write_channel(index, reg, value);
    switch (reg) {
        case 8: controller.command = value; break;
        case 9:
            if (value & 4)
                guest_oddity("dma-software-request", "software DMA request, which no PC device serves");
            break;
        case 10: {
            u8 bit = static_cast<u8>(1u << (value & 3));
            controller.mask = static_cast<u8>(value & 4 ? controller.mask | bit : controller.mask & ~bit);
            break;
        }
        case 11: state_.channels[index * 4 + (value & 3)].mode = value & 0xFC; break;
        case 12: controller.high_byte_next = false; break;
        case 13: master_clear(index); break;
        case 14: controller.mask = 0; break;
        case 15: controller.mask = value & 0x0F; break;
    }
    notify(index);
}

void Dma8237::notify(unsigned controller) {
    for (unsigned channel = controller * 4; channel < controller * 4 + 4; ++channel)
        if (listeners_[channel] && ready(channel)) listeners_[channel]();
}

bool Dma8237::ready(unsigned channel) const {
    channel &= 7;
    const Controller& controller = state_.controllers[channel / 4];
    bool cascade = (state_.channels[channel].mode & kModeCascade) == kModeCascade;
    return !cascade && !(controller.command & kCommandDisable) && !(controller.mask >> (channel & 3) & 1);
}

u32 Dma8237::remaining(unsigned channel) const {
    channel &= 7;
    return (u32{state_.channels[channel].count} + 1) * (channel >= 4 ? 2 : 1);
}

Gpa Dma8237::location(unsigned channel) const {
    u64 page = state_.pages[kPagePort[channel]], address = state_.channels[channel].address;
    if (channel >= 4) return Gpa((page & 0xFE) << 16 | address << 1);
    return Gpa(page << 16 | address);
}

/// Moves `bytes` in pieces that do not cross the 64 Ki units (bytes or words) within which the address wraps.
/// Where a page is away the channel is as before: all of it moves again, the same bytes.
template <class Move>
DmaResult Dma8237::run(unsigned channel, u32 bytes, Move move) {
    channel &= 7;
    DmaResult result;
    if (!ready(channel)) return result;
    unsigned width = channel >= 4 ? 2 : 1;
    Channel& c = state_.channels[channel];
    u32 wanted = std::min(bytes, remaining(channel)) / width * width;
    bool down = c.mode & kModeDown;
    const Channel before = c;
    while (result.bytes < wanted) {
        u32 units = (wanted - result.bytes) / width;
        u32 piece = down ? 1 : std::min(units, 0x10000u - c.address);
        const MemoryAnswer answer = move(location(channel), result.bytes, piece * width);
        if (answer.must_wait()) {
            c = before;
            parked_[channel].wait(answer, [this, channel] {
                if (listeners_[channel] && ready(channel)) listeners_[channel]();
            });
            return {.waits = true};
        }
        c.address = static_cast<u16>(down ? c.address - 1 : c.address + piece);
        result.bytes += piece * width;
        u32 left = u32{c.count} + 1 - piece;
        c.count = static_cast<u16>(left - 1);
        if (left == 0) {
            result.terminal_count = true;
            finish(channel);
            break;
        }
    }
    return result;
}

void Dma8237::finish(unsigned channel) {
    Channel& c = state_.channels[channel];
    Controller& controller = state_.controllers[channel / 4];
    u8 bit = static_cast<u8>(1u << (channel & 3));
    controller.status |= bit;
    if (c.mode & kModeAutoInit) {
        c.address = c.base_address;
        c.count = c.base_count;
    } else {
        controller.mask |= bit;
    }
}

DmaResult Dma8237::to_memory(unsigned channel, std::span<const u8> bytes) {
    bool write =
        (state_.channels[channel & 7].mode & kModeTypeMask) == kModeWrite;  // else verify: only counts
    return run(channel, static_cast<u32>(bytes.size()), [&](Gpa where, u32 from, u32 size) {
        return write ? memory_.try_write(where, bytes.subspan(from, size)) : MemoryAnswer();
    });
}

DmaResult Dma8237::from_memory(unsigned channel, std::span<u8> bytes) {
    bool read = (state_.channels[channel & 7].mode & kModeTypeMask) == kModeRead;
    return run(channel, static_cast<u32>(bytes.size()), [&](Gpa where, u32 to, u32 size) {
        return read ? memory_.try_read(where, bytes.subspan(to, size)) : MemoryAnswer();
    });
}

void Dma8237::serialize(Archive& archive) {
    archive.section(name(), 1);
    for (Channel& c : state_.channels) archive(c.base_address, c.base_count, c.address, c.count, c.mode);
    for (Controller& c : state_.controllers) archive(c.command, c.status, c.mask, c.high_byte_next);
    archive(state_.pages);
}

void Dma8237::inspect(Inspector& inspector) const {
    for (unsigned i = 0; i < 8; ++i) {
        if (i == 4) continue;
        inspector.text(fmt::format("channel {}", i),
                       fmt::format("{} bytes left at 0x{:06x}, mode 0x{:02x}{}", remaining(i),
                                   location(i).value, state_.channels[i].mode, ready(i) ? "" : ", masked"));
    }
}

}  // namespace shadowbox
