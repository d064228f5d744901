// SPDX-License-Identifier: MIT
// Keyboard controller, keyboard, mouse and the key table.
#include <catch2/catch.hpp>

#include "tests/unit/devices/test_board.h"

using namespace shadowbox;
using test::Board;

namespace {
using Bytes = std::vector<u8>;
struct KeyboardTest : Board {
    void command(u8 value) { out8(0x64, value); }
    void data(u8 value) { out8(0x60, value); }
    void mouse(u8 value) { command(0xD4), data(value); }
    /// Everything that comes within ten milliseconds of the last byte.
    Bytes drain() {
        Bytes bytes;
        for (int i = 0; i < 50; ++i) {
            time.advance(200'000);
            while (in8(0x64) & 1) bytes.push_back(in8(0x60)), i = 0;
        }
        return bytes;
    }
    void tap(Key key) { i8042.key_event(key, true), i8042.key_event(key, false); }
};
}  // namespace

TEST_CASE("keys: QEMU's names, combinations and characters") {
    CHECK(key_from_name("ret") == Key::kReturn);
    CHECK(key_from_name("0x1c") == Key::kReturn);
    CHECK(key_from_name("0xe048") == Key::kUp);
    CHECK(key_from_name("0xc8") == Key::kUp);
    CHECK_FALSE(key_from_name("nonsense"));
    CHECK(keys_from_combination("ctrl-alt-delete") == std::vector{Key::kControl, Key::kAlt, Key::kDelete});
    CHECK(keys_from_combination("ctrl-").empty());
    CHECK(keys_for_character('A') == std::vector{Key::kShift, Key::kA});
    CHECK(keys_for_character('~') == std::vector{Key::kShift, Key::kGraveAccent});
    for (char c = 32; c < 127; ++c) CHECK_FALSE(keys_for_character(c).empty());
}

TEST_CASE("i8042: set 2 translated by the controller is set 1, for every key of the table") {
    KeyboardTest t;
    for (unsigned i = 0; i < static_cast<unsigned>(Key::kCount); ++i) {
        Key key = static_cast<Key>(i);
        if (key == Key::kPause || key == Key::kPrint) continue;
        const KeyCodes& codes = key_codes(key);
        Bytes expected;
        if (codes.set1 >> 8) expected.push_back(0xE0);
        expected.push_back(static_cast<u8>(codes.set1));
        if (codes.set1 >> 8) expected.push_back(0xE0);
        expected.push_back(static_cast<u8>(codes.set1 | 0x80));
        t.tap(key);
        INFO(codes.name);
        CHECK(t.drain() == expected);
    }
    t.tap(Key::kPause);
    CHECK(t.drain() == Bytes{0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5});
    t.tap(Key::kPrint);
    CHECK(t.drain() == Bytes{0xE0, 0x2A, 0xE0, 0x37, 0xE0, 0xB7, 0xE0, 0xAA});
}

TEST_CASE("i8042: self test, interface tests, command byte") {
    KeyboardTest t;
    CHECK((t.in8(0x64) & 4) == 0);
    t.command(0xAA);
    CHECK(t.in8(0x60) == 0x55);
    CHECK((t.in8(0x64) & 4) == 4);
    t.command(0xAB);
    CHECK(t.in8(0x60) == 0x00);
    t.command(0xA9);
    CHECK(t.in8(0x60) == 0x00);
    t.command(0x60), t.data(0x30);
    t.command(0x20);
    CHECK(t.in8(0x60) == 0x30);
    t.command(0xAE), t.command(0xA8);
    t.command(0x20);
    CHECK(t.in8(0x60) == 0x00);
}

TEST_CASE("i8042: keyboard commands answer as Linux and SeaBIOS expect") {
    KeyboardTest t;
    t.data(0xFF);
    CHECK(t.drain() == Bytes{0xFA, 0xAA});
    t.data(0xF2);
    CHECK(t.drain() == Bytes{0xFA, 0xAB, 0x41});  // translated
    t.command(0x60), t.data(0x03);
    t.data(0xF2);
    CHECK(t.drain() == Bytes{0xFA, 0xAB, 0x83});
    t.data(0xED), t.data(0x05);
    CHECK(t.drain() == Bytes{0xFA, 0xFA});
    CHECK(t.i8042.keyboard_leds() == 5);
    t.data(0xF0), t.data(0x00);
    CHECK(t.drain() == Bytes{0xFA, 0xFA, 0x02});
    t.tap(Key::kA);
    CHECK(t.drain() == Bytes{0x1C, 0xF0, 0x1C});
    t.data(0xF0), t.data(0x01);
    t.drain();
    t.tap(Key::kUp);
    CHECK(t.drain() == Bytes{0xE0, 0x48, 0xE0, 0xC8});
    t.data(0xF0), t.data(0x03);
    t.drain();
    t.tap(Key::kUp);
    CHECK(t.drain() == Bytes{0x63, 0xF0, 0x63});
    t.data(0xEE);
    CHECK(t.drain() == Bytes{0xEE});
    t.data(0xE1);
    CHECK(t.drain() == Bytes{0xFE});
    t.data(0xF5);
    t.drain();
    t.tap(Key::kA);
    CHECK(t.drain().empty());
}

TEST_CASE("i8042: IRQ 1 for each byte, and the same byte when read twice at once") {
    KeyboardTest t;
    t.init_pics();
    t.i8042.key_event(Key::kHome, true);
    CHECK(t.intr);
    CHECK(t.pic.acknowledge() == 0x21);
    CHECK(t.in8(0x60) == 0xE0);
    CHECK(t.in8(0x60) == 0xE0);
    t.out8(0x20, 0x20);
    CHECK_FALSE(t.intr);
    t.time.advance(1'000'000);
    CHECK(t.intr);
    CHECK(t.in8(0x60) == 0x47);
}

TEST_CASE("i8042: a held key repeats after the delay at the programmed rate") {
    KeyboardTest t;
    t.data(0xF3), t.data(0x00);  // 250 ms, 30 a second
    t.drain();
    t.i8042.key_event(Key::kX, true);
    t.i8042.key_event(Key::kX, true);  // the host's own repeat is ignored
    unsigned makes = 0;
    for (int ms = 0; ms < 1000; ++ms) {
        t.time.advance(1'000'000);
        while (t.in8(0x64) & 1) makes += t.in8(0x60) == 0x2D;
    }
    CHECK(makes >= 23);
    CHECK(makes <= 25);
    t.i8042.key_event(Key::kX, false);
    CHECK(t.drain() == Bytes{0xAD});
    CHECK(t.time.timers.next_deadline() == kNever);
}

TEST_CASE("i8042: an unread keyboard overruns without harm") {
    KeyboardTest t;
    for (int i = 0; i < 100; ++i) t.tap(Key::kA);
    CHECK(t.drain().size() <= 18);
    t.tap(Key::kB);
    CHECK(t.drain() == Bytes{0x30, 0xB0});
}

TEST_CASE("i8042: A20 and reset lines") {
    KeyboardTest t;
    t.command(0xD1), t.data(0xDD);
    CHECK_FALSE(t.a20);
    CHECK((t.in8(0x92) & 2) == 0);
    t.out8(0x92, 0x02);
    CHECK(t.a20);
    t.command(0xD0);
    CHECK((t.in8(0x60) & 0x03) == 0x03);
    t.command(0xDD);
    CHECK_FALSE(t.a20);
    t.command(0xFE);
    CHECK(t.resets == 1);
    t.out8(0x92, 0x01);
    CHECK(t.resets == 2);
    t.out8(0xCF9, 0x02);
    CHECK(t.resets == 2);
    t.out8(0xCF9, 0x06);
    CHECK(t.resets == 3);
}

TEST_CASE("mouse: identifies, learns the wheel, reports motion") {
    KeyboardTest t;
    t.init_pics();
    t.mouse(0xFF);
    CHECK((t.in8(0x64) & 0x21) == 0x21);
    CHECK(t.intr);
    CHECK(t.pic.acknowledge() == 0x2C);
    CHECK(t.drain() == Bytes{0xFA, 0xAA, 0x00});
    for (u8 rate : {200, 100, 80}) t.mouse(0xF3), t.mouse(rate);
    t.drain();
    t.mouse(0xF2);
    CHECK(t.drain() == Bytes{0xFA, 0x03});
    t.mouse(0xF4);
    t.drain();
    t.i8042.mouse_event(5, 3, -1, 1);
    CHECK(t.drain() == Bytes{0x29, 0x05, 0xFD, 0xFF});
    t.i8042.mouse_event(-300, 0, 0, 0);
    CHECK(t.drain() == Bytes{0x18, 0x01, 0x00, 0x00, 0x18, 0xD3, 0x00, 0x00});
    t.mouse(0xE9);
    CHECK(t.drain() == Bytes{0xFA, 0x20, 0x02, 80});
    t.mouse(0xF5);
    t.drain();
    t.i8042.mouse_event(5, 5, 0, 7);
    CHECK(t.drain().empty());
}

TEST_CASE("mouse: unread motion adds up instead of piling up") {
    KeyboardTest t;
    t.mouse(0xF4);
    t.drain();
    for (int i = 0; i < 1000; ++i) t.i8042.mouse_event(1, 0, 0, 0);
    Bytes bytes = t.drain();
    REQUIRE(bytes.size() % 3 == 0);
    unsigned sum = 0;
    for (std::size_t i = 1; i < bytes.size(); i += 3) sum += bytes[i];
    CHECK(sum == 1000);
    CHECK(bytes.size() <= 36);
}
