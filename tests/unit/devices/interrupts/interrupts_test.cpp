// SPDX-License-Identifier: MIT
// 8259 pair, IOAPIC and the wires between devices and them.
#include <catch2/catch.hpp>

#include "tests/unit/devices/test_board.h"

using namespace shadowbox;
using test::Board;

TEST_CASE("pic: an edge raises INTR, INTA gives the vector, EOI lets the next one in") {
    Board b;
    b.init_pics();
    IrqLine line = b.router.isa_line(4);
    line.pulse();
    CHECK(b.intr);
    CHECK(b.pic.acknowledge() == 0x24);
    CHECK_FALSE(b.intr);
    line.pulse();  // same level in service: waits
    CHECK_FALSE(b.intr);
    b.out8(0x20, 0x20);
    CHECK(b.intr);
    CHECK(b.pic.acknowledge() == 0x24);
}

TEST_CASE("pic: a higher priority interrupts a lower one, not the other way round") {
    Board b;
    b.init_pics();
    IrqLine low = b.router.isa_line(6), high = b.router.isa_line(1);
    low.pulse();
    CHECK(b.pic.acknowledge() == 0x26);
    high.pulse();
    CHECK(b.intr);
    CHECK(b.pic.acknowledge() == 0x21);
    low.pulse();
    CHECK_FALSE(b.intr);
    b.out8(0x20, 0x20);  // ends IRQ 1, the highest in service
    b.out8(0x20, 0x0B);
    CHECK(b.in8(0x20) == 0x40);
}

TEST_CASE("pic: slave interrupts come through the cascade with the slave's vector") {
    Board b;
    b.init_pics();
    IrqLine twelve = b.router.isa_line(12), fourteen = b.router.isa_line(14);
    fourteen.pulse();
    CHECK(b.pic.acknowledge() == 0x2E);
    b.out8(0x20, 0x0B);
    CHECK(b.in8(0x20) == 0x04);
    twelve.pulse();  // higher on the slave, but the master's IR2 is in service
    CHECK_FALSE(b.intr);
    b.out8(0xA0, 0x20);
    b.out8(0x20, 0x20);
    CHECK(b.intr);
    CHECK(b.pic.acknowledge() == 0x2C);
}

TEST_CASE("pic: a level request that went away is spurious IRQ 7") {
    Board b;
    b.init_pics();
    b.out8(0x4D0, 0x20);
    IrqLine line = b.router.isa_line(5);
    line.raise();
    CHECK(b.intr);
    line.lower();
    CHECK_FALSE(b.intr);
    CHECK(b.pic.acknowledge() == 0x27);
    b.out8(0x20, 0x0B);
    CHECK(b.in8(0x20) == 0x00);
}

TEST_CASE("pic: a level input asks again after EOI while it is asserted") {
    Board b;
    b.init_pics();
    b.out8(0x4D1, 0x02);
    IrqLine line = b.router.isa_line(9);
    line.raise();
    CHECK(b.pic.acknowledge() == 0x29);
    b.out8(0xA0, 0x20);
    b.out8(0x20, 0x20);
    CHECK(b.intr);
    CHECK(b.in8(0x4D1) == 0x02);
    b.out8(0x4D0, 0xFF);
    CHECK(b.in8(0x4D0) == 0xF8);  // IRQ 0-2 are always edge
}

TEST_CASE("pic: masks, special mask mode, specific EOI, rotation") {
    Board b;
    b.init_pics();
    IrqLine three = b.router.isa_line(3), five = b.router.isa_line(5), seven = b.router.isa_line(7);
    b.out8(0x21, 0x08);
    three.pulse();
    CHECK_FALSE(b.intr);
    b.out8(0x21, 0x00);
    CHECK(b.pic.acknowledge() == 0x23);
    seven.pulse();
    CHECK_FALSE(b.intr);
    b.out8(0x20, 0x68);  // special mask mode: masked in-service levels block nobody
    b.out8(0x21, 0x08);
    CHECK(b.intr);
    CHECK(b.pic.acknowledge() == 0x27);
    b.out8(0x20, 0x63);  // specific EOI of 3
    b.out8(0x20, 0x0B);
    CHECK(b.in8(0x20) == 0x80);
    b.out8(0x20, 0x67);
    b.out8(0x20, 0x48);
    b.out8(0x21, 0x00);
    b.out8(0x20, 0xC3);  // IRQ 3 becomes the lowest: 4 highest
    three.pulse();
    five.pulse();
    CHECK(b.pic.acknowledge() == 0x25);
    b.out8(0x20, 0xA0);  // rotate on non-specific EOI: 5 becomes the lowest
    five.pulse();
    CHECK(b.pic.acknowledge() == 0x23);
}

