// SPDX-License-Identifier: MIT
// Each chip in the middle of something, saved, loaded into a fresh machine, and carried on there: what the
// next access gives depends on state that no register shows. (Random programs on loaded machines:
// all_devices_test, pci_devices_test.)
#include <catch2/catch.hpp>

#include "board_state.h"
#include "devices/display/vga.h"
#include "tests/unit/devices/chipset/pci_board.h"

using namespace shadowbox;
using test::PciBoard;

namespace {

struct Machine : PciBoard {
    Vga vga{time.timers, memory.guest, [](std::function<void()> work) { work(); }, {0x55, 0xAA}};
    Machine() {
        pci.add(2, 0, vga);
        add(layout::kVga, vga.ports());
        add(layout::kVbeDispi, vga.dispi_ports());
        mmio.add(Gpa(layout::kVgaWindow.first), layout::kVgaWindow.size, vga.window(), "vga");
        devices.push_back(&vga);
        vga.reset();
        set_up_pci(pci);
    }
    u8 window8(u32 offset) { return static_cast<u8>(mmio.read(Gpa(0xA0000 + offset), 1)); }
    void set_window8(u32 offset, u8 value) { mmio.write(Gpa(0xA0000 + offset), 1, value); }
};

/// Runs `drive` on one machine and `look` on another that has loaded the first one's state, and on the first
/// itself: the same.
template <class Drive, class Look>
void carry_over(Drive drive, Look look) {
    Machine first, second;
    drive(first);
    test::load_board(second, first);
    look(second);
    look(first);
}

}  // namespace

TEST_CASE("round trip: pic between two initialization words, and with an interrupt in service") {
    carry_over([](Machine& m) { m.out8(0x20, 0x11), m.out8(0x21, 0x48); },  // ICW3 comes next
               [](Machine& m) {
                   m.out8(0x21, 0x04), m.out8(0x21, 0x01), m.out8(0x21, 0xFE);
                   CHECK(m.in8(0x21) == 0xFE);
                   m.pit.set_irq_enabled(true);
                   m.out8(0x43, 0x30), m.out8(0x40, 2), m.out8(0x40, 0);
                   m.time.advance(1'000'000);
                   CHECK(m.pic.acknowledge() == 0x48);
               });
    carry_over(
        [](Machine& m) {
            m.init_pics();
            m.out8(0x43, 0x34), m.out8(0x40, 0), m.out8(0x40, 0x10);
            m.time.advance(10'000'000);
            REQUIRE(m.pic.acknowledge() == 0x20);
            m.out8(0x21, 0x5A), m.out8(0x20, 0x0B);  // the next read shows ISR
        },
        [](Machine& m) {
            CHECK(m.in8(0x20) == 1);
            CHECK(m.in8(0x21) == 0x5A);
        });
}

TEST_CASE("round trip: ioapic with its index and a redirection entry") {
    carry_over(
        [](Machine& m) { m.ioapic_write(0x10 + 2 * 9, 0xA031), m.ioapic_write(0x11 + 2 * 9, 0x03000000); },
        [](Machine& m) {
            CHECK(m.load(layout::kIoApic.first + 0x10) == 0x03000000);  // still selected
            CHECK(m.ioapic_read(0x10 + 2 * 9) == 0xA031);
        });
}

