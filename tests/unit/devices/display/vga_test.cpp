// SPDX-License-Identifier: MIT
// The display adapter, programmed as the VGA BIOS, Linux and Bochs-style drivers do.
#include <catch2/catch.hpp>

#include "core/seeded_random.h"
#include "devices/display/vga.h"
#include "tests/unit/devices/chipset/pci_board.h"

using namespace shadowbox;
using Bytes = std::vector<u8>;

namespace {

struct VgaTest : test::PciBoard {
    Vga vga{time.timers, memory.guest, [](std::function<void()> work) { work(); }, {0x55, 0xAA, 0x20}};
    VgaFrame frame;
    VgaTest() {
        pci.add(2, 0, vga);
        add(layout::kVga, vga.ports());
        add(layout::kVbeDispi, vga.dispi_ports());
        mmio.add(Gpa(layout::kVgaWindow.first), layout::kVgaWindow.size, vga.window(), "vga");
        devices.push_back(&vga);
    }
    void pair(u16 port, u8 index, u8 value) { out16(port, index | value << 8); }
    void attribute(u8 index, u8 value) {
        in8(0x3DA);
        out8(0x3C0, index), out8(0x3C0, value);
    }
    void dac(u8 index, u8 red, u8 green, u8 blue) {
        out8(0x3C8, index);
        out8(0x3C9, red), out8(0x3C9, green), out8(0x3C9, blue);
    }
    void screen_on() {
        in8(0x3DA);
        out8(0x3C0, 0x20);
    }
    void palette16() {
        for (u8 i = 0; i < 16; ++i) attribute(i, i);
        attribute(0x12, 15);
        for (u8 i = 0; i < 16; ++i) dac(i, i * 4, i * 2, i);
    }
    static u32 color(u8 i) {
        auto wide = [](u32 v) { return v << 2 | v >> 4; };
        return wide(i * 4u) << 16 | wide(i * 2u) << 8 | wide(i);
    }
    /// Registers of text mode 3 in 8-dot characters, 80 x 25 cells of 16 lines.
    void text_mode() {
        out8(0x3C2, 0x67);
        pair(0x3C4, 1, 0x01), pair(0x3C4, 2, 0x03), pair(0x3C4, 3, 0x00), pair(0x3C4, 4, 0x02);
        pair(0x3D4, 0x11, 0x0E);
        u8 crtc[] = {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0,
                     0,    0,    0,    0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF};
        for (u8 i = 0; i < 25; ++i) pair(0x3D4, i, crtc[i]);
        pair(0x3CE, 5, 0x10), pair(0x3CE, 6, 0x0E), pair(0x3CE, 8, 0xFF), pair(0x3CE, 1, 0),
            pair(0x3CE, 3, 0);
        palette16();
        attribute(0x10, 0x0C);
        screen_on();
    }
    void planar_window() {
        pair(0x3C4, 4, 0x06), pair(0x3C4, 2, 0x0F), pair(0x3CE, 6, 0x05), pair(0x3CE, 5, 0x00);
        pair(0x3CE, 8, 0xFF), pair(0x3CE, 3, 0), pair(0x3CE, 1, 0);
    }
    void graphics_mode(u8 offset, u8 mode_control, u8 underline, u8 shift) {
        text_mode();
        planar_window();
        pair(0x3CE, 5, shift);
        pair(0x3D4, 0x11, 0x0E), pair(0x3D4, 9, 0x40), pair(0x3D4, 0x13, offset),
            pair(0x3D4, 0x17, mode_control);
        pair(0x3D4, 0x14, underline);
        screen_on();
    }
    void poke(u64 where, u32 value, unsigned size = 1) { mmio.write(Gpa(where), size, value); }
    u8 look(u64 where) { return static_cast<u8>(mmio.read(Gpa(where), 1)); }
    void dispi(u16 index, u16 value) { out16(0x1CE, index), out16(0x1CF, value); }
    u16 dispi(u16 index) {
        out16(0x1CE, index);
        return in16(0x1CF);
    }
    void dispi_mode(u16 width, u16 height, u16 bits, u16 enable = 0x41) {
        dispi(4, 0);
        dispi(1, width), dispi(2, height), dispi(3, bits);
        dispi(4, enable);
    }
    void place_bar(u32 where) { set_config(2, 0, 0x10, where), set_config(2, 0, 4, 3, 2); }
};

}  // namespace

