// SPDX-License-Identifier: MIT
// The Bochs display interface: high resolutions by eleven registers, at ports 1CEh-1D0h and in BAR 2, where
// the VGA ports appear as well. Bochs' vbe_display_api.txt; QEMU's docs/specs/standard-vga.rst.
#include <algorithm>

#include "devices/display/vga.h"

namespace shadowbox {

namespace {

enum Dispi : unsigned {
    kId,
    kXRes,
    kYRes,
    kBpp,
    kEnable,
    kBank,
    kVirtualWidth,
    kVirtualHeight,
    kXOffset,
    kYOffset,
    kMemory64K
};
constexpr u16 kEnabled = 0x01, kGetCapabilities = 0x02, kNoClear = 0x80;
constexpr u16 kFirstId = 0xB0C0, kLastId = 0xB0C5;
constexpr u16 kMostX = 5120, kMostY = 2880, kMostBpp = 32;

// BAR 2
constexpr u64 kPortsAt = 0x400, kPortsEnd = 0x420, kDispiAt = 0x500, kDispiEnd = 0x516, kExtendedAt = 0x600,
              kExtendedEnd = 0x608;
constexpr u32 kLittleEndian = 0x1E1E1E1E;

}  // namespace

void Vga::wire_registers_bar() {
    registers_.read = [this](u64 offset, unsigned size) {
        u64 value = 0;
        for (unsigned i = 0; i < size; ++i) value |= registers_read(offset + i) << (i * 8);
        return value;
    };
    registers_.write = [this](u64 offset, unsigned size, u64 value) {
        for (unsigned i = 0; i < size; ++i)
            registers_write(offset + i, static_cast<u8>(value >> (i * 8)), i, value, size);
    };
    add_mmio_bar(2, 4096, registers_);
}

/// One byte of BAR 2.
u64 Vga::registers_read(u64 offset) {
    if (offset >= kPortsAt && offset < kPortsEnd)
        return read_port(static_cast<u16>(0x3C0 + offset - kPortsAt));
    if (offset >= kDispiAt && offset < kDispiEnd) {
        unsigned index = static_cast<unsigned>((offset - kDispiAt) / 2);
        return dispi_read(index) >> (offset & 1) * 8 & 0xFF;
    }
    if (offset >= kExtendedAt && offset < kExtendedEnd) {
        u32 word = offset < kExtendedAt + 4 ? kExtendedEnd - kExtendedAt : kLittleEndian;
        return word >> (offset & 3) * 8 & 0xFF;
    }
    return 0;
}

void Vga::registers_write(u64 offset, u8 value, unsigned position, u64 whole, unsigned size) {
    if (offset >= kPortsAt && offset < kPortsEnd)
        return write_port(static_cast<u16>(0x3C0 + offset - kPortsAt), value);
    // DISPI registers are words: the low byte's turn takes both. Byte writes reach none.
    bool low = !(offset & 1) && position + 1 < size;
    if (offset >= kDispiAt && offset < kDispiEnd && low)
        dispi_write(static_cast<unsigned>((offset - kDispiAt) / 2),
                    static_cast<u16>(whole >> (position * 8)));
}

u32 Vga::dispi_pitch() const {
    const State& s = state_;
    unsigned bits = s.dispi[kBpp] == 15 ? 16 : s.dispi[kBpp];
    return s.dispi[kVirtualWidth] * bits / 8;
}

u16 Vga::dispi_read(unsigned index) const {
    const State& s = state_;
    if (index >= kDispiRegisters) return 0;
    if (s.dispi[kEnable] & kGetCapabilities) {
        if (index == kXRes) return kMostX;
        if (index == kYRes) return kMostY;
        if (index == kBpp) return kMostBpp;
    }
    if (index == kMemory64K) return VgaMemory::kBytes >> 16;
    if (index == kVirtualHeight) {
        u32 pitch = dispi_pitch();
        return static_cast<u16>(pitch ? std::min<u32>(VgaMemory::kBytes / pitch, 0xFFFF) : 0);
    }
    return s.dispi[index];
}

void Vga::dispi_write(unsigned index, u16 value) {
    State& s = state_;
    switch (index) {
        case kId:
            if (value >= kFirstId && value <= kLastId) s.dispi[kId] = value;
            break;
        case kXRes:
        case kYRes:
        case kBpp:
        case kVirtualWidth:
        case kXOffset:
        case kYOffset:
            s.dispi[index] = value;
            fix_dispi();
            if (dispi_on()) set_registers_for_dispi();
            break;
        case kBank: s.dispi[kBank] = value & ((VgaMemory::kBytes >> 16) - 1); break;
        case kEnable: dispi_enable(value); break;
        default: break;  // memory size and virtual height are read-only
    }
    show_window();
}

/// Whatever was written, the registers describe a picture inside the frame buffer.
void Vga::fix_dispi() {
    u16* d = state_.dispi;
    switch (d[kBpp]) {
        case 4:
        case 8:
        case 15:
        case 16:
        case 24:
        case 32: break;
        default: d[kBpp] = 8;
    }
    d[kXRes] = static_cast<u16>(std::clamp<u16>(d[kXRes], 8, kMostX) & ~7);
    d[kYRes] = std::clamp<u16>(d[kYRes], 1, kMostY);
    u32 most_width = std::min<u32>(VgaMemory::kBytes / 4, 0xFFF8);
    d[kVirtualWidth] = static_cast<u16>(std::clamp<u32>(d[kVirtualWidth], d[kXRes], most_width) & ~7u);
    d[kBank] &= (VgaMemory::kBytes >> 16) - 1;
    u32 pitch = std::max(dispi_pitch(), 1u);
    d[kYRes] = static_cast<u16>(std::min<u32>(d[kYRes], VgaMemory::kBytes / pitch));
}

void Vga::dispi_enable(u16 value) {
    u16* d = state_.dispi;
    bool turns_on = (value & kEnabled) && !(d[kEnable] & kEnabled);
    d[kEnable] = value;
    if (turns_on) {
        d[kVirtualWidth] = d[kXRes];
        d[kXOffset] = d[kYOffset] = 0;
        fix_dispi();
        set_registers_for_dispi();
        if (!(value & kNoClear)) vram_.clear(u64{d[kYRes]} * dispi_pitch());
    }
    if (turns_on || !(value & kEnabled)) d[kBank] = 0;
}

/// DISPI modes leave the VGA registers as a mode of that size has them: the VGA BIOS reads some back, and the
/// window at A0000h works by them.
void Vga::set_registers_for_dispi() {
    State& s = state_;
    const u16* d = s.dispi;
    unsigned lines = d[kYRes] - 1u;
    s.graphics[6] = static_cast<u8>((s.graphics[6] & ~0x0C) | 0x05);  // A0000h, 64 KiB, graphics
    s.crtc[0x01] = static_cast<u8>(d[kXRes] / 8 - 1);
    s.crtc[0x07] = static_cast<u8>((s.crtc[0x07] & ~0x42) | (lines >> 7 & 0x02) | (lines >> 3 & 0x40) | 0x10);
    s.crtc[0x09] = static_cast<u8>((s.crtc[0x09] & ~0x9F) | 0x40);
    s.crtc[0x12] = static_cast<u8>(lines);
    s.crtc[0x13] = static_cast<u8>(dispi_pitch() / 8);
    s.crtc[0x17] |= 3;
    s.crtc[0x18] = 0xFF;  // no split screen
    s.sequencer[2] |= 0x0F;
    if (d[kBpp] == 4) {
        s.graphics[5] &= static_cast<u8>(~0x60);
        s.sequencer[4] = static_cast<u8>((s.sequencer[4] & ~0x08) | 0x06);
    } else {
        s.graphics[5] = static_cast<u8>((s.graphics[5] & ~0x60) | 0x40);
        s.sequencer[4] |= 0x0E;
    }
}

}  // namespace shadowbox
