// SPDX-License-Identifier: MIT
// What holds for every legacy device: save states are exact, register abuse harms nobody, idle costs nothing.
#include <catch2/catch.hpp>

#include "core/seeded_random.h"
#include "test_board.h"

using namespace shadowbox;
using test::Board;

namespace {

/// What the guest has read so far, as one number: two machines that behave alike give the same.
u64 seen = 0;
void note(u64 value) { seen = (seen ^ value) * 0x9E3779B97F4A7C15 + 1; }

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

}  // namespace

TEST_CASE("devices: random register abuse harms nobody, and is deterministic") {
    test::Quiet quiet;
    for (u64 seed = 1; seed <= 8; ++seed) {
        Board first, second;
        abuse(first, seed, 20'000);
        abuse(second, seed, 20'000);
        CHECK(first.save() == second.save());
        InspectNode node;
        Inspector inspector(node);
        for (Device* device : first.devices) device->inspect(inspector);
        CHECK_FALSE(inspect_text(node).empty());
    }
}

TEST_CASE("devices: saved, loaded into a fresh machine and saved again is equal to the byte") {
    test::Quiet quiet;
    for (u64 seed = 100; seed < 110; ++seed) {
        Board first, second;
        abuse(first, seed, 5'000);
        std::vector<u8> saved = first.save();
        second.time.clock.now_ = first.time.clock.now_;
        Archive archive(saved);
        for (Device* device : second.devices) device->serialize(archive);
        CHECK_FALSE(archive.failed());
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
            seen = 0;
            abuse(first, seed * 100 + round, 200);
            u64 expected = seen;
            seen = 0;
            abuse(second, seed * 100 + round, 200);
            CAPTURE(seed, round);
            REQUIRE(seen == expected);
        }
        for (std::size_t i = 0; i < first.devices.size(); ++i) {
            Archive a, b;
            first.devices[i]->serialize(a), second.devices[i]->serialize(b);
            CAPTURE(seed, first.devices[i]->name());
            CHECK((a.bytes() == b.bytes()));
        }
    }
}

TEST_CASE("devices: a loaded machine goes on as the saved one did") {
    test::Quiet quiet;
    Board first, second;
    first.init_pics();
    first.out8(0x43, 0x34), first.out8(0x40, 0x00), first.out8(0x40, 0x10);
    first.out8(0x70, 0x0B), first.out8(0x71, 0x42);
    first.time.run_to(123'456'789);
    Archive archive(first.save());
    second.time.clock.now_ = first.time.clock.now_;
    for (Device* device : second.devices) device->serialize(archive);
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
        std::vector<u8> bytes = saved;
        for (unsigned i = 0; i < 40; ++i) bytes[random.below(bytes.size())] = static_cast<u8>(random.next());
        if (random.one_in(4)) bytes.resize(random.below(bytes.size()));
        Board b;
        Archive archive(bytes);
        for (Device* device : b.devices) device->serialize(archive);
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