TEST_CASE("vga: text mode shows characters, their glyphs, colors and the cursor") {
    VgaTest t;
    t.text_mode();
    std::string text = "Hello, \x81 world";
    for (std::size_t i = 0; i < text.size(); ++i)
        t.poke(0xB8000 + 160 + i * 2, static_cast<u8>(text[i]) | 0x1E00, 2);
    auto lines = t.vga.text_screen();
    REQUIRE(lines.size() == 25);
    CHECK(lines[0].empty());
    CHECK(lines[1] == "Hello, \xC3\xBC world");
    // The font is in plane 2.
    t.planar_window();
    t.pair(0x3C4, 2, 0x04);
    for (unsigned y = 0; y < 16; ++y) t.poke(0xA0000 + 'H' * 32u + y, y == 3 ? 0x81 : 0x00);
    t.pair(0x3C4, 2, 0x03), t.pair(0x3C4, 4, 0x02), t.pair(0x3CE, 5, 0x10), t.pair(0x3CE, 6, 0x0E);
    t.pair(0x3D4, 0x0E, 0), t.pair(0x3D4, 0x0F, 81);
    t.vga.render(t.frame);
    CHECK(t.frame.width == 640);
    CHECK(t.frame.height == 400);
    auto pixel = [&](unsigned x, unsigned y) { return t.frame.pixels[y * 640 + x]; };
    CHECK(pixel(0, 19) == VgaTest::color(14));
    CHECK(pixel(1, 19) == VgaTest::color(1));
    CHECK(pixel(7, 19) == VgaTest::color(14));
    CHECK(pixel(8, 16 + 13) == VgaTest::color(14));  // cursor, lines 13 and 14
    CHECK(pixel(8, 16 + 12) == VgaTest::color(1));
    t.pair(0x3D4, 0x0A, 0x20);
    t.vga.render(t.frame);
    CHECK(pixel(8, 16 + 13) == VgaTest::color(1));
    t.pair(0x3D4, 0x0D, 80);
    CHECK(t.vga.text_screen()[0] == "Hello, \xC3\xBC world");
    t.in8(0x3DA), t.out8(0x3C0, 0);  // the palette is the CPU's: the screen is dark
    t.vga.render(t.frame);
    CHECK(pixel(0, 3) == 0);
}

TEST_CASE("vga: write modes, latches, set/reset, bit mask and logic") {
    VgaTest t;
    t.text_mode();
    t.planar_window();
    auto plane = [&](u8 n, u64 where) {
        t.pair(0x3CE, 4, n);
        return t.look(where);
    };
    t.pair(0x3C4, 2, 0x05);
    t.poke(0xA0010, 0xC3);
    CHECK(plane(0, 0xA0010) == 0xC3);
    CHECK(plane(1, 0xA0010) == 0x00);
    CHECK(plane(2, 0xA0010) == 0xC3);
    t.pair(0x3C4, 2, 0x0F);
    t.look(0xA0010);                             // latches
    t.pair(0x3CE, 5, 0x01), t.poke(0xA0020, 0);  // mode 1 copies them
    CHECK(plane(2, 0xA0020) == 0xC3);
    CHECK(plane(3, 0xA0020) == 0x00);
    t.pair(0x3CE, 5, 0x02), t.pair(0x3CE, 8, 0x0F);  // mode 2: a color through the bit mask
    t.look(0xA0010), t.poke(0xA0010, 0x0A);
    CHECK(plane(0, 0xA0010) == 0xC0);
    CHECK(plane(1, 0xA0010) == 0x0F);
    t.pair(0x3CE, 5, 0x03), t.pair(0x3CE, 8, 0xFF), t.pair(0x3CE, 0, 0x01);  // mode 3: data is a mask
    t.look(0xA0030), t.poke(0xA0030, 0x18);
    CHECK(plane(0, 0xA0030) == 0x18);
    CHECK(plane(1, 0xA0030) == 0x00);
    t.pair(0x3CE, 5, 0x00), t.pair(0x3CE, 0, 0x02), t.pair(0x3CE, 1, 0x02);  // set/reset in plane 1
    t.pair(0x3CE, 3, 0x04), t.look(0xA0040), t.poke(0xA0040, 0xF1);          // rotated by 4
    CHECK(plane(0, 0xA0040) == 0x1F);
    CHECK(plane(1, 0xA0040) == 0xFF);
    t.pair(0x3CE, 1, 0), t.pair(0x3CE, 3, 0x18);  // XOR
    t.look(0xA0040), t.poke(0xA0040, 0x0F);
    CHECK(plane(0, 0xA0040) == 0x10);
    t.pair(0x3CE, 5, 0x08), t.pair(0x3CE, 2, 0x01), t.pair(0x3CE, 7, 0x01);  // read mode 1
    CHECK(t.look(0xA0040) == 0x10);
}

