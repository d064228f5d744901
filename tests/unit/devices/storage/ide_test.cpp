// SPDX-License-Identifier: MIT
// ATA disks and the bus master, driven register by register as SeaBIOS and Linux drive them.
#include <catch2/catch.hpp>

#include "tests/unit/devices/away.h"
#include "tests/unit/devices/chipset/pci_board.h"

using namespace shadowbox;
using Bytes = std::vector<u8>;

namespace {

struct IdeTest : test::PciBoard {
    static constexpr u16 kBase = 0x1F0, kControl = 0x3F6, kMaster = 0xC000;
    IdeTest() {
        init_pics();
        set_config(1, 1, 0x20, kMaster), set_config(1, 1, 0x40, 0x80008000), set_config(1, 1, 4, 5, 2);
    }
    u8 status() { return in8(kControl); }
    bool irq() { return router_pending(14); }
    bool router_pending(unsigned irq) {
        out8(0xA0, 0x0A);
        return in8(0xA0) >> (irq - 8) & 1;
    }
    /// What a handler does: reads the status, ends the interrupt. Returns the status.
    u8 take_irq() {
        CHECK(irq());
        u8 result = in8(kBase + 7);
        pic.acknowledge();
        out8(0xA0, 0x20), out8(0x20, 0x20);
        return result;
    }
    void task(u64 lba, u8 count, u8 command, u8 features = 0) {
        out8(kBase + 1, features), out8(kBase + 2, count);
        out8(kBase + 3, lba & 0xFF), out8(kBase + 4, lba >> 8 & 0xFF), out8(kBase + 5, lba >> 16 & 0xFF);
        out8(kBase + 6, 0xE0 | (lba >> 24 & 15));
        out8(kBase + 7, command);
    }
    void task_ext(u64 lba, u16 count, u8 command) {
        out8(kBase + 6, 0x40);
        out8(kBase + 2, count >> 8);
        for (unsigned i = 0; i < 3; ++i) out8(static_cast<u16>(kBase + 3 + i), lba >> (24 + 8 * i) & 0xFF);
        out8(kBase + 2, count & 0xFF);
        for (unsigned i = 0; i < 3; ++i) out8(static_cast<u16>(kBase + 3 + i), lba >> (8 * i) & 0xFF);
        out8(kBase + 7, command);
    }
    Bytes data(std::size_t size) {
        Bytes bytes;
        while (bytes.size() < size) {
            u16 word = in16(kBase);
            bytes.push_back(static_cast<u8>(word)), bytes.push_back(static_cast<u8>(word >> 8));
        }
        return bytes;
    }
    void send(const Bytes& bytes) {
        for (std::size_t i = 0; i < bytes.size(); i += 2) out16(kBase, bytes[i] | bytes[i + 1] << 8);
    }
    Bytes image(u64 lba, u64 sectors) {
        auto begin = hard_disk.content.begin() + static_cast<std::ptrdiff_t>(lba * 512);
        return Bytes(begin, begin + static_cast<std::ptrdiff_t>(sectors * 512));
    }
    struct Prd {
        u32 base;
        u16 bytes;
    };
    void program_dma(std::vector<Prd> table, bool to_memory, u32 where = 0x2000) {
        for (std::size_t i = 0; i < table.size(); ++i) {
            u32 words[2] = {table[i].base, table[i].bytes | (i + 1 == table.size() ? 0x80000000u : 0)};
            memory.guest.write(Gpa(where + 8 * i), std::span(reinterpret_cast<u8*>(words), 8));
        }
        out8(kMaster, to_memory ? 8 : 0);
        out8(kMaster + 2, 0x66);
        out32(kMaster + 4, where);
    }
    void start_dma(bool to_memory) { out8(kMaster, to_memory ? 9 : 1); }
};

}  // namespace

