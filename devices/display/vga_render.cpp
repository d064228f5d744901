// SPDX-License-Identifier: MIT
// Frames and text out of the frame buffer: what a display would show. Reads with peek(), so looking makes no
// page resident. FreeVGA, "CRTC Registers" and "Attribute Controller".
#include <algorithm>
#include <array>

#include "devices/display/vga.h"

namespace shadowbox {

namespace {

constexpr u32 kPlaneBytes = 65536;
using Planes = std::vector<u32>;  // word n: byte n of each plane

/// Code page 437 from 80h on, and the symbols below 20h, as Unicode.
constexpr std::array<u16, 32> kLowSymbols = {0x20,   0x263A, 0x263B, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022,
                                             0x25D8, 0x25CB, 0x25D9, 0x2642, 0x2640, 0x266A, 0x266B, 0x263C,
                                             0x25BA, 0x25C4, 0x2195, 0x203C, 0xB6,   0xA7,   0x25AC, 0x21A8,
                                             0x2191, 0x2193, 0x2192, 0x2190, 0x221F, 0x2194, 0x25B2, 0x25BC};
constexpr std::array<u16, 128> kHighSymbols = {
    0xC7,   0xFC,   0xE9,   0xE2,   0xE4,   0xE0,   0xE5,   0xE7,   0xEA,   0xEB,   0xE8,   0xEF,   0xEE,
    0xEC,   0xC4,   0xC5,   0xC9,   0xE6,   0xC6,   0xF4,   0xF6,   0xF2,   0xFB,   0xF9,   0xFF,   0xD6,
    0xDC,   0xA2,   0xA3,   0xA5,   0x20A7, 0x192,  0xE1,   0xED,   0xF3,   0xFA,   0xF1,   0xD1,   0xAA,
    0xBA,   0xBF,   0x2310, 0xAC,   0xBD,   0xBC,   0xA1,   0xAB,   0xBB,   0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255D, 0x255C, 0x255B, 0x2510, 0x2514,
    0x2534, 0x252C, 0x251C, 0x2500, 0x253C, 0x255E, 0x255F, 0x255A, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
    0x256C, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256B, 0x256A, 0x2518, 0x250C,
    0x2588, 0x2584, 0x258C, 0x2590, 0x2580, 0x3B1,  0xDF,   0x393,  0x3C0,  0x3A3,  0x3C3,  0xB5,   0x3C4,
    0x3A6,  0x398,  0x3A9,  0x3B4,  0x221E, 0x3C6,  0x3B5,  0x2229, 0x2261, 0xB1,   0x2265, 0x2264, 0x2320,
    0x2321, 0xF7,   0x2248, 0xB0,   0x2219, 0xB7,   0x221A, 0x207F, 0xB2,   0x25A0, 0xA0};

void append_utf8(std::string& text, u8 character) {
    unsigned code = character < 0x20   ? kLowSymbols[character]
                    : character < 0x7F ? character
                    : character < 0x80 ? 0x2302u
                                       : kHighSymbols[character - 0x80];
    if (code < 0x80) {
        text += static_cast<char>(code);
    } else if (code < 0x800) {
        text += static_cast<char>(0xC0 | code >> 6);
        text += static_cast<char>(0x80 | (code & 0x3F));
    } else {
        text += static_cast<char>(0xE0 | code >> 12);
        text += static_cast<char>(0x80 | (code >> 6 & 0x3F));
        text += static_cast<char>(0x80 | (code & 0x3F));
    }
}

Planes read_planes(const VgaMemory& vram) {
    Planes planes(kPlaneBytes);
    vram.peek(0, std::span<u8>(reinterpret_cast<u8*>(planes.data()), planes.size() * 4));
    return planes;
}

constexpr u32 rgb(u32 red, u32 green, u32 blue) { return red << 16 | green << 8 | blue; }
constexpr u32 from5(u32 value) { return value << 3 | value >> 2; }
constexpr u32 from6(u32 value) { return value << 2 | value >> 4; }

}  // namespace

/// How the CRTC walks through memory.
struct Vga::Scan {
    unsigned columns;  // character clocks a line
    unsigned lines;    // scan lines, before any are joined
    u32 start, row;    // address counter: of the first line, from row to row
    unsigned compare;  // after this scan line the counter starts again at 0 (split screen)
    bool dword, word;  // how the counter addresses the planes
    bool word_a15;     // word mode fills bit 0 with MA15, not MA13

