// SPDX-License-Identifier: MIT
// 8237 DMA and the 82077AA driven as SeaBIOS and Linux drive them.
#include <catch2/catch.hpp>

#include "tests/unit/devices/away.h"
#include "tests/unit/devices/test_board.h"

using namespace shadowbox;
using test::Board;

namespace {
using Bytes = std::vector<u8>;
struct FloppyTest : Board {
    FloppyTest() {
        init_pics();
        for (std::size_t i = 0; i < disk.content.size(); ++i)
            disk.content[i] = static_cast<u8>(i / 512 + i % 512);
        out8(0x3F2, 0x00), out8(0x3F2, 0x1C);
        for (int i = 0; i < 4; ++i) command({0x08}), results();
        out8(0x3F7, 0x00);
        command({0x03, 0xAF, 0x02});
    }
    void command(std::initializer_list<u8> bytes) {
        for (u8 byte : bytes) {
            REQUIRE((in8(0x3F4) & 0xC0) == 0x80);
            out8(0x3F5, byte);
        }
    }
    Bytes results() {
        Bytes bytes;
        while ((in8(0x3F4) & 0xD0) == 0xD0 && bytes.size() < 16) bytes.push_back(in8(0x3F5));
        return bytes;
    }
    void program_dma(u8 mode, u32 where, u32 count) {
        out8(0x0A, 0x06), out8(0x0C, 0), out8(0x0B, mode);
        out8(0x04, where & 0xFF), out8(0x04, where >> 8 & 0xFF), out8(0x81, where >> 16);
        out8(0x05, (count - 1) & 0xFF), out8(0x05, (count - 1) >> 8);
        out8(0x0A, 0x02);
    }
    void seek(u8 cylinder, u8 head = 0) {
        command({0x0F, static_cast<u8>(head << 2), cylinder});
        command({0x08});
        CHECK(results() == Bytes{static_cast<u8>(0x20 | head << 2), cylinder});
    }
    Bytes guest(u64 where, std::size_t count) {
        Bytes bytes(count);
        memory.guest.read(Gpa(where), bytes);
        return bytes;
    }
    Bytes image(std::size_t sector, std::size_t sectors) {
        auto from = disk.content.begin() + static_cast<std::ptrdiff_t>(sector * 512);
        return Bytes(from, from + static_cast<std::ptrdiff_t>(sectors * 512));
    }
};
}  // namespace

TEST_CASE("dma: registers read back, flip-flop, page, terminal count") {
    Board b;
    b.out8(0x0C, 0);
    b.out8(0x04, 0x34), b.out8(0x04, 0x12);
    b.out8(0x05, 0x03), b.out8(0x05, 0x00);
    b.out8(0x81, 0x01);
    b.out8(0x0C, 0);
    CHECK((b.in8(0x04) | b.in8(0x04) << 8) == 0x1234);
    CHECK_FALSE(b.dma.ready(2));
    b.out8(0x0B, 0x46), b.out8(0x0A, 0x02);
    CHECK(b.dma.ready(2));
    CHECK(b.dma.remaining(2) == 4);
    Bytes data{1, 2, 3, 4, 5, 6};
    DmaResult moved = b.dma.to_memory(2, data);
    CHECK(moved.bytes == 4);
    CHECK(moved.terminal_count);
    Bytes got(5);
    b.memory.guest.read(Gpa(0x11234), got);
    CHECK(got == Bytes{1, 2, 3, 4, 0});
    CHECK((b.in8(0x08) & 0x04) != 0);
    CHECK((b.in8(0x08) & 0x04) == 0);
    CHECK_FALSE(b.dma.ready(2));  // masked itself
}

TEST_CASE("dma: wraps inside its 64 KiB page and reloads with auto-initialization") {
    Board b;
    b.out8(0x0C, 0);
    b.out8(0x02, 0xFE), b.out8(0x02, 0xFF), b.out8(0x03, 0x03), b.out8(0x03, 0x00), b.out8(0x83, 0x02);
    b.out8(0x0B, 0x55), b.out8(0x0A, 0x01);
    CHECK(b.dma.to_memory(1, Bytes{1, 2, 3, 4}).terminal_count);
    Bytes end(2), start(2);
    b.memory.guest.read(Gpa(0x2FFFE), end), b.memory.guest.read(Gpa(0x20000), start);
    CHECK(end == Bytes{1, 2});
    CHECK(start == Bytes{3, 4});
    CHECK(b.dma.ready(1));
    CHECK(b.dma.remaining(1) == 4);
}