TEST_CASE("ide: probing finds a master, no slave, and the signature after SRST") {
    IdeTest t;
    t.out8(0x1F6, 0xB0);
    CHECK(t.in8(0x1F7) == 0);
    t.out8(0x1F2, 0x55), t.out8(0x1F3, 0xAA);
    CHECK(t.in8(0x1F2) == 0);
    t.out8(0x1F6, 0xA0);
    t.out8(0x1F2, 0x55), t.out8(0x1F3, 0xAA);
    CHECK(t.in8(0x1F2) == 0x55);
    CHECK(t.in8(0x1F3) == 0xAA);
    t.out8(0x3F6, 0x04);
    CHECK(t.status() == 0x80);
    t.out8(0x3F6, 0x00);
    CHECK(t.status() == 0x50);
    CHECK(t.in8(0x1F1) == 1);
    CHECK(t.in8(0x1F2) == 1);
    CHECK(t.in8(0x1F3) == 1);
    CHECK(t.in8(0x1F4) == 0);
    CHECK(t.in8(0x1F5) == 0);
    CHECK_FALSE(t.irq());
}

TEST_CASE("ide: IDENTIFY DEVICE tells capacity, model and modes") {
    IdeTest t;
    t.task(0, 0, 0xEC);
    CHECK(t.take_irq() == 0x58);
    Bytes id = t.data(512);
    CHECK(t.status() == 0x50);
    auto word = [&](unsigned n) { return id[2 * n] | id[2 * n + 1] << 8; };
    CHECK(word(60) + (word(61) << 16) == static_cast<int>(t.hard_disk.content.size() / 512));
    CHECK(word(100) == word(60));
    CHECK(id[54] == 'H');
    CHECK(id[55] == 'S');
    CHECK(word(63) == 0x407);
    CHECK((word(83) & 0xC000) == 0x4000);
    t.task(0, 0x42, 0xEF, 0x03);
    t.take_irq();
    t.task(0, 0, 0xEC);
    t.take_irq();
    id = t.data(512);
    CHECK(word(63) == 0x007);
    CHECK(word(88) == 0x43F);
}

TEST_CASE("ide: PIO reads: one interrupt a sector, or a block with READ MULTIPLE") {
    IdeTest t;
    t.task(5, 3, 0x20);
    Bytes got;
    for (int i = 0; i < 3; ++i) {
        CHECK(t.take_irq() == 0x58);
        Bytes part = t.data(512);
        got.insert(got.end(), part.begin(), part.end());
    }
    CHECK(got == t.image(5, 3));
    CHECK(t.status() == 0x50);
    CHECK_FALSE(t.irq());
    CHECK(t.in8(0x1F3) == 7);

    t.task(0, 8, 0xC6);
    t.take_irq();
    t.task(100, 10, 0xC4);
    CHECK(t.take_irq() == 0x58);
    got = t.data(8 * 512);
    CHECK(t.take_irq() == 0x58);
    Bytes rest = t.data(2 * 512);
    got.insert(got.end(), rest.begin(), rest.end());
    CHECK(got == t.image(100, 10));
    CHECK(t.status() == 0x50);
    t.task(0, 3, 0xC6);
    CHECK((t.take_irq() & 1) == 1);
}

TEST_CASE("ide: a count of 0 is 256 sectors, over several requests to the image when LBA48 asks for more") {
    IdeTest t;
    t.task(0, 0, 0x20);
    Bytes got = t.data(256 * 512);
    CHECK(got == t.image(0, 256));
    CHECK(t.status() == 0x50);
    t.task_ext(1, 600, 0x24);
    got = t.data(600 * 512);
    CHECK(got == t.image(1, 600));
    CHECK(t.status() == 0x50);
    CHECK(t.in8(0x1F3) == (600 & 0xFF));
    t.out8(0x3F6, 0x80);
    CHECK(t.in8(0x1F3) == 0);
    t.out8(0x3F6, 0);
}

