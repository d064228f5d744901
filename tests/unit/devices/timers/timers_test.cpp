// SPDX-License-Identifier: MIT
// PIT, RTC, HPET and ACPI PM timer: counts, edges, periods without drift, flags.
#include <catch2/catch.hpp>

#include "devices/timers/calendar.h"
#include "devices/timers/tick_math.h"
#include "tests/unit/devices/test_board.h"

using namespace shadowbox;
using test::Time;
using test::Wire;

namespace {

GuestNs pit_ns(u64 tick) { return tick_deadline(tick, Pit8254::kHz); }

struct PitTest {
    Time time;
    Wire irq;
    Pit8254 pit{time.timers, irq.line()};
    void control(u8 value) { pit.port_write(3, 1, value); }
    void count(u16 channel, u16 value) {
        pit.port_write(channel, 1, value & 0xFF), pit.port_write(channel, 1, value >> 8);
    }
    u16 read(u16 channel) {
        u32 low = pit.port_read(channel, 1);
        return static_cast<u16>(low | pit.port_read(channel, 1) << 8);
    }
    u16 latched(u16 channel) {
        control(static_cast<u8>(channel << 6));
        return read(channel);
    }
    bool out2() { return pit.port_b().port_read(0, 1) & 0x20; }
    void gate2(bool level) { pit.port_b().port_write(0, 1, level); }
    void to_tick(u64 tick) { time.run_to(pit_ns(tick)); }
};

struct RtcTest {
    Time time;
    Wire irq;
    RtcCmos rtc{time.timers, irq.line()};
    u8 read(u8 index) {
        rtc.port_write(0, 1, index);
        return static_cast<u8>(rtc.port_read(1, 1));
    }
    void write(u8 index, u8 value) { rtc.port_write(0, 1, index), rtc.port_write(1, 1, value); }
};

}  // namespace

TEST_CASE("pit: mode 2 interrupts at exact ticks for an hour") {
    PitTest t;
    t.control(0x34);
    t.count(0, 11932);
    CHECK(t.irq.level);  // OUT is high from the control word on
    unsigned before = t.irq.rises;
    t.time.run_to(3600 * kNsPerSecond);
    CHECK(t.irq.rises - before == (u64{3600} * Pit8254::kHz - 1) / 11932);
}

TEST_CASE("pit: counts the ticks that were due, also those that it came too late for") {
    PitTest t;
    t.control(0x34);
    t.count(0, 1193);
    t.to_tick(1193 * 3 + 5);
    CHECK(t.pit.ticks_due() == 3);
    unsigned before = t.irq.rises;
    t.pit.tick_again();
    CHECK(t.irq.rises == before + 1);
    t.time.jump_to(pit_ns(1193 * 50 + 5));  // a host that was late: one edge stands for all
    CHECK(t.pit.ticks_due() == 50);
    CHECK(t.irq.rises == before + 2);
    t.control(0x30);  // mode 0: no ticks, none again
    t.count(0, 100);
    t.to_tick(1193 * 52);
    before = t.irq.rises;
    t.pit.tick_again();
    CHECK(t.irq.rises == before);
    CHECK(t.pit.ticks_due() == 50);
}

TEST_CASE("pit: mode 2 reloads at terminal count") {
    PitTest t;
    t.gate2(true);
    t.control(0xB4);
    t.count(2, 10);
    for (u64 k = 0; k < 25; ++k) {
        t.to_tick(1 + k);
        CHECK(t.latched(2) == 10 - k % 10);
        CHECK(t.out2() == (k % 10 != 9));
    }
}

TEST_CASE("pit: mode 0 raises OUT at zero, counts on, and stops with the gate") {
    PitTest t;
    t.gate2(true);
    t.control(0xB0);
    t.count(2, 100);
    CHECK_FALSE(t.out2());
    t.to_tick(100);
    CHECK_FALSE(t.out2());
    t.gate2(false);
    u16 held = t.latched(2);
    t.to_tick(150);
    CHECK(t.latched(2) == held);
    t.gate2(true);
    t.to_tick(152);
    CHECK(t.out2());
    CHECK(t.latched(2) == 0xFFFF);
}