TEST_CASE("vga: 16-color planar graphics") {
    VgaTest t;
    t.graphics_mode(40, 0xE3, 0, 0);
    t.pair(0x3CE, 5, 0x02);
    t.pair(0x3CE, 8, 0x40);
    t.look(0xA0000 + 80), t.poke(0xA0000 + 80, 11);
    t.vga.render(t.frame);
    CHECK(t.frame.width == 640);
    CHECK(t.frame.height == 400);
    CHECK(t.frame.pixels[640 + 1] == VgaTest::color(11));
    CHECK(t.frame.pixels[640] == VgaTest::color(0));
    CHECK(t.vga.text_screen().empty());
}

TEST_CASE("vga: mode 13h, 320x200 in 256 colors through chain 4") {
    VgaTest t;
    t.graphics_mode(40, 0xA3, 0x40, 0x40);
    t.pair(0x3D4, 9, 0x41);
    t.pair(0x3C4, 4, 0x0E);
    t.dac(200, 63, 0, 32);
    t.poke(0xA0000 + 320 * 3 + 5, 200);
    CHECK(t.look(0xA0000 + 320 * 3 + 5) == 200);
    t.vga.render(t.frame);
    CHECK(t.frame.width == 320);
    CHECK(t.frame.height == 200);
    CHECK(t.frame.pixels[320 * 3 + 5] == 0xFF0082);
    CHECK(t.frame.pixels[320 * 3 + 4] == 0);
}

TEST_CASE("vga: CGA graphics interleave lines and pack two bits a pixel") {
    VgaTest t;
    t.graphics_mode(0x14, 0xA2, 0, 0x20);
    t.pair(0x3D4, 1, 39), t.pair(0x3D4, 9, 0xC1);
    t.pair(0x3C4, 4, 0x02), t.pair(0x3C4, 2, 0x03), t.pair(0x3CE, 5, 0x30), t.pair(0x3CE, 6, 0x0F);
    t.poke(0xB8000, 0x1B);           // line 0, pixels 0-3: colors 0 1 2 3
    t.poke(0xBA000 + 1, 0xC0);       // line 1, pixel 4: color 3
    t.poke(0xB8000 + 80 + 2, 0x80);  // line 2, pixel 8: color 2
    t.vga.render(t.frame);
    CHECK(t.frame.width == 320);
    CHECK(t.frame.height == 200);
    auto pixel = [&](unsigned x, unsigned y) { return t.frame.pixels[y * 320 + x]; };
    for (u8 i = 0; i < 4; ++i) CHECK(pixel(i, 0) == VgaTest::color(i));
    CHECK(pixel(4, 1) == VgaTest::color(3));
    CHECK(pixel(8, 2) == VgaTest::color(2));
}