    u32 address(u32 counter) const {
        if (dword) return (counter << 2 | (counter >> 14 & 3)) & (kPlaneBytes - 1);
        if (word) return (counter << 1 | (counter >> (word_a15 ? 15 : 13) & 1)) & (kPlaneBytes - 1);
        return counter & (kPlaneBytes - 1);
    }
};

Vga::Scan Vga::scan() const {
    const u8* c = state_.crtc;
    Scan result{};
    result.columns = c[1] + 1u;
    result.lines = (c[0x12] | (c[7] & 0x02) << 7 | (c[7] & 0x40) << 3) + 1u;
    result.start = u32{c[0x0C]} << 8 | c[0x0D];
    result.row = c[0x13] * 2u;
    result.compare = c[0x18] | (c[7] & 0x10u) << 4 | (c[9] & 0x40u) << 3;
    result.dword = c[0x14] & 0x40;
    result.word = !(c[0x17] & 0x40);
    result.word_a15 = c[0x17] & 0x20;
    return result;
}

struct Vga::TextMode {
    unsigned columns, rows, cell_width, cell_height;
};

Vga::TextMode Vga::text_mode() const {
    Scan s = scan();
    TextMode mode{};
    mode.columns = s.columns;
    mode.cell_width = state_.sequencer[1] & 1 ? 8 : 9;
    mode.cell_height = (state_.crtc[9] & 31u) + 1;
    unsigned doubled = state_.crtc[9] >> 7;
    mode.rows = std::max(1u, (s.lines >> doubled) / mode.cell_height);
    return mode;
}

// --- colors ---

bool Vga::blank() const {
    if (dispi_on()) return false;
    return !(state_.attribute_index & 0x20) || (state_.sequencer[1] & 0x20);
}

u32 Vga::dac_color(u8 index) const {
    const u8* entry = &state_.palette[(index & state_.dac_mask) * 3];
    if (eight_bit_dac()) return rgb(entry[0], entry[1], entry[2]);
    return rgb(from6(entry[0] & 63u), from6(entry[1] & 63u), from6(entry[2] & 63u));
}

/// A 4-bit pixel through palette and color select.
u32 Vga::attribute_color(u8 value) const {
    const u8* a = state_.attribute;
    u8 color = a[value & 15];
    if (a[0x10] & 0x80)
        color = static_cast<u8>((color & 0x0F) | (a[0x14] & 0x0F) << 4);
    else
        color = static_cast<u8>((color & 0x3F) | (a[0x14] & 0x0C) << 4);
    return dac_color(color);
}

// --- text ---

std::vector<std::string> Vga::text_screen() const {
    std::vector<std::string> lines;
    if (!text()) return lines;
    Planes planes = read_planes(vram_);
    Scan s = scan();
    TextMode mode = text_mode();
    for (unsigned row = 0; row < mode.rows; ++row) {
        std::string line;
        std::size_t last = 0;
        for (unsigned column = 0; column < mode.columns; ++column) {
            u8 character = static_cast<u8>(planes[s.address(s.start + row * s.row + column)]);
            append_utf8(line, character);
            if (character != ' ' && character != 0) last = line.size();
        }
        line.resize(last);
        lines.push_back(std::move(line));
    }
    return lines;
}

void Vga::render_text(VgaFrame& frame) const {
    const State& r = state_;
    Planes planes = read_planes(vram_);
    Scan s = scan();
    TextMode mode = text_mode();
    frame.width = mode.columns * mode.cell_width;
    frame.height = mode.rows * mode.cell_height;
    frame.pixels.assign(std::size_t{frame.width} * frame.height, 0);
    std::array<u32, 16> colors;  // text ignores "color plane enable", as QEMU
    for (u8 i = 0; i < 16; ++i) colors[i] = attribute_color(i);
    // Two fonts, chosen by attribute bit 3 (sequencer 3); each is 8 KiB of plane 2, 32 bytes a character.
    u8 select = r.sequencer[3];
    unsigned font_a = (select >> 2 & 3u) | (select >> 3 & 4u), font_b = (select & 3u) | (select >> 2 & 4u);
    auto font_base = [](unsigned n) { return (n & 3) * 0x4000 + (n >> 2) * 0x2000; };
    u32 cursor = u32{r.crtc[0x0E]} << 8 | r.crtc[0x0F];
    unsigned cursor_first = r.crtc[0x0A] & 31, cursor_last = r.crtc[0x0B] & 31;
    bool cursor_off = r.crtc[0x0A] & 0x20;
    bool wide_lines = r.attribute[0x10] & 0x04;
    for (unsigned row = 0; row < mode.rows; ++row) {
        for (unsigned column = 0; column < mode.columns; ++column) {
            u32 counter = s.start + row * s.row + column;
            u32 cell = planes[s.address(counter)];
            u8 character = static_cast<u8>(cell), look = static_cast<u8>(cell >> 8);
            u32 ink = colors[look & 15];
            u32 paper =
                colors[r.attribute[0x10] & 0x08 ? look >> 4 & 7 : look >> 4];  // bit 7 may mean blinking
            u32 glyph = font_base(look & 8 ? font_a : font_b) + character * 32u;
            bool repeat_last = wide_lines && character >= 0xC0 && character <= 0xDF;
            for (unsigned y = 0; y < mode.cell_height; ++y) {
                u8 bits = static_cast<u8>(planes[(glyph + y) & (kPlaneBytes - 1)] >> 16);
                bool in_cursor = !cursor_off && counter == cursor && y >= cursor_first && y <= cursor_last;
                if (in_cursor) bits = 0xFF;
                u32* out = &frame.pixels[std::size_t{row * mode.cell_height + y} * frame.width +
                                         column * mode.cell_width];
                for (unsigned x = 0; x < 8; ++x) out[x] = bits & 0x80 >> x ? ink : paper;
                if (mode.cell_width == 9) out[8] = (repeat_last && (bits & 1)) || in_cursor ? ink : paper;
            }
        }
    }
}

// --- VGA graphics: 16 colors, CGA's 4 colors, 256 colors ---

void Vga::render_planar(VgaFrame& frame) const {
    const State& r = state_;
    Planes planes = read_planes(vram_);
    Scan s = scan();
    unsigned shift_mode = r.graphics[5] >> 5 & 3;
    bool packed = shift_mode >= 2;  // 256 colors, 4 pixels a word
    u8 control = r.crtc[0x17];
    unsigned scans = (r.crtc[9] & 31u) + 1, doubled = r.crtc[9] >> 7;
    bool interleaved = (control & 3) != 3;  // row scan bits in the address, as on CGA and Hercules
    unsigned joined = (interleaved ? 1 : scans) << doubled;  // scan lines that show the same pixels
    unsigned per_word = packed ? 4 : 8;
    frame.width = s.columns * per_word;
    frame.height = std::max(1u, s.lines / joined);
    frame.pixels.assign(std::size_t{frame.width} * frame.height, 0);
    std::array<u32, 16> colors;
    for (u8 i = 0; i < 16; ++i) colors[i] = attribute_color(i & plane_enable());
    unsigned pan = r.attribute[0x13] & 7;
    if (packed) pan /= 2;
    unsigned split = s.compare / joined;
    for (unsigned y = 0; y < frame.height; ++y) {
        bool below = y > split;
        unsigned line = below ? y - split - 1 : y;
        u32 counter = (below ? 0 : s.start) + (interleaved ? line / scans : line) * s.row;
        unsigned row_scan = interleaved ? line % scans : 0;
        u32* out = &frame.pixels[std::size_t{y} * frame.width];
        for (unsigned x = 0; x < frame.width; ++x) {
            unsigned at = x + (below && (r.attribute[0x10] & 0x20) ? 0 : pan), bit = 7 - at % 8;
            u32 address = s.address(counter + at / per_word);
            if (!(control & 1)) address = (address & ~0x2000u) | (row_scan & 1) << 13;
            if (!(control & 2)) address = (address & ~0x4000u) | (row_scan >> 1 & 1) << 14;
            u32 word = planes[address];
            if (packed) {
                out[x] = dac_color(static_cast<u8>(word >> at % 4 * 8));
            } else if (shift_mode == 1) {
                // Two bits a pixel: the left half of the 8 from planes 0 and 2, the right from 1 and 3.
                u32 half = word >> (at % 8 < 4 ? 0 : 8), position = 6 - at % 4 * 2;
                out[x] = colors[(half >> position & 3) | (half >> 16 >> position & 3) << 2];
            } else {
                out[x] = colors[(word >> bit & 1) | (word >> (8 + bit) & 1) << 1 |
                                (word >> (16 + bit) & 1) << 2 | (word >> (24 + bit) & 1) << 3];
            }
        }
    }
}

// --- DISPI modes ---

void Vga::render_dispi(VgaFrame& frame) const {
    const u16* d = state_.dispi;
    unsigned bits = d[3];
    frame.width = d[1];
    frame.height = d[2];
    frame.pixels.resize(std::size_t{frame.width} * frame.height);
    unsigned bytes = (bits + 7) / 8;
    std::array<u32, 256> colors;
    for (unsigned i = 0; i < 256; ++i)
        colors[i] =
            bits == 4 ? attribute_color(static_cast<u8>(i & plane_enable())) : dac_color(static_cast<u8>(i));
    // In 16-color modes a pixel row is virtual width / 8 words of four planes, 4 bytes each.
    u64 row_bytes = bits == 4 ? u64{d[6]} / 2 : dispi_pitch();
    u64 first = u64{d[9]} * row_bytes + (bits == 4 ? u64{d[8]} / 8 * 4 : u64{d[8]} * bytes);
    std::vector<u8> row(bits == 4 ? frame.width / 2 : frame.width * bytes);
    for (unsigned y = 0; y < frame.height; ++y) {
        vram_.peek(first + y * row_bytes, row);
        u32* out = &frame.pixels[std::size_t{y} * frame.width];
        for (unsigned x = 0; x < frame.width; ++x) {
            const u8* p = &row[bits == 4 ? x / 8 * 4 : x * bytes];
            u32 value = bytes >= 2 ? p[0] | u32{p[1]} << 8 : p[0];
            unsigned bit = 7 - x % 8;
            switch (bits) {
                case 4:
                    out[x] = colors[(p[0] >> bit & 1) | (p[1] >> bit & 1) << 1 | (p[2] >> bit & 1) << 2 |
                                    (p[3] >> bit & 1) << 3];
                    break;
                case 8: out[x] = colors[value]; break;
                case 15:
                    out[x] = rgb(from5(value >> 10 & 31), from5(value >> 5 & 31), from5(value & 31));
                    break;
                case 16: out[x] = rgb(from5(value >> 11), from6(value >> 5 & 63), from5(value & 31)); break;
                default: out[x] = rgb(p[2], p[1], p[0]);
            }
        }
    }
}

void Vga::render(VgaFrame& frame) const {
    if (blank()) {
        frame.width = 640;
        frame.height = 400;
        frame.pixels.assign(std::size_t{640} * 400, 0);
    } else if (dispi_on()) {
        render_dispi(frame);
    } else if (text()) {
        render_text(frame);
    } else {
        render_planar(frame);
    }
}

}  // namespace shadowbox