TEST_CASE("pit: mode 0 interrupts once on channel 0") {
    PitTest t;
    t.control(0x30);
    t.count(0, 1000);
    CHECK_FALSE(t.irq.level);
    t.time.run_to(pit_ns(1001) - 1);
    CHECK_FALSE(t.irq.level);
    t.to_tick(1001);
    CHECK(t.irq.level);
    t.time.run_to(kNsPerSecond);
    CHECK(t.irq.rises == 1);
    CHECK(t.time.timers.next_deadline() == kNever);  // idle costs nothing
}

TEST_CASE("pit: mode 3 is high for the longer half and counts by two") {
    PitTest t;
    t.gate2(true);
    t.control(0xB6);
    t.count(2, 5);
    static constexpr u16 kCounts[] = {4, 2, 0, 4, 2};
    for (u64 k = 0; k < 15; ++k) {
        t.to_tick(1 + k);
        CHECK(t.latched(2) == kCounts[k % 5]);
        CHECK(t.out2() == (k % 5 < 3));
    }
}

TEST_CASE("pit: mode 1 is triggered by the gate and can be retriggered") {
    PitTest t;
    t.control(0xB2);
    t.count(2, 4);
    t.to_tick(10);
    CHECK(t.out2());
    t.gate2(true);
    t.to_tick(11);
    CHECK_FALSE(t.out2());
    t.gate2(false), t.gate2(true);
    t.to_tick(15);
    CHECK_FALSE(t.out2());
    t.to_tick(16);
    CHECK(t.out2());
}

TEST_CASE("pit: mode 4 strobes for one clock, one tick later on channel 0") {
    PitTest t;
    t.control(0x38);
    t.count(0, 50);
    unsigned before = t.irq.rises;
    t.to_tick(51);
    CHECK(t.irq.rises == before);
    t.to_tick(52);
    CHECK(t.irq.rises == before + 1);
}

TEST_CASE("pit: a new count in mode 2 is taken at the end of the period") {
    PitTest t;
    t.gate2(true);
    t.control(0xB4);
    t.count(2, 10);
    t.to_tick(4);
    t.count(2, 3);
    CHECK(t.latched(2) == 7);
    t.to_tick(10);
    CHECK(t.latched(2) == 1);
    t.to_tick(11);
    CHECK(t.latched(2) == 3);
    t.to_tick(14);
    CHECK(t.latched(2) == 3);
}

TEST_CASE("pit: BCD counts, latches and read-back") {
    PitTest t;
    t.gate2(true);
    t.control(0xB5);
    t.count(2, 0x1000);
    t.to_tick(2);
    CHECK(t.latched(2) == 0x0999);
    t.control(0xC8);  // latch count and status of channel 2
    t.to_tick(500);
    u32 status = t.pit.port_read(2, 1);
    CHECK(status == 0xB5);
    CHECK(t.read(2) == 0x0999);
    CHECK(t.read(2) != 0x0999);
}

TEST_CASE("pit: null count is set until the count is loaded") {
    PitTest t;
    t.control(0x34);
    t.control(0xE2);
    CHECK((t.pit.port_read(0, 1) & 0x40) != 0);
    t.count(0, 100);
    t.to_tick(2);
    t.control(0xE2);
    CHECK((t.pit.port_read(0, 1) & 0x40) == 0);
}

TEST_CASE("pit: port 61h toggles the refresh bit") {
    PitTest t;
    unsigned changes = 0;
    bool last = false;
    for (GuestNs ns = 0; ns < 150850; ns += 1000) {
        t.time.run_to(ns);
        bool bit = t.pit.port_b().port_read(0, 1) & 0x10;
        changes += bit != last;
        last = bit;
    }
    CHECK(changes == 9);
}

TEST_CASE("calendar: dates and seconds agree over 400 years") {
    for (i64 day = -40000; day < 150000; day += 17) {
        CalendarTime t = calendar_from_seconds(day * kSecondsPerDay + 12345);
        CHECK(seconds_from_calendar(t) == day * kSecondsPerDay + 12345);
    }
    CalendarTime leap = calendar_from_seconds(951782400);
    CHECK((leap.year == 2000 && leap.month == 2 && leap.day == 29 && leap.weekday == 2));
}