TEST_CASE("round trip: pit with half a count written, and with a latched one") {
    carry_over([](Machine& m) { m.out8(0x43, 0x34), m.out8(0x40, 0x34); },
               [](Machine& m) {
                   m.out8(0x40, 0x12), m.time.advance(2'000);
                   m.out8(0x43, 0x00);
                   unsigned low = m.in8(0x40), count = low | m.in8(0x40) << 8;
                   CHECK(count <= 0x1234);
                   CHECK(count > 0x1200);
               });
    carry_over(
        [](Machine& m) {
            m.out8(0x43, 0x74), m.out8(0x41, 0x00), m.out8(0x41, 0x80), m.time.advance(100'000),
                m.out8(0x43, 0x40), m.in8(0x41);
        },
        [](Machine& m) {
            m.time.advance(5'000'000);
            CHECK(m.in8(0x41) == 0x7F);  // the high byte of what was latched then
        });
}

TEST_CASE("round trip: rtc with its index, a time that was set, and bytes of CMOS") {
    carry_over(
        [](Machine& m) {
            m.out8(0x70, 0x0B), m.out8(0x71, 0x86);  // SET, binary, 24 hours
            m.out8(0x70, 0x04), m.out8(0x71, 13), m.out8(0x70, 0x02), m.out8(0x71, 37);
            m.out8(0x70, 0x0B), m.out8(0x71, 0x06);
            m.out8(0x70, 0x40), m.out8(0x71, 0x77), m.out8(0x70, 0x04);
        },
        [](Machine& m) {
            CHECK(m.in8(0x71) == 13);
            m.out8(0x70, 0x02);
            CHECK(m.in8(0x71) == 37);
            m.out8(0x70, 0x40);
            CHECK(m.in8(0x71) == 0x77);
        });
}

TEST_CASE("round trip: hpet counts on and fires") {
    carry_over(
        [](Machine& m) {
            m.store(layout::kHpet.first + 0x108, 1000),
                m.store(layout::kHpet.first + 0x100, 0x0A04 | 20 << 9);
            m.store(layout::kHpet.first + 0x10, 1);
            m.time.advance(5'000);
        },
        [](Machine& m) {
            CHECK(m.load(layout::kHpet.first + 0xF0) == 500);
            CHECK(m.load(layout::kHpet.first + 0x108) == 1000);
            m.time.advance(5'000);
            CHECK(m.load(layout::kHpet.first + 0xF0) == 1000);
        });
}

TEST_CASE("round trip: acpi registers, and an overflow that is still to come") {
    carry_over(
        [](Machine& m) {
            m.out16(0x602, 0x0101), m.out8(0xB2, 0xF1);
            m.out16(0xAFE2, 0x0005);
        },
        [](Machine& m) {
            CHECK(m.in16(0x602) == 0x0101);
            CHECK(m.in16(0x604) == 1);
            CHECK(m.in16(0xAFE2) == 0x0005);
            m.time.advance(3'000'000'000);
            CHECK(m.in16(0x600) & 1);
        });
}

TEST_CASE("round trip: serial line with received bytes, divisor and scratch register") {
    carry_over(
        [](Machine& m) {
            m.out8(0x3FB, 0x83), m.out8(0x3F8, 0x0C), m.out8(0x3F9, 0x01), m.out8(0x3FB, 0x1B);
            m.out8(0x3FA, 0xC1), m.out8(0x3FC, 0x0B), m.out8(0x3FF, 0x5A), m.out8(0x3F9, 0x01);
            m.terminal.type("xyz");
            m.in8(0x3F8);
        },
        [](Machine& m) {
            CHECK(m.in8(0x3FD) & 1);
            CHECK(m.in8(0x3F8) == 'y');
            CHECK(m.in8(0x3F8) == 'z');
            CHECK_FALSE(m.in8(0x3FD) & 1);
            CHECK(m.in8(0x3FF) == 0x5A);
            CHECK(m.in8(0x3FC) == 0x0B);
            m.out8(0x3FB, 0x9B);
            CHECK(m.in8(0x3F8) == 0x0C);
            CHECK(m.in8(0x3F9) == 0x01);
        });
}

TEST_CASE("round trip: keyboard controller, keyboard and mouse each waiting for an argument") {
    carry_over([](Machine& m) { m.out8(0x64, 0x60); },  // write command byte
               [](Machine& m) {
                   m.out8(0x60, 0x45), m.out8(0x64, 0x20);
                   CHECK(m.in8(0x60) == 0x45);
               });
    carry_over(
        [](Machine& m) {
            m.out8(0x60, 0xF0), m.time.advance(1'000'000), m.in8(0x60), m.time.advance(1'000'000);
        },  // scan code set
        [](Machine& m) {
            m.out8(0x60, 0x00), m.time.advance(1'000'000);
            CHECK(m.in8(0x60) == 0xFA);
            m.time.advance(1'000'000);
            CHECK((m.in8(0x64) & 1) ==
                  1);  // the set follows; a mere LED argument would give the acknowledgement only
        });
    carry_over(
        [](Machine& m) {
            m.out8(0x64, 0xD4), m.out8(0x60, 0xE8), m.time.advance(1'000'000), m.in8(0x60),
                m.time.advance(1'000'000);
        },  // resolution
        [](Machine& m) {
            m.out8(0x64, 0xD4), m.out8(0x60, 0x03), m.time.advance(1'000'000);
            CHECK(m.in8(0x60) == 0xFA);
            m.time.advance(1'000'000);
            m.out8(0x64, 0xD4), m.out8(0x60, 0xE9);  // status: flags, resolution, rate
            u8 answer[4];
            for (u8& byte : answer) m.time.advance(1'000'000), byte = m.in8(0x60);
            CHECK(answer[2] == 3);
        });
}

TEST_CASE("round trip: dma between the bytes of an address, and a floppy between those of a command") {
    carry_over([](Machine& m) { m.out8(0x0C, 0), m.out8(0x04, 0x34), m.out8(0x81, 0x07); },
               [](Machine& m) {
                   m.out8(0x04, 0x12), m.out8(0x0C, 0);
                   CHECK(m.in8(0x04) == 0x34);
                   CHECK(m.in8(0x04) == 0x12);
                   CHECK(m.in8(0x81) == 0x07);
               });
    carry_over(
        [](Machine& m) {
            m.out8(0x3F2, 0x0C), m.time.advance(10'000'000);
            for (int i = 0; i < 4; ++i) m.out8(0x3F5, 0x08), m.in8(0x3F5), m.in8(0x3F5);
            m.out8(0x3F5, 0x13), m.out8(0x3F5, 0), m.out8(0x3F5, 0x57);  // CONFIGURE, one byte to go
        },
        [](Machine& m) {
            m.out8(0x3F5, 0x22), m.out8(0x3F5, 0x0E);  // DUMPREG
            u8 dump[10];
            for (u8& byte : dump) byte = m.in8(0x3F5);
            CHECK(dump[8] == 0x57);
            CHECK(dump[9] == 0x22);
        });
}

TEST_CASE("round trip: fw_cfg in the middle of a file, port 92h, the reset latch and the POST code") {
    carry_over(
        [](Machine& m) {
            m.out16(0x510, 0x0020), m.in8(0x511), m.in8(0x511);  // the first file's key
            m.out8(0x92, 0x40), m.out8(0xCF9, 0x02);
        },
        [](Machine& m) {
            CHECK(m.in8(0x511) == 3);
            CHECK(m.in8(0x92) == 0x40);  // the latch's other bits, A20 masked
            CHECK_FALSE(m.a20);
            CHECK(m.in8(0xCF9) == 0x02);
        });
}

TEST_CASE("round trip: pci address latch, shadow RAM, interrupt routing and PMBASE") {
    carry_over(
        [](Machine& m) {
            m.set_config(1, 0, 0x60, 0x05, 1);
            m.set_config(0, 0, 0x5A, 0x11, 1);  // C0000h: read only
            m.set_config(1, 3, 0x40, 0xB001);
            m.out32(0xCF8, 0x80000000 | 1 << 11 | 0x60);
        },
        [](Machine& m) {
            CHECK(m.in8(0xCFC) == 0x05);
            CHECK(m.in32(0xCF8) == (0x80000000 | 1 << 11 | 0x60));
            CHECK(m.config(0, 0, 0x5A, 1) == 0x11);
            m.out16(0xB002, 0x0100);
            CHECK(m.in16(0xB002) == 0x0100);
        });
}

TEST_CASE("round trip: a disk in the middle of a sector, a CD in the middle of a packet") {
    carry_over(
        [](Machine& m) {
            m.out8(0x1F6, 0xE0), m.out8(0x1F2, 2), m.out8(0x1F3, 7), m.out8(0x1F4, 0), m.out8(0x1F5, 0),
                m.out8(0x1F7, 0x20);
            for (int i = 0; i < 100; ++i) m.in16(0x1F0);
        },
        [](Machine& m) {
            for (int i = 100; i < 512; ++i) {
                std::size_t at = 7 * 512 + static_cast<std::size_t>(i) * 2;
                REQUIRE(m.in16(0x1F0) == (m.hard_disk.content[at] | m.hard_disk.content[at + 1] << 8));
            }
            CHECK((m.in8(0x1F7) & 0x89) == 0);
        });
    carry_over(
        [](Machine& m) {
            m.out8(0x176, 0xA0), m.out8(0x177, 0xA0);
            m.out16(0x170, 0x0003), m.out16(0x170, 0),
                m.out16(0x170, 0x0012);  // REQUEST SENSE of 18 bytes, half of it sent
        },
        [](Machine& m) {
            for (int i = 0; i < 3; ++i) m.out16(0x170, 0);
            CHECK((m.in8(0x177) & 0x88) == 0x08);
            CHECK((m.in16(0x170) & 0x7F) == 0x70);
        });
}

TEST_CASE("round trip: vga latches, flip-flop, DAC in the middle of a color, DISPI index") {
    carry_over(
        [](Machine& m) {
            for (auto [index, value] : {std::pair<u8, u8>{2, 0x0F}, {4, 0x06}})
                m.out8(0x3C4, index), m.out8(0x3C5, value);
            m.out8(0x3CE, 6), m.out8(0x3CF, 0x05), m.out8(0x3CE, 5), m.out8(0x3CF, 0), m.out8(0x3CE, 8),
                m.out8(0x3CF, 0xFF);
            m.set_window8(0, 0xA5);
            m.window8(0);                           // all four planes are in the latches
            m.out8(0x3CE, 5), m.out8(0x3CF, 0x01);  // write mode 1
            m.in8(0x3DA), m.out8(0x3C0, 0x13);      // an attribute index; its value comes next
            m.out8(0x3C8, 9), m.out8(0x3C9, 0x11), m.out8(0x3C9, 0x22);
            m.out16(0x1CE, 3);
        },
        [](Machine& m) {
            m.set_window8(5, 0x00);
            CHECK(m.window8(5) == 0xA5);
            m.out8(0x3C0, 0x07);
            m.in8(0x3DA), m.out8(0x3C0, 0x13);
            CHECK(m.in8(0x3C1) == 0x07);
            m.out8(0x3C9, 0x33), m.out8(0x3C7, 9);
            CHECK(m.in8(0x3C9) == 0x11);
            CHECK(m.in8(0x3C9) == 0x22);
            CHECK(m.in8(0x3C9) == 0x33);
            CHECK(m.in16(0x1CE) == 3);
        });
}
