// SPDX-License-Identifier: MIT
// Configuration cycles, BARs, interrupt routing, shadow RAM and MSI-X, as firmware and kernels use them.
#include <catch2/catch.hpp>

#include "devices/bus/pci_msix.h"
#include "tests/unit/devices/chipset/pci_board.h"

using namespace shadowbox;
using test::PciBoard;

namespace {

/// A function with one of each: port, MMIO, 64-bit MMIO and RAM BARs, a ROM, MSI-X.
struct Card final : PciDevice, MmioHandler {
    explicit Card(ApicMessageSink& sink)
        : PciDevice("card", {.vendor = 0x1234, .device = 0x5678, .class_code = 0xFF0000, .interrupt_pin = 1}),
          ports([](u16 offset, unsigned) { return u32{0x40} + offset; },
                [this](u16 offset, unsigned, u32 value) {
                    last_port = {offset, value};
                },
                4) {
        add_port_bar(0, 32, ports);
        add_mmio_bar(1, 4096, *this);
        add_mmio_bar(2, u64{1} << 20, *this, pci::kBar64 | pci::kBarPrefetchable);
        add_ram_bar(5, 65536, pci::kBarPrefetchable, [this](std::optional<u64> where) { ram = where; });
        set_expansion_rom({0x55, 0xAA, 1, 2, 3, 4, 5, 6});
        msix = &add_msix(sink, 3, 4);
    }
    u64 mmio_read(u64 offset, unsigned) override { return offset | 0x100; }
    void mmio_write(u64 offset, unsigned, u64) override { last_mmio = offset; }
    using PciDevice::set_intx;
    PortFunctions ports;
    Msix* msix;
    std::pair<u16, u32> last_port;
    u64 last_mmio = 0;
    std::optional<u64> ram;
};

struct CardBoard : PciBoard {
    Card card{sink};
    CardBoard() { pci.add(5, 0, card); }
};

}  // namespace

TEST_CASE("pci: functions are found where QEMU's board has them, others read as ones") {
    PciBoard b;
    CHECK(b.config(0, 0, 0) == 0x12378086);
    CHECK(b.config(1, 0, 0) == 0x70008086);
    CHECK(b.config(1, 1, 0) == 0x70108086);
    CHECK(b.config(1, 3, 0) == 0x71138086);
    CHECK(b.config(1, 2, 0) == 0xFFFFFFFF);
    CHECK(b.config(7, 0, 0) == 0xFFFFFFFF);
    CHECK(b.config(1, 0, 0x0E, 1) == 0x80);
    CHECK(b.config(1, 1, 0x0A, 2) == 0x0101);
    b.out32(0xCF8, 0x80010000);
    CHECK(b.in32(0xCFC) == 0xFFFFFFFF);
    b.out32(0xCF8, 0x00000000);
    CHECK(b.in32(0xCFC) == 0xFFFFFFFF);
}

TEST_CASE("pci: the address register takes dwords; a byte at CF9h is the reset control") {
    PciBoard b;
    b.out8(0xCFB, 0x01);
    b.out32(0xCF8, 0x80000000);
    CHECK(b.in32(0xCF8) == 0x80000000);
    b.out8(0xCF9, 0x02);
    CHECK(b.in8(0xCF9) == 0x02);
    b.out8(0xCF9, 0x06);
    CHECK(b.resets == 1);
    CHECK(b.in32(0xCF8) == 0x80000000);
}

TEST_CASE("pci: BARs are sized, placed, moved and switched off") {
    CardBoard b;
    b.set_config(5, 0, 0x10, 0xFFFFFFFF);
    CHECK(b.config(5, 0, 0x10) == 0xFFFFFFE1);
    b.set_config(5, 0, 0x14, 0xFFFFFFFF);
    CHECK(b.config(5, 0, 0x14) == 0xFFFFF000);
    b.set_config(5, 0, 0x18, 0xFFFFFFFF), b.set_config(5, 0, 0x1C, 0xFFFFFFFF);
    CHECK(b.config(5, 0, 0x18) == 0xFFF0000C);
    CHECK(b.config(5, 0, 0x1C) == 0xFFFFFFFF);
    CHECK(b.config(5, 0, 0x30) == 0);
    b.set_config(5, 0, 0x30, 0xFFFFF800);
    CHECK(b.config(5, 0, 0x30) == 0xFFFFF800);
    b.set_config(5, 0, 0x30, 0);

    b.set_config(5, 0, 0x10, 0xC000), b.set_config(5, 0, 0x14, 0xE0000000);
    b.set_config(5, 0, 0x18, 0), b.set_config(5, 0, 0x1C, 1);
    b.set_config(5, 0, 0x24, 0xE0010000);
    test::Quiet quiet;
    CHECK(b.in8(0xC003) == 0xFF);
    CHECK_FALSE(b.card.ram);
    b.set_config(5, 0, 4, 3, 2);
    CHECK(b.in8(0xC003) == 0x43);
    b.out32(0xC004, 77);
    CHECK(b.card.last_port == std::pair<u16, u32>{4, 77});
    CHECK(b.load(0xE0000010) == 0x110);
    CHECK(b.mmio.read(Gpa(0x100000020), 8) == 0x120);
    CHECK(b.card.ram == 0xE0010000);

    b.set_config(5, 0, 0x10, 0xC100);
    CHECK(b.in8(0xC003) == 0xFF);
    CHECK(b.in8(0xC103) == 0x43);
    b.set_config(5, 0, 4, 1, 2);
    CHECK(b.load(0xE0000010) == 0xFFFFFFFF);
    CHECK_FALSE(b.card.ram);
    b.card.reset();
    CHECK(b.in8(0xC103) == 0xFF);
    CHECK(b.config(5, 0, 0x10) == 1);
}

