// SPDX-License-Identifier: MIT
#include "vmm/screen/vga_screen.h"

#include <catch2/catch.hpp>

#include "mmu/zero_fill_pager.h"

using namespace shadowbox;

namespace {

struct StillClock final : GuestClock {
    GuestNs now() const override { return 0; }
    u64 wall_base_seconds() const override { return 0; }
};

/// A display adapter in the text mode 80 x 25 of 9 x 16 characters, as a VGA BIOS leaves it.
struct TextMachine {
    StillClock clock;
    TimerQueue timers{clock};
    std::unique_ptr<MachinePool> pool = std::move(*MachinePool::create(8192, 16384));
    ZeroFillPager pager;
    GuestMemory memory{*pool, pager, VmId(1)};
    Vga vga{timers, memory, [](std::function<void()> work) { work(); }, {}};
    std::mutex lock;
    VgaScreen screen{vga, lock};

    void port(u16 where, u8 value) { vga.ports().port_write(static_cast<u16>(where - 0x3B0), 1, value); }
    void pair(u16 where, u8 index, u8 value) { port(where, index), port(static_cast<u16>(where + 1), value); }
    void attribute(u8 index, u8 value) {
        vga.ports().port_read(0x3DA - 0x3B0, 1);
        port(0x3C0, index), port(0x3C0, value);
    }
    TextMachine() {
        vga.reset();
        port(0x3C2, 0x67);
        const u8 sequencer[] = {3, 0, 3, 0, 2};
        for (u8 i = 0; i < 5; ++i) pair(0x3C4, i, sequencer[i]);
        const u8 crtc[] = {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0,    0x4F, 0x0D, 0x0E, 0,
                           0,    0,    0,    0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF};
        pair(0x3D4, 0x11, 0);
        for (u8 i = 0; i < sizeof crtc; ++i) pair(0x3D4, i, crtc[i]);
        const u8 graphics[] = {0, 0, 0, 0, 0, 0x10, 0x0E, 0, 0xFF};
        for (u8 i = 0; i < 9; ++i) pair(0x3CE, i, graphics[i]);
        for (u8 i = 0; i < 16; ++i) attribute(i, i);
        attribute(0x10, 0x0C), attribute(0x11, 0), attribute(0x12, 0x0F), attribute(0x13, 8);
        port(0x3C8, 0);
        for (unsigned i = 0; i < 16; ++i)
            for (unsigned c = 0; c < 3; ++c) port(0x3C9, static_cast<u8>(i * 4));
        vga.ports().port_read(0x3DA - 0x3B0, 1);
        port(0x3C0, 0x20);
    }
    void write(unsigned row, unsigned column, const std::string& text) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            vga.window().mmio_write(0x18000 + 2 * (row * 80 + column + i), 1, static_cast<u8>(text[i]));
            vga.window().mmio_write(0x18000 + 2 * (row * 80 + column + i) + 1, 1, 0x07);
        }
    }
};

}  // namespace

TEST_CASE("vga screen: text modes are shown as lines of characters") {
    TextMachine m;
    m.write(0, 0, "Shadowbox");
    m.write(24, 70, "lower end");
    auto lines = m.screen.text_screen();
    REQUIRE(lines.size() == 25);
    CHECK(lines[0].substr(0, 9) == "Shadowbox");
    CHECK(lines[24].find("lower end") == 70);
    CHECK(lines[1].find_first_not_of(' ') == std::string::npos);
}

TEST_CASE("vga screen: a picture is given once, and again when it has changed") {
    TextMachine m;
    ScreenImage image;
    CHECK(m.screen.render(image));
    CHECK(image.width == 720);
    CHECK(image.height == 400);
    CHECK(image.pixels.size() == 720 * 400);
    CHECK_FALSE(m.screen.render(image));
    m.vga.window().mmio_write(0x18001, 1, 0x70);  // the first character's background
    CHECK(m.screen.render(image));
    CHECK_FALSE(m.screen.render(image));
}