TEST_CASE("rtc: shows the base time in BCD and in binary, 24 and 12 hours") {
    RtcTest t;
    CHECK(t.read(9) == 0x23);
    CHECK(t.read(8) == 0x11);
    CHECK(t.read(7) == 0x14);
    CHECK(t.read(4) == 0x22);
    CHECK(t.read(2) == 0x13);
    CHECK(t.read(0) == 0x20);
    CHECK(t.read(6) == 0x03);  // Tuesday
    CHECK(t.read(0x32) == 0x20);
    t.write(0x0B, 0x04);
    CHECK(t.read(4) == 0x8A);  // 10 pm
    t.time.advance(50 * kNsPerSecond);
    CHECK(t.read(0) == 10);
    CHECK(t.read(2) == 14);
    CHECK(t.read(0x0D) == 0x80);
}

TEST_CASE("rtc: setting the time under SET, across a day's end") {
    RtcTest t;
    t.write(0x0B, 0x82);
    static constexpr std::pair<u8, u8> kTime[] = {{9, 0x99}, {0x32, 0x19}, {8, 0x12}, {7, 0x31},
                                                  {4, 0x23}, {2, 0x59},    {0, 0x58}};
    for (auto [index, value] : kTime) t.write(index, value);
    t.time.advance(5 * kNsPerSecond);
    CHECK(t.read(0) == 0x58);  // stopped
    t.write(0x0B, 0x02);
    t.time.advance(3 * kNsPerSecond);
    CHECK(t.read(9) == 0x00);
    CHECK(t.read(0x32) == 0x20);
    CHECK(t.read(8) == 0x01);
    CHECK(t.read(7) == 0x01);
    CHECK(t.read(0) == 0x01);
}

