// SPDX-License-Identifier: MIT
// fw_cfg and the debug ports.
#include <catch2/catch.hpp>

#include "tests/unit/devices/away.h"
#include "tests/unit/devices/test_board.h"

using namespace shadowbox;
using test::Board;

namespace {
u32 big(const std::vector<u8>& bytes, std::size_t at, unsigned size) {
    u32 value = 0;
    for (unsigned i = 0; i < size; ++i) value = value << 8 | bytes[at + i];
    return value;
}
struct FwTest : Board {
    std::vector<u8> read_item(u16 key, unsigned count) {
        out16(0x510, key);
        std::vector<u8> bytes;
        while (count--) bytes.push_back(in8(0x511));
        return bytes;
    }
    /// Runs a DMA request at 1000h and returns its control word afterwards.
    u32 dma(u32 control, u32 length, u64 where) {
        u8 raw[16];
        for (int i = 0; i < 4; ++i) raw[i] = static_cast<u8>(control >> (24 - i * 8));
        for (int i = 0; i < 4; ++i) raw[4 + i] = static_cast<u8>(length >> (24 - i * 8));
        for (int i = 0; i < 8; ++i) raw[8 + i] = static_cast<u8>(where >> (56 - i * 8));
        memory.guest.write(Gpa(0x1000), raw);
        out32(0x514, 0);
        out32(0x518, __builtin_bswap32(0x1000));
        memory.guest.read(Gpa(0x1000), raw);
        return u32{raw[0]} << 24 | u32{raw[1]} << 16 | u32{raw[2]} << 8 | raw[3];
    }
};
}  // namespace

TEST_CASE("fw_cfg: signature, id with the DMA bit, numbers") {
    FwTest t;
    CHECK(t.read_item(0, 5) == std::vector<u8>{'Q', 'E', 'M', 'U', 0});
    CHECK(t.read_item(1, 4) == std::vector<u8>{3, 0, 0, 0});
    t.fw_cfg.add_u16(FwCfgKey::kCpus, 4);
    CHECK(t.read_item(5, 3) == std::vector<u8>{4, 0, 0});
    CHECK(t.read_item(0x3FFF, 2) == std::vector<u8>{0, 0});
    CHECK(t.in32(0x514) == __builtin_bswap32(0x51454D55));
    CHECK(t.in32(0x518) == __builtin_bswap32(0x20434647));
}

TEST_CASE("fw_cfg: the directory lists files by name, with their keys") {
    FwTest t;
    CHECK(t.fw_cfg.add_file("bootorder", {'x'}));
    CHECK_FALSE(t.fw_cfg.add_file("bootorder", {}));
    CHECK_FALSE(t.fw_cfg.add_file(std::string(56, 'n'), {}));
    auto directory = t.read_item(0x19, 4 + 2 * 64);
    CHECK(big(directory, 0, 4) == 2);
    CHECK(big(directory, 4, 4) == 1);
    CHECK(std::string(reinterpret_cast<char*>(&directory[12])) == "bootorder");
    CHECK(big(directory, 68, 4) == 5);
    u16 key = static_cast<u16>(big(directory, 72, 2));
    CHECK(t.read_item(key, 6) == std::vector<u8>{1, 2, 3, 4, 5, 0});
}

TEST_CASE("fw_cfg: DMA selects, reads across page boundaries, skips, pads with zeros") {
    FwTest t;
    std::vector<u8> big_file(10000);
    for (std::size_t i = 0; i < big_file.size(); ++i) big_file[i] = static_cast<u8>(i * 7);
    t.fw_cfg.add_file("big", big_file);
    u32 select = 0x21u << 16 | 8;
    CHECK(t.dma(select | 2, 10010, 0x2F00) == 0);
    std::vector<u8> got(10010);
    t.memory.guest.read(Gpa(0x2F00), got);
    CHECK(std::equal(big_file.begin(), big_file.end(), got.begin()));
    CHECK(std::all_of(got.begin() + 10000, got.end(), [](u8 b) { return b == 0; }));
    CHECK(t.dma(select | 4, 100, 0) == 0);
    CHECK(t.in8(0x511) == big_file[100]);
    CHECK(t.dma(2, 16, 0x4000'0000) == 1);         // not RAM
    CHECK(t.dma(select | 2, 0xFFFFFFFF, 0) == 1);  // ends where RAM ends
}

TEST_CASE(
    "fw_cfg: DMA waits for its descriptor, its data and the place of its answer, and goes on where it was") {
    FwTest t;
    test::ParkingLot lot;
    t.fw_cfg.set_page_waits(lot);
    std::vector<u8> file(9000);
    for (std::size_t i = 0; i < file.size(); ++i) file[i] = static_cast<u8>(i * 7);
    REQUIRE(t.fw_cfg.add_file("etc/big", file));
    for (u64 away : {u64{0x1000}, u64{0x5000}, u64{0x6000}}) {
        CAPTURE(away);
        const u32 select = 0x21u << 16 | 8;
        {
            u8 descriptor[16] = {0, 0x21, 0, 8 | 2, 0, 0, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0x4F, 0};
            t.memory.guest.write(Gpa(0x1000), descriptor);
            test::Gone gone(t.memory.guest, away);
            t.out32(0x514, 0);
            t.out32(0x518, __builtin_bswap32(0x1000));
            REQUIRE(lot.parked.size() == 1);
            CHECK(lot.last.ppn == Gpa(away).ppn());
            lot.run();  // in vain
            REQUIRE(lot.parked.size() == 1);
            if (away != 0x1000) {
                u8 control[4];
                t.memory.guest.read(Gpa(0x1000), control);
                CHECK(control[3] == (8 | 2));  // not done yet
            }
        }
        lot.run();
        CHECK(lot.parked.empty());
        u8 control[4];
        t.memory.guest.read(Gpa(0x1000), control);
        CHECK(control[3] == 0);
        std::vector<u8> got(9000);
        t.memory.guest.read(Gpa(0x4F00), got);
        CHECK(got == file);
        CHECK(t.dma(select | 4, 100, 0) == 0);
        CHECK(t.in8(0x511) == file[100]);
    }
}

TEST_CASE("fw_cfg: only files with a listener can be written") {
    FwTest t;
    std::vector<u8> seen;
    t.fw_cfg.add_file("etc/write", {0, 0, 0, 0},
                      [&](std::span<const u8> bytes) { seen.assign(bytes.begin(), bytes.end()); });
    std::vector<u8> payload{9, 8};
    t.memory.guest.write(Gpa(0x5000), payload);
    CHECK(t.dma(0x21u << 16 | 8 | 16, 2, 0x5000) == 0);
    CHECK(seen == std::vector<u8>{9, 8, 0, 0});
    CHECK(t.dma(0x21u << 16 | 8 | 16, 5, 0x5000) == 1);
    CHECK(t.dma(0x20u << 16 | 8 | 16, 2, 0x5000) == 1);
}

TEST_CASE("debug ports: lines, exit status, POST code") {
    Board b;
    CHECK(b.in8(0x402) == 0xE9);
    for (char c : std::string("SeaBIOS\r\nnext")) b.out8(0x402, static_cast<u8>(c));
    CHECK(b.log == std::vector<std::string>{"SeaBIOS"});
    b.out8(0x80, 0x42);
    CHECK(b.in8(0x80) == 0x42);
    b.out32(0xF4, 0x10);
    CHECK(b.exit_status == 0x21);
}

TEST_CASE("board: all ranges of the legacy chips fit together") {
    Board b;
    CHECK(b.good);
}