TEST_CASE("dma: channels 5 to 7 move words") {
    Board b;
    b.out8(0xD8, 0);
    b.out8(0xC4, 0x00), b.out8(0xC4, 0x10), b.out8(0xC6, 0x01), b.out8(0xC6, 0x00), b.out8(0x8B, 0x01);
    b.out8(0xD6, 0x49), b.out8(0xD4, 0x01);
    b.memory.guest.write(Gpa(0x2000), Bytes{1, 2, 3, 4});
    Bytes got(8);
    DmaResult moved = b.dma.from_memory(5, got);
    CHECK(moved.bytes == 4);
    CHECK(moved.terminal_count);
    CHECK(got[3] == 4);
}

TEST_CASE("floppy: reset interrupts once and four drives report") {
    Board b;
    b.init_pics();
    b.out8(0x3F2, 0x00);
    CHECK(b.in8(0x3F4) == 0x00);
    b.out8(0x3F2, 0x0C);
    CHECK(b.intr);
    CHECK(b.pic.acknowledge() == 0x26);
    for (u8 i = 0; i < 4; ++i) {
        b.out8(0x3F5, 0x08);
        CHECK(b.in8(0x3F5) == (0xC0 | i));
        b.in8(0x3F5);
    }
    b.out8(0x3F5, 0x08);
    CHECK(b.in8(0x3F5) == 0x80);
    CHECK(b.in8(0x3F4) == 0x80);
}

TEST_CASE("floppy: version, configure, lock, dump registers, invalid commands") {
    FloppyTest t;
    t.command({0x10});
    CHECK(t.results() == Bytes{0x90});
    t.command({0x13, 0x00, 0x1A, 0x00});
    t.command({0x94});
    CHECK(t.results() == Bytes{0x10});
    t.command({0x0E});
    Bytes dump = t.results();
    REQUIRE(dump.size() == 10);
    CHECK(dump[4] == 0xAF);
    CHECK(dump[7] == 0x80);
    CHECK(dump[8] == 0x1A);
    t.command({0x1F});
    CHECK(t.results() == Bytes{0x80});
}

TEST_CASE("floppy: one sector by DMA") {
    FloppyTest t;
    t.command({0x07, 0x00}), t.command({0x08});
    CHECK(t.results() == Bytes{0x20, 0x00});
    t.program_dma(0x46, 0x8000, 512);
    t.command({0xE6, 0x00, 0, 0, 3, 2, 18, 0x1B, 0xFF});
    CHECK(t.intr);
    CHECK(t.results() == Bytes{0x00, 0, 0, 0, 0, 4, 2});
    CHECK(t.guest(0x8000, 512) == t.image(2, 1));
}

TEST_CASE("floppy: a whole cylinder with multi-track, completed later") {
    FloppyTest t;
    t.disk.deferred = true;
    t.seek(5);
    t.program_dma(0x46, 0x20000, 36 * 512);
    t.command({0xE6, 0x00, 5, 0, 1, 2, 18, 0x1B, 0xFF});
    CHECK((t.in8(0x3F4) & 0xF0) == 0x10);
    t.disk.complete();
    CHECK(t.results() == Bytes{0x00, 0, 0, 6, 0, 1, 2});
    CHECK(t.guest(0x20000, 36 * 512) == t.image(5 * 36, 36));
}

TEST_CASE("floppy: without terminal count the command runs into the end of the cylinder") {
    FloppyTest t;
    t.program_dma(0x46, 0x8000, 4096);
    t.command({0x66, 0x00, 0, 0, 17, 2, 18, 0x1B, 0xFF});
    CHECK(t.results() == Bytes{0x40, 0x80, 0, 1, 0, 1, 2});
    CHECK(t.guest(0x8000, 1024) == t.image(16, 2));
}