TEST_CASE("pci: a BAR over something else waits until the place is free") {
    CardBoard b;
    test::Quiet quiet;
    b.set_config(5, 0, 0x10, layout::kSerial0.first & ~31u);
    b.set_config(5, 0, 4, 1, 2);
    CHECK(b.in8(0x3E0) == 0xFF);
    b.out8(0x3FF, 0x5A);
    CHECK(b.in8(0x3FF) == 0x5A);  // the serial port's scratch register
    b.set_config(5, 0, 0x10, 0xFFE0);
    CHECK(b.in8(0xFFE1) == 0x41);
}

TEST_CASE("pci: a BAR being sized with decoding on moves nothing over the firmware") {
    CardBoard b;
    b.set_config(5, 0, 0x14, 0xE0000000);
    b.set_config(5, 0, 4, 2, 2);
    b.set_config(5, 0, 0x14, 0xFFFFFFFF);
    test::Quiet quiet;
    CHECK(b.load(0xFFFFF000) == 0xFFFFFFFF);
    b.set_config(5, 0, 0x14, 0xE0000000);
    CHECK(b.load(0xE0000000) == 0x100);
}

TEST_CASE("pci: the expansion ROM shows its bytes while enabled") {
    CardBoard b;
    test::Quiet quiet;
    b.set_config(5, 0, 0x30, 0xE0020001);
    CHECK(b.load(0xE0020000) == 0xFFFFFFFF);
    b.set_config(5, 0, 4, 2, 2);
    CHECK(b.load(0xE0020000) == 0x0201AA55);
    CHECK(b.load(0xE0020008) == 0xFFFFFFFF);
    b.store(0xE0020000, 0);
    CHECK(b.load(0xE0020000) == 0x0201AA55);
    b.set_config(5, 0, 0x30, 0xE0020000);
    CHECK(b.load(0xE0020004) == 0xFFFFFFFF);
}

TEST_CASE("pci: INTx reaches the interrupt that its PIRQ register names") {
    CardBoard b;
    b.init_pics();
    b.out8(0x4D1, kPirqElcr);
    // Slot 5 INTA: PIRQ A.
    b.card.set_intx(true);
    CHECK_FALSE(b.intr);
    CHECK((b.config(5, 0, 6, 2) & 8) == 8);
    b.set_config(1, 0, 0x60, 11, 1);
    CHECK(b.intr);
    CHECK(b.pic.acknowledge() == 0x28 + 3);
    b.card.set_intx(false);
    b.out8(0xA0, 0x20), b.out8(0x20, 0x20);
    CHECK_FALSE(b.intr);
    b.set_config(5, 0, 4, 0x400, 2);
    b.card.set_intx(true);
    CHECK_FALSE(b.intr);
    b.set_config(5, 0, 4, 0, 2);
    CHECK(b.intr);
    b.set_config(1, 0, 0x60, 0x80, 1);
    CHECK_FALSE(b.intr);
    b.set_config(1, 0, 0x60, 8, 1);  // not a routable interrupt
    CHECK_FALSE(b.intr);
}

TEST_CASE("pci: INTx also arrives at the IOAPIC pin of the routed interrupt") {
    CardBoard b;
    b.set_config(1, 0, 0x60, 10, 1);
    b.ioapic_write(0x10 + 2 * 10, 0x8055), b.ioapic_write(0x11 + 2 * 10, 0);
    b.card.set_intx(true);
    REQUIRE(b.sink.messages.size() == 1);
    CHECK(b.sink.messages[0].vector == 0x55);
}

