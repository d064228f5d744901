// SPDX-License-Identifier: MIT
// The CD-ROM drive driven by packets, by PIO and DMA, with media changes.
#include <catch2/catch.hpp>

#include "tests/unit/devices/away.h"
#include "tests/unit/devices/chipset/pci_board.h"

using namespace shadowbox;
using Bytes = std::vector<u8>;

namespace {

struct CdTest : test::PciBoard {
    CdTest() {
        init_pics();
        set_config(1, 1, 0x20, 0xC000), set_config(1, 1, 0x40, 0x80008000), set_config(1, 1, 4, 5, 2);
        packet({0x00});  // the power-on attention
    }
    void start(Bytes cdb, u32 limit, bool dma) {
        cdb.resize(12);
        out8(0x176, 0xA0), out8(0x171, dma), out8(0x174, limit & 0xFF), out8(0x175, limit >> 8);
        out8(0x177, 0xA0);
        CHECK(in8(0x376) == 0x58);
        CHECK(in8(0x172) == 1);
        for (unsigned i = 0; i < 12; i += 2) out16(0x170, cdb[i] | cdb[i + 1] << 8);
    }
    /// Runs a packet by PIO to its end; `status` and `error` are left in the members.
    Bytes packet(Bytes cdb, u32 limit = 0xFFFE) {
        start(std::move(cdb), limit, false);
        Bytes data;
        blocks = 0;
        while ((status = in8(0x177)) & 0x08) {
            CHECK(in8(0x172) == 2);
            u32 size = in8(0x174) | in8(0x175) << 8;
            CHECK(size <= limit);
            ++blocks;
            for (u32 i = 0; i < size; i += 2) {
                u16 word = in16(0x170);
                data.push_back(static_cast<u8>(word));
                if (i + 1 < size) data.push_back(static_cast<u8>(word >> 8));
            }
        }
        error = in8(0x171);
        if (!(status & 0x80)) CHECK(in8(0x172) == 3);
        return data;
    }
    Bytes disc(u64 lba, u64 count) {
        auto begin = compact_disc.content.begin() + static_cast<std::ptrdiff_t>(lba * 2048);
        return Bytes(begin, begin + static_cast<std::ptrdiff_t>(count * 2048));
    }
    Bytes sense() {
        Bytes data = packet({0x03, 0, 0, 0, 18});
        return {data[2], data[12], data[13]};
    }
    u8 status = 0, error = 0;
    unsigned blocks = 0;
};

}  // namespace

TEST_CASE("atapi: the signature, refused ATA commands and IDENTIFY PACKET DEVICE") {
    CdTest t;
    t.out8(0x376, 4), t.out8(0x376, 0);
    CHECK(t.in8(0x174) == 0x14);
    CHECK(t.in8(0x175) == 0xEB);
    t.out8(0x174, 0), t.out8(0x177, 0xEC);
    CHECK(t.in8(0x177) == 0x51);
    CHECK(t.in8(0x174) == 0x14);
    t.out8(0x177, 0xA1);
    CHECK(t.in8(0x177) == 0x58);
    Bytes id;
    for (int i = 0; i < 256; ++i) {
        u16 word = t.in16(0x170);
        id.push_back(static_cast<u8>(word)), id.push_back(static_cast<u8>(word >> 8));
    }
    CHECK((id[0] | id[1] << 8) == 0x85C0);
    CHECK(t.in8(0x177) == 0x50);
}

TEST_CASE("atapi: INQUIRY, READ CAPACITY, TOC") {
    CdTest t;
    Bytes inquiry = t.packet({0x12, 0, 0, 0, 36});
    CHECK(inquiry.size() == 36);
    CHECK(inquiry[0] == 5);
    CHECK(t.packet({0x12, 0, 0, 0, 5}).size() == 5);
    CHECK(t.packet({0x25}) == Bytes{0, 0, 1, 43, 0, 0, 8, 0});
    Bytes toc = t.packet({0x43, 2, 0, 0, 0, 0, 0, 0, 100});
    CHECK(toc == Bytes{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x14, 0xAA, 0, 0, 0, 6, 0});
    CHECK(t.packet({0x43, 0, 1, 0, 0, 0, 0, 0, 12}).size() == 12);
    CHECK(t.packet({0x43, 0, 2, 0, 0, 0, 0, 0, 255}).size() == 48);
}