TEST_CASE("ide: PIO writes reach the image, an interrupt after each sector") {
    IdeTest t;
    Bytes data(2 * 512, 0xC3);
    t.task(9, 2, 0x30);
    CHECK(t.status() == 0x58);
    CHECK_FALSE(t.irq());
    t.send(Bytes(data.begin(), data.begin() + 512));
    CHECK(t.take_irq() == 0x58);
    t.send(Bytes(data.begin(), data.begin() + 512));
    CHECK(t.take_irq() == 0x50);
    CHECK(t.image(9, 2) == data);
    t.task(20, 4, 0xC5);
    t.send(Bytes(4 * 512, 0x11));
    CHECK(t.take_irq() == 0x50);
    CHECK(t.image(20, 4) == Bytes(4 * 512, 0x11));
}

TEST_CASE("ide: CHS addresses follow the geometry that INITIALIZE PARAMETERS set") {
    IdeTest t;
    auto read_chs = [&](unsigned c, unsigned h, unsigned s) {
        t.out8(0x1F2, 1), t.out8(0x1F3, s), t.out8(0x1F4, c & 0xFF), t.out8(0x1F5, c >> 8);
        t.out8(0x1F6, 0xA0 | h), t.out8(0x1F7, 0x20);
        return t.data(512);
    };
    CHECK(read_chs(1, 2, 3) == t.image((1 * 16 + 2) * 63 + 2, 1));
    t.out8(0x1F2, 17), t.out8(0x1F6, 0xA3), t.out8(0x1F7, 0x91);
    t.take_irq();
    CHECK(read_chs(1, 2, 3) == t.image((1 * 4 + 2) * 17 + 2, 1));
    read_chs(0, 0, 18);
    CHECK((t.status() & 1) == 1);
    CHECK(t.in8(0x1F1) == 0x10);
}

TEST_CASE("ide: DMA reads scatter through the table, write gathers, status bits as the specification says") {
    IdeTest t;
    t.program_dma({{0x10100, 512}, {0x20F00, 1024}}, true);
    t.task(40, 3, 0xC8);
    CHECK_FALSE(t.irq());
    t.start_dma(true);
    CHECK(t.in8(0xC002) == 0x64);  // interrupt, not active; capable bits kept
    CHECK(t.take_irq() == 0x50);
    t.out8(0xC000, 8), t.out8(0xC002, 0x64);
    CHECK(t.in8(0xC002) == 0x60);
    Bytes got = t.guest(0x10100, 512), second = t.guest(0x20F00, 1024);
    got.insert(got.end(), second.begin(), second.end());
    CHECK(got == t.image(40, 3));

    t.memory.guest.write(Gpa(0x30000), Bytes(4096, 0x99));
    t.program_dma({{0x30000, 4096}}, false);
    t.task_ext(64, 4, 0x35);
    t.start_dma(false);
    CHECK(t.in8(0xC002) == 0x65);  // the table had more
    CHECK(t.take_irq() == 0x50);
    CHECK(t.image(64, 4) == Bytes(2048, 0x99));
    CHECK(t.image(68, 1)[0] != 0x99);
}

TEST_CASE("ide: a bus master that is started before the command moves as well") {
    IdeTest t;
    t.program_dma({{0x10000, 0}}, true);  // 64 KiB
    t.start_dma(true);
    t.task(0, 128, 0xC8);
    CHECK(t.take_irq() == 0x50);
    CHECK(t.guest(0x10000, 65536) == t.image(0, 128));
}

TEST_CASE("ide: a table that is too short leaves neither active nor interrupt; SRST recovers") {
    IdeTest t;
    t.program_dma({{0x10000, 512}}, true);
    t.task(0, 2, 0xC8);
    t.start_dma(true);
    CHECK(t.in8(0xC002) == 0x60);
    CHECK_FALSE(t.irq());
    CHECK((t.status() & 0x80) == 0x80);
    t.out8(0xC000, 0), t.out8(0x3F6, 4), t.out8(0x3F6, 0);
    CHECK(t.status() == 0x50);
}