TEST_CASE("rtc: update in progress shows before each second, flags by polling alone") {
    RtcTest t;
    CHECK((t.read(0x0A) & 0x80) == 0);
    t.time.run_to(999'900'000);
    CHECK((t.read(0x0A) & 0x80) != 0);
    t.read(0x0C);
    t.time.run_to(1'000'000'001);
    CHECK((t.read(0x0A) & 0x80) == 0);
    CHECK((t.read(0x0C) & 0x10) != 0);
    CHECK((t.read(0x0C) & 0x10) == 0);
    CHECK(t.time.timers.next_deadline() == kNever);
}

TEST_CASE("rtc: periodic interrupts at 1024 Hz, each waiting for register C") {
    RtcTest t;
    t.write(0x0B, 0x42);
    unsigned count = 0;
    while (t.time.timers.next_deadline() <= kNsPerSecond) {
        t.time.run_to(t.time.timers.next_deadline());
        REQUIRE(t.irq.level);
        CHECK((t.read(0x0C) & 0xC0) == 0xC0);
        CHECK_FALSE(t.irq.level);
        ++count;
    }
    CHECK(count == 1024);
    t.time.advance(kNsPerSecond);
    t.time.advance(kNsPerSecond);
    CHECK(t.irq.rises == 1025);  // unread: no more edges, no timer
    CHECK(t.time.timers.next_deadline() == kNever);
}

TEST_CASE("rtc: alarm with wildcards and update-ended interrupts") {
    RtcTest t;
    t.write(1, 0x05), t.write(3, 0xFF), t.write(5, 0xFF);  // every minute at second 5; base is :20
    t.write(0x0B, 0x22);
    t.time.advance(44 * kNsPerSecond);
    CHECK_FALSE(t.irq.level);
    t.time.advance(kNsPerSecond);
    CHECK(t.irq.level);
    CHECK((t.read(0x0C) & 0xA0) == 0xA0);
    t.time.advance(60 * kNsPerSecond);
    CHECK(t.irq.level);
    t.read(0x0C);
    t.write(0x0B, 0x12);
    t.time.advance(kNsPerSecond);
    CHECK(t.irq.level);
    t.write(5, 0x77);  // no such hour: the alarm never comes
    t.write(0x0B, 0x22);
    t.read(0x0C);
    CHECK(t.time.timers.next_deadline() == kNever);
}

TEST_CASE("rtc: memory sizes and boot order where SeaBIOS looks") {
    RtcTest t;
    CmosConfiguration configuration;
    configuration.ram_below_4g = u64{3} << 30;
    configuration.ram_above_4g = u64{5} << 30;
    configuration.cpus = 4;
    configuration.floppy_types[0] = 4;
    t.rtc.configure(configuration);
    CHECK((t.read(0x35) << 8 | t.read(0x34)) == (3072 - 16) * 16);
    CHECK((t.read(0x5D) << 16 | t.read(0x5C) << 8 | t.read(0x5B)) == 5 * 16384);
    CHECK((t.read(0x31) << 8 | t.read(0x30)) == 0xFFFF);
    CHECK((t.read(0x16) << 8 | t.read(0x15)) == 640);
    CHECK(t.read(0x10) == 0x40);
    CHECK(t.read(0x5F) == 3);
    CHECK(t.read(0x3D) == 0x32);
}

TEST_CASE("rtc: the types of two floppy drives, and how many there are") {
    struct {
        u8 first, second, drives;
    } cases[] = {{0, 0, 0x00}, {1, 0, 0x01}, {2, 3, 0x41}, {5, 4, 0x41}, {0, 4, 0x01}};
    for (auto [first, second, drives] : cases) {
        RtcTest t;
        CmosConfiguration configuration;
        configuration.floppy_types[0] = first;
        configuration.floppy_types[1] = second;
        t.rtc.configure(configuration);
        CHECK(t.read(0x10) == (first << 4 | second));
        CHECK((t.read(0x14) & 0xC1) == drives);  // bit 0: any; bits 7:6: one less
    }
}

namespace {
struct HpetTest : test::Board {
    static constexpr u64 kBase = layout::kHpet.first;
    void write64(u64 offset, u64 value) { mmio.write(Gpa(kBase + offset), 8, value); }
    u64 read64(u64 offset) { return mmio.read(Gpa(kBase + offset), 8); }
};
}  // namespace

TEST_CASE("hpet: capabilities and a counter that starts, stops and can be set") {
    HpetTest t;
    CHECK(t.read64(0) == 0x009896808086A201u);
    CHECK(t.read64(0xF0) == 0);
    t.time.advance(1000);
    CHECK(t.read64(0xF0) == 0);
    t.write64(0x10, 1);
    t.time.advance(1000);
    CHECK(t.read64(0xF0) == 100);
    t.write64(0x10, 0);
    t.time.advance(1000);
    CHECK(t.read64(0xF0) == 100);
    t.write64(0xF0, 0xFFFFFFFF00000000u);
    t.write64(0x10, 1);
    t.time.advance(10);
    CHECK(t.load(HpetTest::kBase + 0xF4) == 0xFFFFFFFF);
    CHECK(t.load(HpetTest::kBase + 0xF0) == 1);
}

TEST_CASE("hpet: periodic timer with the accumulator written as Linux does, no drift") {
    HpetTest t;
    t.ioapic_write(0x10 + 32, 0x40);
    t.write64(0x100, 16 << 9 | 0x4C);  // route 16, periodic, enabled, value set
    t.write64(0x108, 1000);
    t.write64(0x108, 100);  // 1 us
    t.write64(0x108, 100'000);
    t.write64(0x10, 1);
    t.time.run_to(10 * 1000);
    CHECK(t.sink.messages.size() == 1);
    t.time.run_to(10'000 + 1'000'000);
    CHECK(t.sink.messages.size() == 2);
    t.time.run_to(10'000 + u64{1000} * 1'000'000);
    CHECK(t.sink.messages.size() == 1001);
    CHECK(t.sink.messages[0].vector == 0x40);
}

TEST_CASE("hpet: counts the ticks that were due, also those that it came too late for") {
    HpetTest t;
    t.ioapic_write(0x14, 0x30);
    t.write64(0x100, 0x4C);
    t.write64(0x108, 100'000);
    t.write64(0x108, 100'000);  // 1 ms
    t.write64(0x10, 3);
    t.time.run_to(3'500'000);
    CHECK(t.hpet.ticks_due() == 3);
    t.time.jump_to(50'500'000);
    CHECK(t.hpet.ticks_due() == 50);
    CHECK(t.sink.messages.size() == 4);
    t.hpet.tick_again();
    CHECK(t.sink.messages.size() == 5);
    t.write64(0x10, 0);
    t.hpet.tick_again();
    CHECK(t.sink.messages.size() == 5);
}

TEST_CASE("hpet: legacy replacement takes IRQ 0 from the PIT") {
    HpetTest t;
    t.out8(0x43, 0x34), t.out8(0x40, 0), t.out8(0x40, 0);
    t.ioapic_write(0x14, 0x30);
    t.write64(0x100, 0x04);
    t.write64(0x108, 500'000);
    t.write64(0x10, 3);
    t.sink.messages.clear();
    t.time.advance(4'999'999);
    CHECK(t.sink.messages.empty());
    t.time.advance(1);
    CHECK(t.sink.messages.size() == 1);
    t.time.advance(kNsPerSecond);
    CHECK(t.sink.messages.size() == 1);
    t.write64(0x10, 0);  // the PIT is back
    t.time.advance(kNsPerSecond);
    CHECK(t.sink.messages.size() > 10);
}

TEST_CASE("hpet: level interrupts hold the line until the status bit is written") {
    HpetTest t;
    t.ioapic_write(0x10 + 40, 0x8050);
    t.write64(0x120, 20 << 9 | 0x06);
    t.write64(0x128, 10);
    t.write64(0x10, 1);
    t.time.advance(200);
    CHECK(t.read64(0x20) == 2);
    CHECK(t.sink.messages.size() == 1);
    t.write64(0x20, 2);
    CHECK(t.read64(0x20) == 0);
    t.ioapic.end_of_interrupt(0x50);
    CHECK(t.sink.messages.size() == 1);
}

TEST_CASE("hpet: a one-tick period neither hangs nor floods the host") {
    HpetTest t;
    t.write64(0x100, 0x4C);
    t.write64(0x108, 1);
    t.write64(0x10, 1);
    unsigned runs = 0;
    while (t.time.timers.next_deadline() <= 1'000'000) {
        t.time.clock.now_ = t.time.timers.next_deadline();
        t.time.timers.run_due(t.time.clock.now_);
        ++runs;
    }
    CHECK(runs <= 102);
}

TEST_CASE("acpi: the PM timer counts 3.579545 MHz in 24 bits and sets its status lazily") {
    test::Board b;
    b.time.run_to(kNsPerSecond);
    CHECK(b.in32(0x608) == 3'579'545);
    CHECK((b.in16(0x600) & 1) == 0);
    CHECK(b.time.timers.next_deadline() == kNever);
    b.time.run_to(3 * kNsPerSecond);
    CHECK(b.in32(0x608) == (3 * u64{3'579'545}));
    CHECK((b.in16(0x600) & 1) == 1);
    b.out16(0x600, 1);
    CHECK((b.in16(0x600) & 1) == 0);
}

// SeaBIOS took a timer that went back for one that had wrapped: its disk timeout was over at once, and GRUB's
// kernel corrupt.
TEST_CASE("acpi: the PM timer never goes back while the host's clock runs on") {
    test::Board b;
    b.time.clock.step_ = 70;  // a quarter of a tick
    u32 last = b.in32(0x608), backward = 0;
    for (unsigned i = 0; i < 10'000; ++i) {
        u32 next = b.in32(0x608);
        backward += next < last;
        last = next;
    }
    CHECK(backward == 0);
    CHECK(last > 1'000);
}

TEST_CASE("acpi: overflow interrupt, ACPI enable command, power button, S5") {
    test::Board b;
    Wire sci;
    unsigned off = 0;
    AcpiPm acpi(b.time.timers, sci.line(), [&] { ++off; });
    acpi.pm_ports().port_write(2, 2, 0x0101);
    acpi.press_power_button();
    CHECK_FALSE(sci.level);  // not in ACPI mode
    acpi.apm_ports().port_write(0, 1, layout::kAcpiEnableCommand);
    CHECK((acpi.pm_ports().port_read(4, 2) & 1) == 1);
    CHECK(sci.level);
    CHECK(acpi.pm_ports().port_read(0, 2) == 0x100);
    acpi.pm_ports().port_write(0, 2, 0x100);
    CHECK_FALSE(sci.level);
    b.time.run_to(3 * kNsPerSecond);
    CHECK(sci.level);
    acpi.pm_ports().port_write(0, 2, 1);
    CHECK_FALSE(sci.level);
    acpi.pm_ports().port_write(4, 2, 0x2401);  // S1: not offered
    CHECK(off == 0);
    acpi.pm_ports().port_write(4, 2, 0x2001);
    CHECK(off == 1);
    acpi.gpe_ports().port_write(2, 1, 0x02);
    acpi.raise_gpe(1);
    CHECK(sci.level);
    acpi.gpe_ports().port_write(0, 1, 0x02);
    CHECK_FALSE(sci.level);
}