TEST_CASE("msi-x: vectors, masks and pending bits") {
    CardBoard b;
    u8 cap = static_cast<u8>(b.config(5, 0, 0x34, 1));
    CHECK((b.config(5, 0, 6, 2) & 0x10) != 0);
    CHECK(b.config(5, 0, cap, 2) == 0x11);
    CHECK(b.config(5, 0, cap + 2u, 2) == 2);
    CHECK(b.config(5, 0, cap + 4u) == 4);
    CHECK(b.config(5, 0, cap + 8u) == (2048 | 4));
    b.set_config(5, 0, 0x20, 0xE0001000), b.set_config(5, 0, 4, 2, 2);
    u64 table = 0xE0001000;
    CHECK(b.load(table + 12) == 1);
    b.store(table + 16, 0xFEE01000), b.store(table + 20, 0), b.store(table + 24, 0x4043);
    b.card.msix->notify(1);
    CHECK(b.sink.messages.empty());
    b.set_config(5, 0, cap + 2u, 0x8000, 2);
    CHECK(b.card.msix->enabled());
    b.card.msix->notify(1);
    CHECK(b.sink.messages.empty());
    CHECK(b.load(table + 2048) == 2);
    b.store(table + 28, 0);
    REQUIRE(b.sink.messages.size() == 1);
    CHECK(b.sink.messages[0].destination == 1);
    CHECK(b.sink.messages[0].vector == 0x43);
    CHECK(b.load(table + 2048) == 0);
    b.set_config(5, 0, cap + 2u, 0xC000, 2);
    b.card.msix->notify(1);
    CHECK(b.sink.messages.size() == 1);
    b.set_config(5, 0, cap + 2u, 0x8000, 2);
    CHECK(b.sink.messages.size() == 2);
    b.card.msix->notify(77);
    b.store(table, 0x1000), b.store(table + 12, 0);  // not an interrupt address
    b.card.msix->notify(0);
    CHECK(b.sink.messages.size() == 2);
}

TEST_CASE("piix4: PMBASE decides where the PM block answers") {
    PciBoard b;
    test::Quiet quiet;
    CHECK((b.config(1, 3, 0x58) & 1u << 25) != 0);  // firmware takes SMM for set up
    CHECK(b.in32(0x608) == 0xFFFFFFFF);
    b.set_config(1, 3, 0x40, 0x601), b.set_config(1, 3, 0x80, 1, 1);
    b.time.advance(1'000'000);
    u32 ticks = b.in32(0x608);
    CHECK((ticks >= 3579 && ticks <= 3580));
    b.set_config(1, 3, 0x40, 0xB001);
    CHECK(b.in32(0x608) == 0xFFFFFFFF);
    CHECK(b.in32(0xB008) == ticks);
}

TEST_CASE("i440fx: PAM shows the firmware's tail, then RAM that starts as its copy, then read-only RAM") {
    PciBoard b;
    std::vector<u8> firmware(256 << 10);
    for (std::size_t i = 0; i < firmware.size(); ++i) firmware[i] = static_cast<u8>(i >> 12 | 0x40);
    REQUIRE(b.shadow.load_rom(firmware));
    auto byte = [&](u64 where) { return b.guest(where, 1)[0]; };
    auto poke = [&](u64 where, u8 value) { b.memory.guest.write(Gpa(where), std::vector<u8>{value}); };
    CHECK(byte(0xFFFF0) == firmware[0x3FFF0]);
    CHECK(byte(0xE0000) == firmware[0x20000]);
    CHECK(byte(0xD0000) == 0xFF);
    poke(0xFFFF0, 1);
    CHECK(byte(0xFFFF0) == firmware[0x3FFF0]);

    b.set_config(0, 0, 0x59, 0x30, 1);
    CHECK(byte(0xFFFF0) == firmware[0x3FFF0]);
    poke(0xFFFF0, 1);
    CHECK(byte(0xFFFF0) == 1);
    b.set_config(0, 0, 0x59, 0x10, 1);
    poke(0xFFFF0, 2);
    CHECK(byte(0xFFFF0) == 1);
    b.set_config(0, 0, 0x5A, 0x33, 1);  // C0000-C7FFF
    poke(0xC4000, 9);
    CHECK(byte(0xC4000) == 9);
    CHECK(byte(0xC8000) == 0xFF);
    b.bridge.reset();
    CHECK(byte(0xFFFF0) == firmware[0x3FFF0]);
    CHECK(byte(0xC4000) == 0xFF);
    unsigned runs = b.exclusive_runs;
    b.bridge.reset();
    CHECK(b.exclusive_runs == runs);  // nothing changed, nobody is stopped
}

TEST_CASE("pci: without firmware, set_up_pci gives every BAR a place and routes interrupts") {
    CardBoard b;
    set_up_pci(b.pci);
    for (const PciRegion& region : b.card.regions())
        if (region.label != "card rom") CHECK(region.mapped);
    for (const PciRegion& region : b.ide.regions()) CHECK(region.mapped);
    CHECK(b.config(5, 0, 0x3C, 1) == 10);
    CHECK(b.config(1, 3, 0x3C, 1) == 9);
    CHECK(b.config(1, 0, 0x62, 1) == 11);
    CHECK(b.in8(0x1F7) == 0x50);
}