TEST_CASE("vga: DISPI modes of every depth are drawn from the frame buffer BAR") {
    VgaTest t;
    t.place_bar(0xE0000008);
    CHECK(t.dispi(0) == 0xB0C5);
    CHECK(t.dispi(10) == 256);
    t.dispi(4, 2);
    CHECK(t.dispi(1) >= 2560);
    auto put = [&](u64 offset, Bytes bytes) { CHECK(t.memory.guest.write(Gpa(0xE0000000 + offset), bytes)); };
    auto shows = [&](unsigned x, unsigned y) {
        t.vga.render(t.frame);
        return t.frame.pixels.at(y * t.frame.width + x);
    };
    t.dispi_mode(800, 600, 32);
    put((800 * 2 + 3) * 4, {0x11, 0x22, 0x33, 0});
    CHECK(shows(3, 2) == 0x332211);
    CHECK(t.frame.height == 600);
    t.dispi_mode(640, 480, 24);
    CHECK(shows(3, 2) == 0);  // cleared
    put((640 * 2 + 3) * 3, {0x11, 0x22, 0x33});
    CHECK(shows(3, 2) == 0x332211);
    t.dispi_mode(640, 480, 16);
    put((640 + 1) * 2, {0x1F, 0xF8});
    CHECK(shows(1, 1) == 0xFF00FF);
    t.dispi_mode(640, 480, 15);
    put((640 + 1) * 2, {0xE0, 0x03});
    CHECK(shows(1, 1) == 0x00FF00);
    t.out8(0x3C6, 0xFF);
    t.dispi_mode(640, 480, 8);
    t.dac(7, 63, 63, 0);
    put(640 + 1, {7});
    CHECK(shows(1, 1) == 0xFFFF00);
    t.dispi(4, 0x61);
    t.dac(7, 0x12, 0x34, 0x56);
    CHECK(shows(1, 1) == 0x123456);
}

TEST_CASE("vga: virtual screens scroll, NOCLEAR keeps the picture, banks reach all memory") {
    VgaTest t;
    t.place_bar(0xE0000008);
    t.dispi_mode(640, 480, 8);
    t.dispi(6, 1024);
    CHECK(t.dispi(6) == 1024);
    CHECK(t.dispi(7) == 16384);
    t.dac(9, 63, 63, 63);
    t.memory.guest.write(Gpa(0xE0000000 + 1024 * 500 + 700), Bytes{9});
    t.dispi(8, 690), t.dispi(9, 498);
    t.vga.render(t.frame);
    CHECK(t.frame.pixels[2 * 640 + 10] == 0xFFFFFF);
    t.dispi(5, 7);  // 1024 * 500 + 700 lies in bank 7
    CHECK(t.look(0xA0000 + (1024 * 500 + 700) % 65536) == 9);
    t.poke(0xA0001, 5);
    CHECK(t.guest(0xE0000000 + 7 * 65536 + 1, 1)[0] == 5);
    t.dispi_mode(1024, 512, 8, 0xC1);
    CHECK(t.guest(0xE0000000 + 1024 * 500 + 700, 1)[0] == 9);
    t.dispi_mode(1024, 512, 8, 0x41);
    CHECK(t.guest(0xE0000000 + 1024 * 500 + 700, 1)[0] == 0);
}

TEST_CASE("vga: the frame buffer follows BAR 0, keeps its bytes and never replaces other memory") {
    VgaTest t;
    test::Quiet quiet;
    CHECK(t.vga.memory().location() == VgaMemory::kParked);
    t.text_mode();
    t.poke(0xB8000, 'x');
    t.place_bar(0xE0000008);
    CHECK(t.guest(0xE0000000, 1)[0] == 'x');
    t.set_config(2, 0, 0x10, 0xE1000000);
    CHECK(t.guest(0xE1000000, 1)[0] == 'x');
    CHECK(t.guest(0xE0000000, 1)[0] == 0xFF);
    t.set_config(2, 0, 0x10, 0xFFFFFFFF);
    CHECK(t.vga.memory().location() == VgaMemory::kParked);
    t.memory.guest.write(Gpa(0x100000), Bytes{0x77});
    t.set_config(2, 0, 0x10, 0x00000008);
    CHECK(t.guest(0x100000, 1)[0] == 0x77);
    t.memory.guest.map_ram(Ppn(0xE2800), 1);
    t.set_config(2, 0, 0x10, 0xE2000008);
    CHECK(t.vga.memory().location() == VgaMemory::kParked);
    t.poke(0xB8001, 0x42);
    CHECK(t.look(0xB8001) == 0x42);
}

