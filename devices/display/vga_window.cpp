// SPDX-License-Identifier: MIT
// The legacy window at A0000h: four planes behind latches. FreeVGA, "Accessing the VGA Display Memory" and
// "Graphics Registers".
#include "devices/display/vga.h"

namespace shadowbox {

namespace {

constexpr u8 kChain4 = 0x08, kSequential = 0x04;    // sequencer 4
constexpr u8 kOddEvenRead = 0x10, kCompare = 0x08;  // graphics 5

/// A byte of ones for each plane in a 4-bit mask.
constexpr u32 planes(unsigned mask) {
    return (mask & 1 ? 0xFFu : 0) | (mask & 2 ? 0xFF00u : 0) | (mask & 4 ? 0xFF0000u : 0) |
           (mask & 8 ? 0xFF000000u : 0);
}
constexpr u32 repeat(u8 value) { return value * 0x01010101u; }

}  // namespace

/// Window offset to display address, by the memory map select; with DISPI on, of the selected bank.
bool Vga::window_address(u32 offset, u32& result) const {
    switch (state_.graphics[6] >> 2 & 3) {
        case 0: result = offset & 0xFFFF; break;  // 128 KiB over planes of 64 KiB
        case 1:
            if (offset >= 0x10000) return false;
            result = offset;
            break;
        case 2:
            if (offset < 0x10000 || offset >= 0x18000) return false;
            result = offset - 0x10000;
            break;
        default:
            if (offset < 0x18000) return false;
            result = offset - 0x18000;
    }
    if (dispi_on()) result += u32{state_.dispi[5]} << 16;
    return true;
}

void Vga::show_window() {
    const u64 bank = dispi_on() ? u64{state_.dispi[5]} << 16 : 0;
    vram_.show((state_.sequencer[4] & kChain4 ? bank : bank * 4) >> kPageShift);
}

u8 Vga::window_read(u32 offset) {
    State& s = state_;
    u32 where = 0;
    if (!window_address(offset, where)) return 0xFF;
    if (s.sequencer[4] & kChain4) {
        if (dispi_on()) return vram_.load8(where);
        return vram_.load8((where & ~3u) * 4 + (where & 3));
    }
    unsigned plane = s.graphics[4] & 3;
    if (s.graphics[5] & kOddEvenRead) {
        plane = (plane & 2) | (where & 1);
        where &= ~1u;  // also without "chain odd/even" (graphics 6), as QEMU
    }
    s.latch = vram_.load32(where * 4);
    if (!(s.graphics[5] & kCompare)) return static_cast<u8>(s.latch >> (plane * 8));
    // Read mode 1: a bit for each pixel whose planes, where not "don't care", equal the compare color.
    u32 differs = (s.latch ^ planes(s.graphics[2])) & planes(s.graphics[7]);
    differs |= differs >> 16;
    differs |= differs >> 8;
    return static_cast<u8>(~differs);
}

/// The word that a CPU byte becomes in write modes 0 to 3, bit mask and latches applied.
u32 Vga::combine(u8 value) const {
    const State& s = state_;
    unsigned mode = s.graphics[5] & 3, rotate = s.graphics[3] & 7;
    u8 rotated = static_cast<u8>(value >> rotate | value << (8 - rotate));
    u8 bits = s.graphics[8];
    u32 data = 0;
    switch (mode) {
        case 0: {
            u32 by_set_reset = planes(s.graphics[1]);
            data = (repeat(rotated) & ~by_set_reset) | (planes(s.graphics[0]) & by_set_reset);
            break;
        }
        case 1: return s.latch;
        case 2: data = planes(value & 15u); break;
        default: data = planes(s.graphics[0]); bits &= rotated;
    }
    switch (s.graphics[3] >> 3 & 3) {
        case 1: data &= s.latch; break;
        case 2: data |= s.latch; break;
        case 3: data ^= s.latch; break;
        default: break;
    }
    u32 mask = repeat(bits);
    return (data & mask) | (s.latch & ~mask);
}

void Vga::window_write(u32 offset, u8 value) {
    State& s = state_;
    u32 where = 0;
    if (!window_address(offset, where)) return;
    unsigned enabled = s.sequencer[2];
    if (s.sequencer[4] & kChain4) {
        if (!(enabled >> (where & 3) & 1)) return;
        return vram_.store8(dispi_on() ? where : (where & ~3u) * 4 + (where & 3), value);
    }
    if (!(s.sequencer[4] & kSequential)) {
        enabled &= where & 1 ? 0xA : 0x5;
        where &= ~1u;
    }
    u32 mask = planes(enabled);
    if (mask == 0) return;
    u32 old = mask == ~u32{0} ? 0 : vram_.load32(where * 4);
    vram_.store32(where * 4, (combine(value) & mask) | (old & ~mask));
}

}  // namespace shadowbox