TEST_CASE("floppy: the request waits for a masked DMA channel") {
    FloppyTest t;
    t.out8(0x0A, 0x06);
    t.command({0xE6, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF});
    CHECK((t.in8(0x3F4) & 0xF0) == 0x10);
    t.program_dma(0x46, 0x9000, 512);
    CHECK(t.results().size() == 7);
    CHECK(t.guest(0x9000, 512) == t.image(0, 1));
}

TEST_CASE("floppy: writes by DMA, part of a sector filled with zeros") {
    FloppyTest t;
    Bytes data(512 + 100, 0xAB);
    t.memory.guest.write(Gpa(0xA000), data);
    t.seek(79, 1);
    t.program_dma(0x4A, 0xA000, 612);
    t.command({0xC5, 0x04, 79, 1, 17, 2, 18, 0x1B, 0xFF});
    CHECK(t.results()[0] == 0x04);
    Bytes written = t.image(2878, 2);
    CHECK(std::all_of(written.begin(), written.begin() + 612, [](u8 b) { return b == 0xAB; }));
    CHECK(std::all_of(written.begin() + 612, written.end(), [](u8 b) { return b == 0; }));
}

TEST_CASE("floppy: programmed I/O in both directions") {
    FloppyTest t;
    t.command({0x03, 0xAF, 0x03});
    t.command({0x46, 0x00, 0, 0, 18, 2, 18, 0x1B, 0xFF});
    CHECK(t.in8(0x3F4) == 0xF0);
    Bytes got;
    while ((t.in8(0x3F4) & 0x20) != 0) got.push_back(t.in8(0x3F5));
    CHECK(got == t.image(17, 1));
    CHECK(t.results() == Bytes{0x40, 0x80, 0, 1, 0, 1, 2});
    t.command({0x45, 0x00, 0, 0, 18, 2, 18, 0x1B, 0xFF});
    for (int i = 0; i < 512; ++i) t.out8(0x3F5, 0x77);
    CHECK(t.results().size() == 7);
    CHECK(t.image(17, 1) == Bytes(512, 0x77));
}

TEST_CASE("floppy: formats a track") {
    FloppyTest t;
    Bytes ids;
    for (u8 r = 1; r <= 18; ++r) ids.insert(ids.end(), {2, 1, r, 2});
    t.memory.guest.write(Gpa(0xB000), ids);
    t.seek(2, 1);
    t.program_dma(0x4A, 0xB000, 72);
    t.command({0x4D, 0x04, 2, 18, 0x54, 0xF6});
    CHECK(t.results()[0] == 0x04);
    CHECK(t.image(2 * 36 + 18, 18) == Bytes(18 * 512, 0xF6));
}

TEST_CASE("floppy: errors: wrong cylinder, no such sector, write protection, bad disk, wrong rate, no disk") {
    FloppyTest t;
    t.program_dma(0x46, 0x8000, 512);
    t.command({0xE6, 0x00, 7, 0, 1, 2, 18, 0x1B, 0xFF});
    CHECK(t.results() == Bytes{0x40, 0x04, 0x10, 7, 0, 1, 2});
    t.command({0xE6, 0x00, 0, 0, 19, 2, 19, 0x1B, 0xFF});
    CHECK(t.results()[1] == 0x04);
    t.disk.protect = true;
    t.command({0xC5, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF});
    CHECK(t.results()[1] == 0x02);
    t.command({0x04, 0x00});
    CHECK(t.results() == Bytes{0x78});
    t.disk.fail = true;
    t.command({0xE6, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF});
    CHECK(t.results()[1] == 0x20);
    t.disk.fail = false;
    t.out8(0x3F7, 0x02);
    t.command({0x4A, 0x00});
    CHECK(t.results()[1] == 0x01);
    t.out8(0x3F7, 0x00);
    t.command({0x4A, 0x00});
    CHECK(t.results() == Bytes{0, 0, 0, 0, 0, 1, 2});
    t.floppy.insert(0, nullptr);
    CHECK((t.in8(0x3F7) & 0x80) != 0);
    t.command({0x4A, 0x00});
    CHECK(t.results()[1] == 0x01);
}