TEST_CASE("vga: BAR 2 mirrors ports and DISPI registers; the ROM BAR has the VGA BIOS") {
    VgaTest t;
    t.set_config(2, 0, 0x18, 0xE2000000), t.set_config(2, 0, 0x30, 0xE2010001), t.set_config(2, 0, 4, 2, 2);
    CHECK(t.config(2, 0, 0x0A, 2) == 0x0300);
    CHECK(t.load(0xE2000600) == 8);
    CHECK(t.load(0xE2000604) == 0x1E1E1E1E);
    CHECK(t.mmio.read(Gpa(0xE2000500), 2) == 0xB0C5);
    t.mmio.write(Gpa(0xE2000502), 2, 1280);
    CHECK(t.dispi(1) == 1280);
    t.mmio.write(Gpa(0xE2000404), 1, 4), t.mmio.write(Gpa(0xE2000405), 1, 0x0E);
    t.out8(0x3C4, 4);
    CHECK(t.in8(0x3C5) == 0x0E);
    CHECK(t.load(0xE2010000) == 0xFF20AA55);
}

TEST_CASE("vga: retrace bits change with time, the CRTC hides at the other address, locked registers stay") {
    VgaTest t;
    t.out8(0x3C2, 0x67);
    bool seen[2] = {};
    for (unsigned i = 0; i < 2000; ++i) {
        seen[(t.in8(0x3DA) & 8) != 0] = true;
        t.time.clock.now_ += 10'000;
    }
    CHECK((seen[0] && seen[1]));
    CHECK(t.in8(0x3B4) == 0xFF);
    t.pair(0x3D4, 0x11, 0x80), t.pair(0x3D4, 1, 0x33);
    t.out8(0x3D4, 1);
    CHECK(t.in8(0x3D5) == 0);
    t.pair(0x3D4, 7, 0xFF);
    t.out8(0x3D4, 7);
    CHECK(t.in8(0x3D5) == 0x10);
    t.out8(0x3C2, 0x66);
    CHECK(t.in8(0x3D4) == 0xFF);
    t.dac(5, 1, 2, 3);
    t.out8(0x3C7, 5);
    CHECK(t.in8(0x3C9) == 1);
    CHECK(t.in8(0x3C9) == 2);
    CHECK(t.in8(0x3C9) == 3);
}

TEST_CASE("vga: the DAC has 6 bits, and 8 when DISPI says so") {
    VgaTest t;
    t.dac(5, 0xFF, 0x80, 0x3F);
    auto read = [&] {
        t.out8(0x3C7, 5);
        u32 value = t.in8(0x3C9);
        value = value << 8 | t.in8(0x3C9);
        return value << 8 | t.in8(0x3C9);
    };
    CHECK(read() == 0x3F003F);
    t.dispi(4, 0x20);
    t.dac(5, 0xFF, 0x80, 0x3F);
    CHECK(read() == 0xFF803F);
}

TEST_CASE("vga: DAC bytes are drawn with 6 bits, and with 8 while DISPI says so") {
    VgaTest t;
    t.graphics_mode(40, 0xA3, 0x40, 0x40);
    t.pair(0x3C4, 4, 0x0E);
    t.dac(200, 0xFF, 0x80, 0x20);
    t.poke(0xA0000, 200);
    t.vga.render(t.frame);
    CHECK(t.frame.pixels[0] == 0xFF0082);
    t.place_bar(0xE0000008);
    t.dispi_mode(640, 480, 8, 0x61);  // enabled, 8-bit DAC
    t.dac(200, 0xFF, 0x80, 0x20);
    REQUIRE(t.memory.guest.write(Gpa(0xE0000000), Bytes{200}));
    t.vga.render(t.frame);
    CHECK(t.frame.pixels[0] == 0xFF8020);
}

