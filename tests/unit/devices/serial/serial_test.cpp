// SPDX-License-Identifier: MIT
// 16550A as a driver sees it.
#include <catch2/catch.hpp>

#include "tests/unit/devices/test_board.h"

using namespace shadowbox;
using test::Time;
using test::Wire;

namespace {
struct SerialTest {
    Time time;
    Wire irq;
    test::RecordingChar terminal;
    Serial16550 uart{"serial0", time.timers, irq.line(), &terminal};
    u8 in(u16 offset) { return static_cast<u8>(uart.port_read(offset, 1)); }
    void out(u16 offset, u8 value) { uart.port_write(offset, 1, value); }
};
}  // namespace

TEST_CASE("serial: transmits at once and shows an empty transmitter") {
    SerialTest t;
    CHECK(t.in(5) == 0x60);
    for (char c : std::string("hello")) t.out(0, static_cast<u8>(c));
    CHECK(t.terminal.written == "hello");
    CHECK(t.in(5) == 0x60);
}

TEST_CASE("serial: looks like a 16550A to Linux' autodetection") {
    SerialTest t;
    t.out(1, 0x00);
    CHECK(t.in(1) == 0x00);
    t.out(1, 0x0F);
    CHECK((t.in(1) & 0x0F) == 0x0F);
    t.out(1, 0xF0);
    CHECK(t.in(1) == 0x00);
    t.out(4, 0x1A);  // loopback with RTS and OUT2
    CHECK((t.in(6) & 0xF0) == 0x90);
    t.out(4, 0x00);
    t.out(2, 0x01);
    CHECK((t.in(2) & 0xC0) == 0xC0);
    t.out(2, 0x00);
    CHECK((t.in(2) & 0xC0) == 0x00);
    t.out(3, 0x83);
    t.out(0, 0x01), t.out(1, 0x00);
    CHECK(t.in(0) == 0x01);
    t.out(3, 0x03);
    t.out(7, 0x5A);
    CHECK(t.in(7) == 0x5A);
}

TEST_CASE("serial: THRE interrupt rises on enabling and after each byte, IIR acknowledges it") {
    SerialTest t;
    t.out(4, 0x08);
    t.out(1, 0x02);
    CHECK(t.irq.level);
    CHECK(t.in(2) == 0x02);
    CHECK_FALSE(t.irq.level);
    CHECK(t.in(2) == 0x01);
    t.out(0, 'x');
    CHECK(t.irq.level);
    CHECK(t.irq.rises == 2);
    t.out(1, 0x00);
    CHECK_FALSE(t.irq.level);
}

TEST_CASE("serial: each byte written makes an edge, though nobody reads IIR") {
    SerialTest t;
    t.out(1, 0x02);
    for (unsigned rises = 1; rises < 10; ++rises) {
        CHECK(t.irq.level);
        CHECK(t.irq.rises == rises);
        t.out(0, 'x');
    }
}

TEST_CASE("serial: interrupts reach the bus without OUT2") {
    SerialTest t;
    t.out(4, 0x00);
    t.out(1, 0x02);
    CHECK(t.irq.level);
    t.out(1, 0x00);
    CHECK_FALSE(t.irq.level);
}

TEST_CASE("serial: every kind of interrupt reaches the bus without OUT2") {
    SerialTest t;
    t.out(1, 0x01);
    t.terminal.type("a");
    CHECK((t.in(2) & 0x0F) == 0x04);
    CHECK(t.irq.level);
    t.in(0);
    CHECK_FALSE(t.irq.level);
    t.out(1, 0x04);
    t.uart.receive_break();
    CHECK((t.in(2) & 0x0F) == 0x06);
    CHECK(t.irq.level);
    t.in(5);
    CHECK_FALSE(t.irq.level);
    t.out(1, 0x08);
    t.out(4, 0x12);  // looped back, RTS is CTS: modem status
    CHECK((t.in(2) & 0x0F) == 0x00);
    CHECK(t.irq.level);
    t.in(6);
    CHECK_FALSE(t.irq.level);
}

TEST_CASE("serial: received bytes interrupt at the trigger level and by timeout") {
    SerialTest t;
    t.out(3, 0x83), t.out(0, 1), t.out(1, 0), t.out(3, 0x03);  // 115200 8N1
    t.out(2, 0x81);                                            // trigger 8
    t.out(1, 0x01), t.out(4, 0x08);
    t.terminal.type("abc");
    CHECK_FALSE(t.irq.level);
    t.time.advance(300'000);
    CHECK_FALSE(t.irq.level);
    t.time.advance(50'000);  // four characters of 86.8 us have passed
    CHECK(t.irq.level);
    CHECK((t.in(2) & 0x0F) == 0x0C);
    CHECK(t.in(0) == 'a');
    CHECK_FALSE(t.irq.level);
    t.terminal.type("defghi");
    CHECK((t.in(2) & 0x0F) == 0x04);
    std::string got;
    while (t.in(5) & 1) got += static_cast<char>(t.in(0));
    CHECK(got == "bcdefghi");
    CHECK_FALSE(t.irq.level);
    CHECK(t.time.timers.next_deadline() == kNever);
}

TEST_CASE("serial: flow control says how much fits and when there is room again") {
    SerialTest t;
    CHECK(t.uart.can_receive() == 1);
    t.out(2, 0x01);
    CHECK(t.uart.can_receive() == 16);
    t.terminal.type("0123456789abcdef");
    CHECK(t.uart.can_receive() == 0);
    t.terminal.type("!");
    CHECK((t.in(5) & 0x02) != 0);  // overrun
    CHECK((t.in(5) & 0x02) == 0);
    unsigned ready = t.terminal.ready_calls;
    CHECK(t.in(0) == '0');
    CHECK(t.terminal.ready_calls == ready + 1);
    CHECK(t.uart.can_receive() == 1);
}

TEST_CASE("serial: loopback returns bytes and modem lines, and nothing leaves") {
    SerialTest t;
    t.out(4, 0x10);
    t.out(0, 0x55);
    CHECK(t.terminal.written.empty());
    CHECK(t.uart.can_receive() == 0);
    CHECK((t.in(5) & 1) == 1);
    CHECK(t.in(0) == 0x55);
    t.in(6);
    t.out(4, 0x13);
    CHECK(t.in(6) == 0x33);  // CTS and DSR, both changed
    CHECK(t.in(6) == 0x30);
}

TEST_CASE("serial: a break is a line status interrupt") {
    SerialTest t;
    t.out(2, 0x01), t.out(1, 0x05), t.out(4, 0x08);
    t.uart.receive_break();
    CHECK((t.in(2) & 0x0F) == 0x06);
    CHECK((t.in(5) & 0x11) == 0x11);
    CHECK(t.in(0) == 0);
}
