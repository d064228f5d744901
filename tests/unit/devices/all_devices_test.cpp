// SPDX-License-Identifier: MIT
// What holds for every legacy device: save states are exact, register abuse harms nobody, idle costs nothing.
#include <catch2/catch.hpp>

#include "board_state.h"

using namespace shadowbox;
using test::answers;
using test::Board;
using test::note;

namespace {

/// A port of ours three times out of four, any size, any value; sometimes MMIO, input from outside or time.
void poke(Board& b, SeededRandom& random) {
    static constexpr u16 kExit = 0xF4;
    u64 kind = random.below(16);
    unsigned size = 1u << random.below(3);
    if (kind < 11) {
        const auto& range = layout::kPorts[random.below(layout::kPorts.size())];
        u16 port = static_cast<u16>(range.first + random.below(range.count));
        if (random.one_in(20)) port = static_cast<u16>(random.next());
        u32 value = static_cast<u32>(random.one_in(3) ? random.below(256) : random.next());
        if (random.one_in(2))
            note(b.ports.read(port, size));
        else if (port < kExit || port > kExit + 3)
            b.ports.write(port, size, value);
    } else if (kind < 14) {
        u64 base = random.one_in(2) ? layout::kHpet.first : layout::kIoApic.first;
        Gpa where(base + random.below(0x400));
        unsigned wide = 1u << random.below(4);
        if (random.one_in(2))
            note(b.mmio.read(where, wide));
        else
            b.mmio.write(where, wide, random.one_in(2) ? random.below(4096) : random.next());
    } else if (kind == 14) {
        b.i8042.key_event(static_cast<Key>(random.below(256)), random.one_in(2));
        b.i8042.mouse_event(static_cast<int>(random.next()), static_cast<int>(random.next()),
                            static_cast<int>(random.below(9)) - 4, static_cast<u8>(random.next()));
        b.terminal.type("x");
        b.acpi.press_power_button();
        b.ioapic.end_of_interrupt(static_cast<u8>(random.next()));
        if (b.intr) note(b.pic.acknowledge());
    } else {
        b.time.clock.now_ += random.below(random.one_in(10) ? 2'000'000'000 : 100'000);
        b.time.timers.run_due(b.time.clock.now_);
    }
    if (random.one_in(50)) b.disk.complete();
}

void abuse(Board& b, u64 seed, unsigned steps) {
    SeededRandom random(seed);
    b.disk.deferred = true;
    for (unsigned i = 0; i < steps; ++i) poke(b, random);
    b.disk.complete();
    for (const ApicMessage& message : b.sink.messages) note(message.vector | u64{message.destination} << 8);
    b.sink.messages.clear();
}

/// Time passes while the host was busy: periods that are past are skipped, as a test of millions of ticks
/// would take long.
void leap(Board& b, GuestNs ns) {
    b.time.clock.now_ += ns;
    b.time.timers.run_due(b.time.clock.now_);
}

/// Programs chips as drivers do, with random parameters: states that plain noise does not reach.
void program(Board& b, SeededRandom& random) {
    auto byte = [&] { return static_cast<u8>(random.next()); };
    switch (random.below(9)) {
        case 0: {
            u8 icw4 = static_cast<u8>(1 | (random.below(2) << 1) | (random.below(2) << 4));
            b.out8(0x20, 0x11), b.out8(0x21, 0x20), b.out8(0x21, 0x04), b.out8(0x21, icw4);
            b.out8(0xA0, 0x11), b.out8(0xA1, 0x28), b.out8(0xA1, 0x02), b.out8(0xA1, icw4);
            b.out8(0x21, byte() & byte()), b.out8(0xA1, byte() & byte());
            static constexpr u8 kWords[] = {0x80, 0x00, 0xA0, 0xC3, 0x68, 0x48, 0x0A, 0x0B, 0x0C, 0x20};
            for (u64 i = random.below(4); i; --i)
                b.out8(random.one_in(2) ? 0x20 : 0xA0, kWords[random.below(10)]);
            break;
        }
        case 1: {
            u8 channel = static_cast<u8>(random.below(3));
            b.out8(0x61, byte() & 3);
            b.out8(0x43, static_cast<u32>(channel << 6 | 0x30 | random.below(6) << 1 | random.below(2)));
            b.out8(static_cast<u16>(0x40 + channel), byte()),
                b.out8(static_cast<u16>(0x40 + channel), static_cast<u8>(random.below(32)));
            b.time.advance(random.below(10'000));
            if (random.one_in(2)) b.out8(0x61, byte() & 3);
            if (random.one_in(3))
                b.out8(static_cast<u16>(0x40 + channel), byte()),
                    b.out8(static_cast<u16>(0x40 + channel), byte() & 31);
            if (random.one_in(3)) b.out8(0x43, static_cast<u32>(0xC2 | random.below(16) << 2));
            break;
        }
        case 2: {
            b.out8(0x70, 0x0A), b.out8(0x71, static_cast<u32>(0x20 | random.below(16)));
            b.out8(0x70, 0x0B), b.out8(0x71, byte() & 0x77);
            static constexpr u8 kRegisters[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x32};
            for (u64 i = random.below(6); i; --i)
                b.out8(0x70, kRegisters[random.below(11)]), b.out8(0x71, static_cast<u32>(random.below(13)));
            break;
        }
        case 3: {
            u64 timer = layout::kHpet.first + 0x100 + random.below(3) * 0x20;
            b.store(layout::kHpet.first + 0x10, 0),
                b.store(layout::kHpet.first + 0xF0, static_cast<u32>(random.below(5000)));
            b.store(timer, static_cast<u32>(random.below(16) << 1 | 0x44 | (random.one_in(2) ? 2 : 20) << 9));
            b.store(timer + 8, static_cast<u32>(1000 + random.below(20'000))),
                b.store(timer + 8, static_cast<u32>(1000 + random.below(20'000)));
            b.store(layout::kHpet.first + 0x10, static_cast<u32>(random.below(4)));
            break;
        }
        case 4:
            b.out16(0x602, byte() | 0x101), b.out8(0xB2, random.one_in(2) ? 0xF1 : 0xF0),
                b.out8(0xB3, byte());
            b.out16(0xAFE2, byte()), b.out32(0x600, random.one_in(2) ? 0 : 0xFFFF);
            b.acpi.press_power_button();
            if (random.one_in(3)) leap(b, 3'000'000'000);
            break;
        case 5: {
            u32 pin = static_cast<u32>(random.below(24));
            b.ioapic_write(0, static_cast<u32>(random.below(16) << 24));
            b.ioapic_write(static_cast<u8>(0x11 + 2 * pin), static_cast<u32>(random.next()));
            b.ioapic_write(static_cast<u8>(0x10 + 2 * pin),
                           static_cast<u32>(0x30 + random.below(64) | random.below(2) << 15 |
                                            random.below(4) / 3 << 16));
            break;
        }
        case 6:
            b.out8(0x3FB, 0x80 | byte()), b.out8(0x3F8, byte()), b.out8(0x3F9, 0),
                b.out8(0x3FB, byte() & 0x5F);
            b.out8(0x3FA, byte() & 0xC9), b.out8(0x3F9, byte() & 15), b.out8(0x3FC, byte() & 0x1F),
                b.out8(0x3FF, byte());
            b.terminal.type(std::string(random.below(20), 'a'));
            b.out8(0x3F8, byte());
            break;
        case 7: {
            b.out8(0x64, 0x60), b.out8(0x60, byte() & 0x77);
            static constexpr u8 kCommands[] = {0xED, 0xF0, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xEE, 0xFE,
                                               0xE8, 0xE6, 0xE7, 0xE9, 0xEA, 0xEB, 0xEC, 0xF3};
            for (u64 i = random.below(5); i; --i) {
                if (random.one_in(2)) b.out8(0x64, 0xD4);
                b.out8(0x60,
                       random.one_in(4) ? static_cast<u32>(random.below(4)) : kCommands[random.below(17)]);
                b.time.advance(300'000);
                if (random.one_in(2)) b.in8(0x60);
            }
            b.i8042.key_event(static_cast<Key>(random.below(90)), true);
            b.i8042.mouse_event(static_cast<int>(random.below(90)) - 45,
                                static_cast<int>(random.below(90)) - 45, 1, byte() & 7);
            break;
        }
        default: {
            u16 channel = static_cast<u16>(random.below(4));
            for (int i = 0; i < 3; ++i) b.out8(channel * 2, byte());
            b.out8(static_cast<u16>(channel * 2 + 1), byte());
            b.out8(0x0B, byte()), b.out8(0x08, byte()), b.out8(0x0A, byte() & 7), b.out8(0x81, byte()),
                b.out8(0x09, byte() & 7);
            static constexpr u8 kFloppy[] = {0x03, 0xDF, 0x02, 0x07, 0x00, 0x0F, 0x00, 0x05, 0x13,
                                             0x00, 0x57, 0x10, 0x94, 0x0E, 0x08, 0x4A, 0x00};
            b.out8(0x3F2, 0x0C | (byte() & 0x11)), b.out8(0x3F7, byte() & 3), b.out8(0x3F3, byte());
            u64 first = random.below(std::size(kFloppy));
            for (u64 i = first; i < std::min<u64>(first + 6, std::size(kFloppy)); ++i)
                b.out8(0x3F5, kFloppy[i]);
            b.out16(0x510, random.one_in(2) ? 0x20 : 0x19), b.in8(0x511), b.out32(0x514, byte());
            b.out8(0x402, byte()), b.out8(0x80, byte()), b.out8(0x92, byte() & 2), b.out8(0xCF9, byte() & 2);
        }
    }
}

/// Looks at everything and lets time pass, with hardly any write: what was loaded shows before it is
/// overwritten.
void watch(Board& b, SeededRandom& random) {
    for (unsigned i = 0; i < 150; ++i) {
        const auto& range = layout::kPorts[random.below(layout::kPorts.size())];
        if (!random.one_in(3))
            note(b.ports.read(static_cast<u16>(range.first + random.below(range.count)), 1));
        else if (random.one_in(2))
            leap(b, random.below(random.one_in(8) ? 1'000'000'000 : 2'000'000));
        note(b.intr);
        if (b.intr && random.one_in(2)) note(b.pic.acknowledge());
        if (random.one_in(12)) b.out8(random.one_in(2) ? 0x20 : 0xA0, random.one_in(2) ? 0x20 : 0x0B);
        if (random.one_in(12)) b.out8(0x70, static_cast<u32>(random.below(14)));
        if (random.one_in(12)) b.ioapic.end_of_interrupt(static_cast<u8>(0x30 + random.below(64)));
        if (random.one_in(12)) note(b.load(layout::kHpet.first + random.below(0x60) * 4));
        if (random.one_in(12)) note(b.ioapic_read(static_cast<u8>(random.below(0x40))));
        if (random.one_in(25)) b.i8042.mouse_event(3, 4, 0, 0);
        if (random.one_in(25)) b.out8(0x43, static_cast<u32>(random.below(3) << 6));
        if (random.one_in(60)) b.out8(0x61, static_cast<u32>(random.below(4)));
    }
    for (const ApicMessage& message : b.sink.messages) note(message.vector | u64{message.destination} << 8);
    b.sink.messages.clear();
    for (char c : b.terminal.written) note(static_cast<u8>(c));
    b.terminal.written.clear();
    for (const std::string& line : b.log) note(line.size());
    b.log.clear();
    note(b.resets), note(b.power_offs), note(b.a20);
}

}  // namespace

TEST_CASE("devices: a programmed machine that was loaded looks and goes on as the saved one") {
    test::Quiet quiet;
    for (u64 seed = 1; seed <= 400; ++seed) {
        Board first, second;
        SeededRandom random(seed);
        first.init_pics();
        for (u64 i = 1 + random.below(12); i; --i) program(first, random);
        first.sink.messages.clear(), first.terminal.written.clear(), first.log.clear();
        first.resets = first.power_offs = 0;
        test::load_board(second, first);
        CAPTURE(seed);
        REQUIRE(test::inspected(second) == test::inspected(first));
        SeededRandom one(seed), two(seed);
        u64 expected = answers([&] { watch(first, one); });
        REQUIRE(answers([&] { watch(second, two); }) == expected);
    }
}

TEST_CASE("devices: random register abuse harms nobody, and is deterministic") {
    test::Quiet quiet;
    for (u64 seed = 1; seed <= 8; ++seed) {
        Board first, second;
        abuse(first, seed, 20'000);
        abuse(second, seed, 20'000);
        CHECK(first.save() == second.save());
        CHECK_FALSE(test::inspected(first).empty());
    }
}

TEST_CASE("devices: saved, loaded into a fresh machine and saved again is equal to the byte") {
    test::Quiet quiet;
    for (u64 seed = 100; seed < 110; ++seed) {
        Board first, second;
        abuse(first, seed, 5'000);
        std::vector<u8> saved = first.save();
        second.time.clock.now_ = first.time.clock.now_;
        CHECK(test::load_devices(second, saved));
        CHECK(second.save() == saved);
    }
}

TEST_CASE("devices: whatever a guest does to a loaded machine, it answers as the saved one does") {
    test::Quiet quiet;
    for (u64 seed = 200; seed < 212; ++seed) {
        Board first, second;
        abuse(first, seed, 3'000);
        test::load_board(second, first);
        for (unsigned round = 0; round < 10; ++round) {
            u64 expected = answers([&] { abuse(first, seed * 100 + round, 200); });
            CAPTURE(seed, round);
            REQUIRE(answers([&] { abuse(second, seed * 100 + round, 200); }) == expected);
        }
        CAPTURE(seed);
        CHECK(test::state_difference(first, second) == "");
    }
}

TEST_CASE("devices: a loaded machine goes on as the saved one did") {
    test::Quiet quiet;
    Board first, second;
    first.init_pics();
    first.out8(0x43, 0x34), first.out8(0x40, 0x00), first.out8(0x40, 0x10);
    first.out8(0x70, 0x0B), first.out8(0x71, 0x42);
    first.time.run_to(123'456'789);
    second.time.clock.now_ = first.time.clock.now_;
    CHECK(test::load_devices(second, first.save()));
    CHECK(second.intr == false);  // the line's level is the vCPU's to restore
    first.time.run_to(200'000'000), second.time.run_to(200'000'000);
    CHECK(first.save() == second.save());
}

TEST_CASE("devices: corrupt save states are refused or loaded, never crash") {
    test::Quiet quiet;
    SeededRandom random(7);
    Board source;
    abuse(source, 55, 2'000);
    std::vector<u8> saved = source.save();
    for (unsigned round = 0; round < 60; ++round) {
        Board b;
        test::load_devices(b, test::corrupted(saved, random, 40));
        abuse(b, round, 500);
    }
}

TEST_CASE("devices: a machine at rest arms no timers, also after a reset") {
    Board b;
    CHECK(b.time.timers.next_deadline() == kNever);
    test::Quiet quiet;
    abuse(b, 3, 5'000);
    for (Device* device : b.devices) device->reset();
    CHECK(b.time.timers.next_deadline() == kNever);
}
