// SPDX-License-Identifier: MIT
// Register values of mode 3 with 400 lines: IBM VGA technical reference, "Video mode tables"; FreeVGA.
#include "vmm/boot/text_mode.h"

#include <algorithm>
#include <array>

#include "devices/bus/io_bus.h"

namespace shadowbox {

namespace {

constexpr u16 kAttribute = 0x3C0, kMisc = 0x3C2, kSequencer = 0x3C4, kDacMask = 0x3C6, kDacWrite = 0x3C8,
              kGraphics = 0x3CE, kCrtc = 0x3D4, kStatus = 0x3DA;
constexpr unsigned kCharacters = 256, kHeight = 16, kFontStride = 32;
constexpr u64 kFontWindow = 0xA0000, kTextWindow = 0xB8000;

constexpr std::array<u8, 25> kCrtcValues = {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00,
                                            0x4F, 0x0D, 0x0E, 0x00, 0x00, 0x00, 0x00, 0x9C, 0x0E,
                                            0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF};
constexpr std::array<u8, 5> kSequencerValues = {0x03, 0x00, 0x03, 0x00, 0x02};
constexpr std::array<u8, 9> kGraphicsValues = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x0F, 0xFF};
constexpr std::array<u8, 21> kAttributeValues = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
                                                 0x07, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D,
                                                 0x3E, 0x3F, 0x0C, 0x00, 0x0F, 0x08, 0x00};

void set(PortBus& ports, u16 index_port, unsigned index, u8 value) {
    ports.write(index_port, 1, index);
    ports.write(static_cast<u16>(index_port + 1), 1, value);
}

template <std::size_t N>
void set_all(PortBus& ports, u16 index_port, const std::array<u8, N>& values) {
    for (unsigned i = 0; i < N; ++i) set(ports, index_port, i, values[i]);
}

/// The 64 colors of the EGA: two bits for each of red, green and blue, in the order r g b R G B.
void set_palette(PortBus& ports) {
    ports.write(kDacMask, 1, 0xFF);
    ports.write(kDacWrite, 1, 0);
    for (unsigned color = 0; color < 64; ++color)
        for (unsigned bit : {2u, 1u, 0u})
            ports.write(kDacWrite + 1, 1,
                        (color >> bit & 1 ? 0x2A : 0) + (color >> (bit + 3) & 1 ? 0x15 : 0));
}

/// Plane 2 is seen flat at A0000H meanwhile.
void load_font(PortBus& ports, MmioBus& mmio, std::span<const u8> font) {
    set(ports, kSequencer, 2, 0x04), set(ports, kSequencer, 4, 0x06);
    set(ports, kGraphics, 5, 0x00), set(ports, kGraphics, 6, 0x04);
    for (unsigned c = 0; c < kCharacters; ++c)
        for (unsigned y = 0; y < kHeight; ++y)
            mmio.write(Gpa(kFontWindow + c * kFontStride + y), 1, font[c * kHeight + y]);
    set_all(ports, kSequencer, kSequencerValues);
    set_all(ports, kGraphics, kGraphicsValues);
}

}  // namespace

std::vector<u8> vga_font(std::span<const u8> vga_bios) {
    // INT 10H, AX=1130H would tell where the font is; without running the ROM its letter A does.
    static constexpr std::array<u8, kHeight> kLetterA = {0,    0,    0x10, 0x38, 0x6C, 0xC6, 0xC6, 0xFE,
                                                         0xC6, 0xC6, 0xC6, 0xC6, 0,    0,    0,    0};
    auto found = std::search(vga_bios.begin(), vga_bios.end(), kLetterA.begin(), kLetterA.end());
    std::size_t at = static_cast<std::size_t>(found - vga_bios.begin()), before = 'A' * kHeight;
    if (found == vga_bios.end() || at < before || vga_bios.size() - (at - before) < kCharacters * kHeight)
        return {};
    auto first = found - static_cast<std::ptrdiff_t>(before);
    return {first, first + kCharacters * kHeight};
}

void set_text_mode(PortBus& ports, MmioBus& mmio, std::span<const u8> font) {
    ports.write(kMisc, 1, 0x67);
    set_all(ports, kSequencer, kSequencerValues);
    set(ports, kCrtc, 0x11, 0x0E);  // registers 0 to 7 writable
    set_all(ports, kCrtc, kCrtcValues);
    set(ports, kCrtc, 0x11, 0x8E);
    set_all(ports, kGraphics, kGraphicsValues);
    set_palette(ports);
    load_font(ports, mmio, font);
    for (u64 at = 0; at < 0x8000; at += 2) mmio.write(Gpa(kTextWindow + at), 2, 0x0720);
    ports.read(kStatus, 1);  // the next write to 3C0H is an index
    for (unsigned i = 0; i < kAttributeValues.size(); ++i) {
        ports.write(kAttribute, 1, i);
        ports.write(kAttribute, 1, kAttributeValues[i]);
    }
    ports.write(kAttribute, 1, 0x20);  // picture on
}

std::vector<u8> text_screen_info() {
    std::vector<u8> info(0x12);
    info[0x06] = 3;  // mode
    info[0x07] = 80;
    info[0x0A] = 3;  // BL of INT 10H, AH=12H: 256 KiB
    info[0x0E] = 25;
    info[0x0F] = 1;  // a VGA
    info[0x10] = kHeight;
    return info;
}

}  // namespace shadowbox