TEST_CASE("ide: DMA needs the bus master right, and memory that is not RAM is harmless") {
    IdeTest t;
    test::Quiet quiet;
    t.set_config(1, 1, 4, 1, 2);
    t.program_dma({{0x10000, 512}}, true);
    t.task(0, 1, 0xC8);
    t.start_dma(true);
    CHECK_FALSE(t.irq());
    CHECK(t.guest(0x10000, 4) == Bytes(4, 0));
    t.out8(0x3F6, 4), t.out8(0x3F6, 0);
    t.out8(0xC000, 0);
    t.set_config(1, 1, 4, 5, 2);
    t.program_dma({{0xF0000000, 512}}, true);
    t.task(0, 1, 0xC8);
    t.start_dma(true);
    CHECK(t.take_irq() == 0x50);
}

TEST_CASE("ide: an endless descriptor table ends") {
    IdeTest t;
    // All entries of the 64 KiB around 20000h describe 2 bytes each and none is the last.
    Bytes table;
    for (unsigned i = 0; i < 8192; ++i) table.insert(table.end(), {0, 0, 4, 0, 2, 0, 0, 0});
    t.memory.guest.write(Gpa(0x20000), table);
    t.out32(0xC004, 0x28000);
    t.task_ext(0, 100, 0x25);
    t.start_dma(true);
    CHECK(t.in8(0xC002) == 0x00);
    CHECK((t.status() & 0x80) == 0x80);
}

TEST_CASE("ide: requests may complete late; a reset in between makes them nobody's") {
    IdeTest t;
    t.hard_disk.deferred = true;
    t.task(3, 1, 0x20);
    CHECK(t.status() == 0xC0);
    t.out8(0x1F7, 0xEC);  // ignored while busy
    CHECK(t.status() == 0xC0);
    t.hard_disk.complete();
    CHECK(t.take_irq() == 0x58);
    CHECK(t.data(512) == t.image(3, 1));

    t.program_dma({{0x10000, 512}}, true);
    t.task(4, 1, 0xC8);
    t.start_dma(true);
    CHECK((t.in8(0xC002) & 5) == 1);
    t.out8(0x3F6, 4), t.out8(0x3F6, 0);
    t.task(7, 1, 0x20);
    t.hard_disk.complete();
    CHECK(t.take_irq() == 0x58);
    CHECK(t.data(512) == t.image(7, 1));
    t.hard_disk.complete();
    CHECK_FALSE(t.irq());
}

TEST_CASE("ide: a transfer whose data or table is away waits, and is done once when the page is there") {
    for (u64 away : {u64{0x10000}, u64{0x2000}}) {
        CAPTURE(away);
        IdeTest t;
        test::ParkingLot lot;
        t.ide.set_page_waits(lot);
        t.program_dma({{0xF800, 0x800}, {0x10000, 0x800}}, true);
        {
            test::Gone gone(t.memory.guest, away);
            t.task(4, 8, 0xC8);
            t.start_dma(true);
            REQUIRE(lot.parked.size() == 1);
            CHECK(lot.last.ppn == Gpa(away).ppn());
            CHECK(t.status() == 0xC0);
            CHECK_FALSE(t.memory.guest.pool().pinned(t.memory.guest.pmap().load(Ppn(0xF)).mpn()));
            lot.run();  // in vain
            REQUIRE(lot.parked.size() == 1);
            t.out8(0xC000, 8), t.start_dma(true);  // no second copy of it
            CHECK_FALSE(t.irq());
        }
        lot.run();
        CHECK(t.take_irq() == 0x50);
        CHECK((t.in8(0xC002) & 5) == 4);
        Bytes got(0x1000);
        t.memory.guest.read(Gpa(0xF800), got);
        CHECK(got == t.image(4, 8));
        CHECK(lot.parked.empty());
        CHECK_FALSE(t.irq());
    }
}