TEST_CASE("atapi: READ by PIO in blocks of the byte count limit, READ(12), READ CD") {
    CdTest t;
    CHECK(t.packet({0x28, 0, 0, 0, 0, 16, 0, 0, 3}, 2048) == t.disc(16, 3));
    CHECK(t.blocks == 3);
    CHECK(t.status == 0x50);
    CHECK(t.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 200}, 30000) == t.disc(0, 200));
    CHECK(t.blocks == 14);
    CHECK(t.packet({0xA8, 0, 0, 0, 1, 0, 0, 0, 0, 10}, 0xFFFF) == t.disc(256, 10));
    CHECK(t.packet({0xBE, 0, 0, 0, 0, 5, 0, 0, 2, 0x10}) == t.disc(5, 2));
    CHECK(t.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 3).size() == 2048);
}

TEST_CASE("atapi: READ by DMA, and a reply by DMA into a longer table") {
    CdTest t;
    u32 table[4] = {0x10000, 2048, 0x20800, 0x80000000 | 4096};
    t.memory.guest.write(Gpa(0x2000), std::span(reinterpret_cast<u8*>(table), 16));
    t.out32(0xC00C, 0x2000);
    t.start({0x28, 0, 0, 0, 0, 7, 0, 0, 3}, 0, true);
    t.out8(0xC008, 9);
    CHECK(t.in8(0x177) == 0x50);
    CHECK((t.in8(0xC00A) & 7) == 4);
    CHECK(t.guest(0x10000, 2048) == t.disc(7, 1));
    CHECK(t.guest(0x20800, 4096) == t.disc(8, 2));
    t.out8(0xC008, 0), t.out8(0xC00A, 4);
    t.start({0x12, 0, 0, 0, 36}, 0, true);
    t.out8(0xC008, 9);
    CHECK(t.in8(0x177) == 0x50);
    CHECK((t.in8(0xC00A) & 7) == 5);
    CHECK(t.guest(0x10008, 8) == Bytes{'S', 'H', 'A', 'D', 'O', 'W', 'B', 'X'});
}

TEST_CASE("atapi: a read and a reply by DMA wait for a page that is away") {
    CdTest t;
    test::ParkingLot lot;
    t.ide.set_page_waits(lot);
    u32 table[2] = {0x10000, 0x80000000 | 2048};
    t.memory.guest.write(Gpa(0x2000), std::span(reinterpret_cast<u8*>(table), 8));
    t.out32(0xC00C, 0x2000);
    for (bool reply : {false, true}) {
        CAPTURE(reply);
        {
            test::Gone gone(t.memory.guest, 0x10000);
            reply ? t.start({0x12, 0, 0, 0, 36}, 0, true) : t.start({0x28, 0, 0, 0, 0, 7, 0, 0, 1}, 0, true);
            t.out8(0xC008, 9);
            CHECK(t.in8(0x177) == 0xC0);
            REQUIRE(lot.parked.size() == 1);
        }
        lot.run();
        CHECK(t.in8(0x177) == 0x50);
        CHECK(lot.parked.empty());
        if (reply)
            CHECK(t.guest(0x10008, 8) == Bytes{'S', 'H', 'A', 'D', 'O', 'W', 'B', 'X'});
        else
            CHECK(t.guest(0x10000, 2048) == t.disc(7, 1));
        t.out8(0xC008, 0), t.out8(0xC00A, 4);
    }
}