TEST_CASE("floppy: the change line is set by a new disk and cleared by a step") {
    FloppyTest t;
    CHECK((t.in8(0x3F7) & 0x80) != 0);
    t.seek(1);
    CHECK((t.in8(0x3F7) & 0x80) == 0);
}

TEST_CASE("floppy: transfers wait for a page that is away, and move once") {
    FloppyTest t;
    test::ParkingLot lot;
    t.dma.set_page_waits(lot);
    t.program_dma(0x46, 0xBE00, 1024);
    {
        test::Gone gone(t.memory.guest, 0xC000);
        t.command({0xE6, 0x00, 0, 0, 3, 2, 18, 0x1B, 0xFF});
        REQUIRE(lot.parked.size() == 1);
        CHECK(lot.last.ppn == Ppn(0xC));
        CHECK(t.dma.remaining(2) == 1024);
        lot.run();  // in vain
        REQUIRE(lot.parked.size() == 1);
        t.disk.content.assign(t.disk.content.size(), 0);  // what was read stays read
        CHECK((t.in8(0x3F4) & 0xF0) == 0x10);             // under way
    }
    lot.run();
    CHECK(t.results() == Bytes{0x00, 0, 0, 0, 0, 5, 2});
    Bytes expected;
    for (std::size_t i = 2 * 512; i < 4 * 512; ++i) expected.push_back(static_cast<u8>(i / 512 + i % 512));
    CHECK(t.guest(0xBE00, 1024) == expected);
    CHECK(lot.parked.empty());

    t.memory.guest.write(Gpa(0xC000), Bytes(512, 0xAB));
    t.program_dma(0x4A, 0xC000, 512);
    {
        test::Gone gone(t.memory.guest, 0xC000);
        t.command({0xC5, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF});
        REQUIRE(lot.parked.size() == 1);
        CHECK(t.image(0, 1) == Bytes(512, 0));
    }
    lot.run();
    CHECK(t.results()[0] == 0);
    CHECK(t.image(0, 1) == Bytes(512, 0xAB));
}

TEST_CASE("floppy: a reset forgets the transfer that waits for a page") {
    FloppyTest t;
    test::ParkingLot lot;
    t.dma.set_page_waits(lot);
    t.program_dma(0x46, 0xC000, 512);
    {
        test::Gone gone(t.memory.guest, 0xC000);
        t.command({0xE6, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF});
        REQUIRE(lot.parked.size() == 1);
        t.out8(0x3F2, 0x00), t.out8(0x3F2, 0x1C);
    }
    lot.run();
    CHECK(t.in8(0x3F4) == 0x80);
    CHECK(t.guest(0xC000, 4) == Bytes(4, 0));
}

TEST_CASE("floppy: a reset abandons a request in flight") {
    FloppyTest t;
    t.disk.deferred = true;
    t.program_dma(0x46, 0xC000, 512);
    t.command({0xE6, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF});
    t.out8(0x3F2, 0x00), t.out8(0x3F2, 0x1C);
    t.disk.complete();
    CHECK(t.in8(0x3F4) == 0x80);
    CHECK(t.guest(0xC000, 4) == Bytes(4, 0));
}

TEST_CASE("floppy: geometry by image size") {
    CHECK(floppy_geometry(1474560)->cmos_type == 4);
    CHECK(floppy_geometry(2949120)->sectors == 36);
    CHECK(floppy_geometry(737280)->cmos_type == 3);
    CHECK(floppy_geometry(368640)->cylinders == 40);
    CHECK(floppy_geometry(1228800)->sectors == 15);
    CHECK(floppy_geometry(100000)->heads == 1);
    CHECK_FALSE(floppy_geometry(3000000));
    // What a BIOS reads in CMOS register 10H, for the formats of 5 1/4 and 3 1/2 inches.
    for (auto [kib, type] : {std::pair<u64, u8>{160, 1},
                             {180, 1},
                             {320, 1},
                             {360, 1},
                             {1200, 2},
                             {720, 3},
                             {1440, 4},
                             {2880, 5}})
        CHECK(floppy_geometry(kib * 1024)->cmos_type == type);
}