TEST_CASE("vga: the DAC's mask selects colors, its state register tells reads from writes") {
    VgaTest t;
    t.graphics_mode(40, 0xA3, 0x40, 0x40);
    t.pair(0x3C4, 4, 0x0E);
    t.dac(0x0F, 63, 0, 0), t.dac(0xFF, 0, 63, 0);
    t.poke(0xA0000, 0xFF);
    t.out8(0x3C6, 0x0F);
    CHECK(t.in8(0x3C6) == 0x0F);
    t.vga.render(t.frame);
    CHECK(t.frame.pixels[0] == 0xFF0000);
    t.out8(0x3C7, 1);
    CHECK(t.in8(0x3C7) == 3);
    t.out8(0x3C8, 1);
    CHECK(t.in8(0x3C7) == 0);
    CHECK(t.in8(0x3C8) == 1);
}

TEST_CASE("vga: an entry of the DAC changes with its third byte, and the index goes on") {
    VgaTest t;
    t.dac(7, 1, 2, 3);
    t.out8(0x3C8, 7);
    t.out8(0x3C9, 60), t.out8(0x3C9, 61);
    auto red = [&](u8 index) {
        t.out8(0x3C7, index);
        return t.in8(0x3C9);
    };
    CHECK(red(7) == 1);
    t.out8(0x3C8, 7);
    for (u8 value : {10, 11, 12, 20, 21, 22}) t.out8(0x3C9, value);
    CHECK(red(7) == 10);
    CHECK(red(8) == 20);
}

TEST_CASE("vga: planes that the attribute controller disables are not drawn in graphics") {
    VgaTest t;
    t.graphics_mode(40, 0xE3, 0, 0);
    t.pair(0x3CE, 5, 0x02);
    t.poke(0xA0000, 0x0F);
    t.attribute(0x12, 0x05);
    t.screen_on();
    t.vga.render(t.frame);
    CHECK(t.frame.pixels[0] == VgaTest::color(5));
}

TEST_CASE("vga: text is seen without chain odd/even and without enabled planes") {
    VgaTest t;
    t.text_mode();
    for (u8 chain : {0x0E, 0x0C}) {
        t.pair(0x3CE, 6, chain);
        for (unsigned i = 0; i < 4; ++i) t.mmio.write(Gpa(0xB8000 + i * 2), 2, 0x0700 + 'a' + i);
        CHECK(t.vga.text_screen()[0].substr(0, 4) == "abcd");
        CHECK(t.mmio.read(Gpa(0xB8002), 2) == 0x0762);
    }
    t.vga.render(t.frame);
    auto with_planes = t.frame.pixels;
    t.attribute(0x12, 0);
    t.screen_on();
    t.vga.render(t.frame);
    CHECK(t.frame.pixels == with_planes);
}

TEST_CASE("vga: whatever the registers say, drawing is safe") {
    test::Quiet quiet;
    SeededRandom random(11);
    VgaTest t;
    for (unsigned round = 0; round < 150; ++round) {
        for (unsigned i = 0; i < 60; ++i) {
            u16 port = static_cast<u16>(0x3B0 + random.below(48));
            t.ports.write(port, 1u << random.below(2), static_cast<u32>(random.next()));
            if (random.one_in(4))
                t.dispi(static_cast<u16>(random.below(12)), static_cast<u16>(random.next()));
            t.mmio.write(Gpa(0xA0000 + random.below(0x20000)), 1u << random.below(4), random.next());
            t.mmio.read(Gpa(0xA0000 + random.below(0x20000)), 1u << random.below(4));
        }
        if (random.one_in(2)) t.dispi(4, 0);
        t.screen_on();
        t.vga.render(t.frame);
        CHECK(t.frame.pixels.size() == std::size_t{t.frame.width} * t.frame.height);
        t.vga.text_screen();
    }
}