TEST_CASE("ide: a write whose data is away reaches the image once, with what is there then") {
    IdeTest t;
    test::ParkingLot lot;
    t.ide.set_page_waits(lot);
    t.program_dma({{0x10000, 512}}, false);
    const Bytes before = t.image(9, 1), data(512, 0xA7);
    t.memory.guest.write(Gpa(0x10000), data);
    {
        test::Gone gone(t.memory.guest, 0x10000);
        t.task(9, 1, 0xCA);
        t.start_dma(false);
        REQUIRE(lot.parked.size() == 1);
        CHECK(t.image(9, 1) == before);
    }
    lot.run();
    CHECK(t.take_irq() == 0x50);
    CHECK(t.image(9, 1) == data);
}

TEST_CASE("ide: a transfer that finds the pool full waits for room") {
    IdeTest t;
    test::ParkingLot lot;
    t.ide.set_page_waits(lot);
    t.program_dma({{0x10000, 512}}, true);
    {
        test::Hog hog(t.memory.guest.pool());
        t.task(4, 1, 0xC8);
        t.start_dma(true);
        REQUIRE(lot.parked.size() == 1);
        CHECK(lot.last.outcome == MemoryOutcome::kPoolFull);
        CHECK(t.status() == 0xC0);
    }
    lot.run();
    CHECK(t.take_irq() == 0x50);
}

TEST_CASE("ide: a reset forgets the transfer that waits; the page's coming disturbs nobody") {
    IdeTest t;
    test::ParkingLot lot;
    t.ide.set_page_waits(lot);
    t.program_dma({{0x10000, 512}}, true);
    {
        test::Gone gone(t.memory.guest, 0x10000);
        t.task(4, 1, 0xC8);
        t.start_dma(true);
        REQUIRE(lot.parked.size() == 1);
        t.out8(0x3F6, 4), t.out8(0x3F6, 0);
    }
    t.task(7, 1, 0x20);
    lot.run();
    CHECK(t.take_irq() == 0x58);
    CHECK(t.data(512) == t.image(7, 1));
    CHECK_FALSE(t.irq());
    CHECK(lot.parked.empty());
}

TEST_CASE("ide: errors: beyond the end, bad disk, read-only, unknown command") {
    IdeTest t;
    u64 sectors = t.hard_disk.content.size() / 512;
    t.task(sectors - 1, 2, 0x20);
    CHECK(t.take_irq() == 0x51);
    CHECK(t.in8(0x1F1) == 0x10);
    t.hard_disk.fail = true;
    t.task(10, 1, 0x20);
    CHECK(t.take_irq() == 0x51);
    CHECK(t.in8(0x1F1) == 0x40);
    CHECK(t.in8(0x1F3) == 10);
    t.program_dma({{0x10000, 512}}, true);
    t.task(10, 1, 0xC8);
    t.start_dma(true);
    CHECK(t.take_irq() == 0x51);
    CHECK((t.in8(0xC002) & 7) == 4);
    t.hard_disk.fail = false;
    t.hard_disk.protect = true;
    t.task(10, 1, 0x30);
    CHECK(t.take_irq() == 0x51);
    CHECK(t.in8(0x1F1) == 0x04);
    t.task(0, 0, 0xF1);
    CHECK(t.take_irq() == 0x51);
    CHECK(t.in8(0x1F1) == 0x04);
}

TEST_CASE("ide: nIEN holds the interrupt back; reading the alternate status does not take it") {
    IdeTest t;
    t.out8(0x3F6, 2);
    t.task(0, 1, 0x20);
    CHECK_FALSE(t.irq());
    t.out8(0x3F6, 0);
    CHECK(t.irq());
    t.status();
    CHECK(t.disk0->interrupt());
    t.in8(0x1F7);
    CHECK_FALSE(t.disk0->interrupt());
}