TEST_CASE("pic: poll command acknowledges, auto EOI keeps ISR clear") {
    Board b;
    b.init_pics();
    IrqLine line = b.router.isa_line(4);
    line.pulse();
    b.out8(0x20, 0x0C);
    CHECK(b.in8(0x20) == 0x84);
    CHECK_FALSE(b.intr);
    b.out8(0x20, 0x20);
    b.out8(0x20, 0x0C);
    CHECK(b.in8(0x20) == 0x00);
    b.out8(0x20, 0x11), b.out8(0x21, 0x20), b.out8(0x21, 0x04), b.out8(0x21, 0x03);
    line.pulse();
    CHECK(b.pic.acknowledge() == 0x24);
    b.out8(0x20, 0x0B);
    CHECK(b.in8(0x20) == 0);
}

TEST_CASE("router: sources of one input are ORed") {
    Board b;
    b.init_pics();
    b.out8(0x4D1, 0x04);
    IrqLine first = b.router.gsi_line(10), second = b.router.gsi_line(10);
    first.raise();
    second.raise();
    first.lower();
    CHECK(b.intr);
    second.lower();
    CHECK_FALSE(b.intr);
}

TEST_CASE("ioapic: identifies as version 20h with 24 pins, masked at reset") {
    Board b;
    CHECK(b.ioapic_read(1) == 0x00170020);
    CHECK(b.ioapic_read(0x10) == 0x10000);
    b.ioapic_write(0, 0x0F000000);
    CHECK(b.ioapic_read(0) == 0x0F000000);
    b.ioapic_write(0x3E, 0xFFFFFFFF);
    CHECK(b.ioapic_read(0x3E) == 0x0001AFFF);
    b.ioapic_write(0x3F, 0xFFFFFFFF);
    CHECK(b.ioapic_read(0x3F) == 0xFF000000);
}

TEST_CASE("ioapic: an edge delivers once, a masked edge is lost, IRQ 0 is pin 2") {
    Board b;
    IrqLine line = b.router.isa_line(0);
    line.pulse();
    b.ioapic_write(0x14, 0x00000830);
    b.ioapic_write(0x15, 0x03000000);
    CHECK(b.sink.messages.empty());
    line.raise();
    line.lower();
    REQUIRE(b.sink.messages.size() == 1);
    CHECK(b.sink.messages[0].vector == 0x30);
    CHECK(b.sink.messages[0].destination == 3);
    CHECK(b.sink.messages[0].logical);
    CHECK_FALSE(b.sink.messages[0].level_triggered);
}

TEST_CASE("ioapic: a level pin waits for EOI and delivers again while asserted") {
    Board b;
    b.ioapic_write(0x10 + 18, 0x8031);
    IrqLine line = b.router.isa_line(9);
    line.raise();
    REQUIRE(b.sink.messages.size() == 1);
    CHECK(b.sink.messages[0].level_triggered);
    CHECK(b.ioapic_read(0x10 + 18) == 0xC031);
    line.lower();
    line.raise();  // remote IRR holds it back
    CHECK(b.sink.messages.size() == 1);
    b.ioapic.end_of_interrupt(0x99);  // another vector
    CHECK(b.sink.messages.size() == 1);
    b.ioapic.end_of_interrupt(0x31);
    CHECK(b.sink.messages.size() == 2);
    line.lower();
    b.store(layout::kIoApic.first + 0x40, 0x31);  // the EOI register
    CHECK(b.ioapic_read(0x10 + 18) == 0x8031);
    CHECK(b.sink.messages.size() == 2);
}

TEST_CASE("ioapic: unmasking an asserted level pin delivers, switching to edge clears remote IRR") {
    Board b;
    IrqLine line = b.router.gsi_line(20);
    line.raise();
    CHECK(b.sink.messages.empty());
    b.ioapic_write(0x10 + 40, 0x8040);
    CHECK(b.sink.messages.size() == 1);
    b.ioapic_write(0x10 + 40, 0x10040);
    CHECK(b.ioapic_read(0x10 + 40) == 0x10040);
}