TEST_CASE("atapi: errors carry sense data") {
    CdTest t;
    t.packet({0x28, 0, 0, 0, 1, 44, 0, 0, 1});
    CHECK(t.status == 0x51);
    CHECK(t.error == (5 << 4 | 4));
    CHECK(t.sense() == Bytes{5, 0x21, 0});
    CHECK(t.sense() == Bytes{0, 0, 0});
    t.packet({0xFF});
    CHECK(t.sense() == Bytes{5, 0x20, 0});
    t.compact_disc.fail = true;
    t.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 1});
    CHECK(t.sense() == Bytes{3, 0x11, 0});
}

TEST_CASE("atapi: a new disc is a UNIT ATTENTION and a media event; an empty tray is NOT READY") {
    CdTest t;
    t.packet({0x00});
    CHECK(t.status == 0x50);
    t.cdrom->insert(nullptr);
    t.packet({0x00});
    CHECK(t.sense() == Bytes{2, 0x3A, 1});
    Bytes event = t.packet({0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8});
    CHECK(event == Bytes{0, 6, 4, 0x10, 3, 0, 0, 0});
    t.cdrom->insert(&t.compact_disc);
    t.packet({0x25});
    CHECK(t.sense() == Bytes{6, 0x28, 0});
    CHECK(t.packet({0x25}).size() == 8);
    event = t.packet({0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8});
    CHECK(event[4] == 2);
    CHECK(event[5] == 2);
    event = t.packet({0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8});
    CHECK(event[4] == 0);
}

TEST_CASE("atapi: the guest opens the tray unless it has locked it") {
    CdTest t;
    bool closed = true;
    t.cdrom->on_tray([&](bool now) { closed = now; });
    t.packet({0x1E, 0, 0, 0, 1});
    t.packet({0x1B, 0, 0, 0, 2});
    CHECK(t.sense() == Bytes{5, 0x53, 2});
    CHECK(closed);
    t.packet({0x1E, 0, 0, 0, 0});
    t.packet({0x1B, 0, 0, 0, 2});
    CHECK_FALSE(closed);
    t.packet({0x00});
    CHECK(t.sense() == Bytes{2, 0x3A, 2});
    t.packet({0x1B, 0, 0, 0, 3});
    CHECK(closed);
    t.packet({0x00});
    CHECK(t.sense() == Bytes{6, 0x28, 0});
}

TEST_CASE("atapi: configuration, mode pages, mechanism, disc information") {
    CdTest t;
    Bytes configuration = t.packet({0x46, 0, 0, 0, 0, 0, 0, 1, 0});
    CHECK(configuration[7] == 8);  // CD-ROM
    CHECK(configuration.size() == 4u + configuration[3]);
    Bytes mode = t.packet({0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 255});
    CHECK(mode.size() == 2u + mode[1]);
    CHECK(mode[8] == 0x2A);
    t.packet({0x5A, 0, 0x19, 0, 0, 0, 0, 0, 255});
    CHECK(t.status == 0x51);
    CHECK(t.packet({0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8}).size() == 8);
    CHECK(t.packet({0x51, 0, 0, 0, 0, 0, 0, 0, 34}).size() == 34);
    CHECK(t.packet({0xAD, 0, 0, 0, 0, 0, 0, 0, 8, 4}).size() == 2052);
}

TEST_CASE("atapi: DEVICE RESET stops a read under way, and so does a change of the disc") {
    CdTest t;
    t.compact_disc.deferred = true;
    t.start({0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 2048, false);
    CHECK((t.in8(0x177) & 0x80) == 0x80);
    t.out8(0x177, 0x08);
    CHECK(t.in8(0x177) == 0);
    CHECK(t.in8(0x174) == 0x14);
    t.compact_disc.complete();
    CHECK(t.in8(0x177) == 0);
    t.start({0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 2048, false);
    t.cdrom->insert(nullptr);
    t.compact_disc.complete();
    CHECK((t.in8(0x177) & 0x89) == 1);
}