TEST_CASE("ide: cache, power, SMART and diagnostic commands") {
    IdeTest t;
    for (u8 code : {0xE7, 0xEA, 0xE0, 0xE1, 0x10, 0x70, 0x40}) {
        t.task(0, 1, code);
        CHECK(t.take_irq() == 0x50);
    }
    t.task(0, 0, 0xE5);
    t.take_irq();
    CHECK(t.in8(0x1F2) == 0xFF);
    t.task(0xC24F00, 0, 0xB0, 0xDA);
    CHECK(t.take_irq() == 0x50);
    CHECK(t.in8(0x1F4) == 0x4F);
    t.task(0xC24F00, 1, 0xB0, 0xD0);
    t.take_irq();
    u8 sum = 0;
    for (u8 byte : t.data(512)) sum = static_cast<u8>(sum + byte);
    CHECK(sum == 0);
    t.task(0, 0, 0xB0, 0xDA);
    CHECK((t.take_irq() & 1) == 1);
    t.out8(0x1F7, 0x90);
    CHECK(t.take_irq() == 0x50);
    CHECK(t.in8(0x1F1) == 1);
    t.task(0, 0, 0xF8);
    t.take_irq();
    CHECK((t.in8(0x1F3) | t.in8(0x1F4) << 8) == static_cast<int>(t.hard_disk.content.size() / 512 - 1));
}

TEST_CASE("ide: a run of the data port moves all of a block but its last element") {
    IdeTest t;
    Bytes got(512), word(2);
    CHECK(t.ports.read_run(IdeTest::kBase, 2, got) == 0);  // no data yet
    t.task(5, 2, 0x20);
    t.take_irq();
    CHECK(t.ports.read_run(IdeTest::kBase + 7, 1, got) == 0);  // only the data port
    CHECK(t.ports.read_run(IdeTest::kBase, 2, std::span(got).first(6)) == 3);
    CHECK(t.ports.read_run(IdeTest::kBase, 2, std::span(got).subspan(6)) == 252);
    CHECK(t.ports.read_run(IdeTest::kBase, 2, word) == 0);
    CHECK_FALSE(t.irq());
    u16 last = t.in16(IdeTest::kBase);  // its effects: the next block, with an interrupt
    got[510] = static_cast<u8>(last), got[511] = static_cast<u8>(last >> 8);
    CHECK(got == t.image(5, 1));
    CHECK(t.take_irq() == 0x58);
    CHECK(t.ports.read_run(IdeTest::kBase, 4, got) == 127);
    t.in32(IdeTest::kBase);
    CHECK(std::equal(got.begin(), got.begin() + 508, t.image(6, 1).begin()));
    CHECK(t.status() == 0x50);

    Bytes sent(512);
    for (unsigned i = 0; i < 512; ++i) sent[i] = static_cast<u8>(i * 5 + 1);
    t.task(9, 1, 0x30);
    CHECK(t.ports.write_run(IdeTest::kBase, 2, sent) == 255);
    CHECK(t.image(9, 1) != sent);
    t.out16(IdeTest::kBase, sent[510] | sent[511] << 8);
    t.take_irq();
    CHECK(t.image(9, 1) == sent);
}

TEST_CASE("ide: EXECUTE DEVICE DIAGNOSTIC runs whichever drive is selected") {
    for (u8 selected : {0xA0, 0xB0}) {
        IdeTest t;
        t.out8(IdeTest::kBase + 6, selected);
        t.out8(IdeTest::kBase + 2, 0x5A);
        t.out8(IdeTest::kBase + 7, 0x90);
        t.out8(IdeTest::kBase + 6, 0xA0);
        CHECK(t.in8(IdeTest::kBase + 1) == 1);
        CHECK(t.in8(IdeTest::kBase + 2) == 1);  // the signature
        CHECK(t.in8(IdeTest::kBase + 3) == 1);
        CHECK(t.take_irq() == 0x50);
    }
}

TEST_CASE("ide: the legacy ports answer whatever IDETIM says") {
    for (u32 timing : {0u, 0x80008000u, 0x00008000u, 0x80000000u}) {
        IdeTest t;
        t.set_config(1, 1, 0x40, timing);
        CHECK(t.in8(0x3F6) == 0x50);
        t.out8(IdeTest::kBase + 2, 0x5A);
        CHECK(t.in8(IdeTest::kBase + 2) == 0x5A);
        CHECK(t.config(1, 1, 0x40) == timing);
    }
}
