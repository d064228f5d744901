// SPDX-License-Identifier: MIT
// What holds for every PCI device: save states are exact, register abuse harms nobody.
#include <catch2/catch.hpp>

#include "devices/display/vga.h"
#include "pci_board.h"
#include "tests/unit/devices/board_state.h"

using namespace shadowbox;
using test::answers;
using test::note;

namespace {

struct Full : test::PciBoard {
    Vga vga{time.timers, memory.guest, [](std::function<void()> work) { work(); }, {0x55, 0xAA}};
    Full() {
        pci.add(2, 0, vga);
        add(layout::kVga, vga.ports());
        add(layout::kVbeDispi, vga.dispi_ports());
        mmio.add(Gpa(layout::kVgaWindow.first), layout::kVgaWindow.size, vga.window(), "vga");
        devices.push_back(&vga);
        set_up_pci(pci);
    }
};

/// An IDE command with a plausible task file, or a packet, most of them moving data.
void command(Full& b, SeededRandom& random) {
    static constexpr u8 kCodes[] = {0x20, 0x24, 0x30, 0x34, 0xC4, 0xC5, 0xC8, 0xCA, 0x25, 0x35, 0xEC,
                                    0xA1, 0xA0, 0xEF, 0xE7, 0xC6, 0x91, 0xB0, 0x90, 0x08, 0x40, 0xF8};
    static constexpr u8 kPackets[] = {0x00, 0x03, 0x12, 0x1B, 0x25, 0x28, 0x43, 0x46,
                                      0x4A, 0x51, 0x5A, 0xA8, 0xAD, 0xBD, 0xBE, 0x1E};
    u16 base = random.one_in(2) ? 0x1F0 : 0x170;
    for (u16 i = 1; i < 6; ++i)
        b.out8(static_cast<u16>(base + i),
               static_cast<u32>(random.one_in(2) ? random.below(4) : random.next()));
    b.out8(static_cast<u16>(base + 6), random.one_in(5) ? 0xB0 : 0xE0);
    u8 code = random.one_in(10) ? static_cast<u8>(random.next()) : kCodes[random.below(std::size(kCodes))];
    if (base == 0x170 && random.one_in(2)) code = 0xA0;
    b.out8(static_cast<u16>(base + 7), code);
    if (code == 0xA0) {
        b.out16(base, kPackets[random.below(std::size(kPackets))] | static_cast<u32>(random.below(4)) << 8);
        for (int i = 0; i < 5; ++i)
            b.out16(base, static_cast<u32>(random.below(8)) << (random.one_in(2) ? 8 : 0));
    }
    u64 words = random.below(random.one_in(4) ? 5000 : 300);
    for (u64 i = 0; i < words; ++i) {
        if (code == 0x30 || code == 0x34 || code == 0xC5)
            b.out16(base, static_cast<u32>(random.next()));
        else
            note(b.in16(base));
    }
}

void poke(Full& b, SeededRandom& random) {
    static constexpr u16 kPorts[] = {0x1F0, 0x170, 0x3F6, 0x376, 0x3B0, 0x3C0, 0x3D0, 0x1CE, 0xC000};
    u64 kind = random.below(20);
    unsigned size = 1u << random.below(3);
    if (kind < 10) {
        u16 port = static_cast<u16>(kPorts[random.below(std::size(kPorts))] + random.below(16));
        if (random.one_in(2))
            note(b.ports.read(port, size));
        else
            b.ports.write(port, size, static_cast<u32>(random.one_in(2) ? random.below(256) : random.next()));
    } else if (kind < 14) {
        command(b, random);
    } else if (kind < 16) {
        u64 where = 0xA0000 + random.below(0x20000);
        b.mmio.write(Gpa(where), 1u << random.below(4), random.next());
        note(b.mmio.read(Gpa(where), 1u << random.below(4)));
    } else if (kind < 18 && random.one_in(4)) {
        static constexpr unsigned kSlots[][2] = {{0, 0}, {1, 0}, {1, 1}, {1, 3}, {2, 0}};
        auto& where = kSlots[random.below(5)];
        b.set_config(where[0], where[1], static_cast<unsigned>(random.below(256)),
                     static_cast<u32>(random.next()), size);
        if (random.one_in(3)) set_up_pci(b.pci);
    } else if (kind == 18) {
        b.out8(random.one_in(2) ? 0xC000 : 0xC008, random.one_in(3) ? 0 : 9);
        u32 entry[2] = {static_cast<u32>(random.below(0x300000)),
                        0x80000000 | static_cast<u32>(random.below(65536))};
        b.memory.guest.write(Gpa(0x2000), std::span(reinterpret_cast<u8*>(entry), 8));
        b.out32(random.one_in(2) ? 0xC004 : 0xC00C,
                random.one_in(8) ? static_cast<u32>(random.next()) : 0x2000);
    } else {
        b.time.clock.now_ += random.below(1'000'000);
        if (random.one_in(20)) b.cdrom->insert(random.one_in(2) ? &b.compact_disc : nullptr);
    }
    if (random.one_in(3)) {
        b.hard_disk.complete();
        b.compact_disc.complete();
    }
}

void abuse(Full& b, u64 seed, unsigned steps) {
    SeededRandom random(seed);
    b.hard_disk.deferred = b.compact_disc.deferred = true;
    for (unsigned i = 0; i < steps; ++i) poke(b, random);
    b.hard_disk.complete();
    b.compact_disc.complete();
}

/// Where the frame buffer's pages are: parked, or where BAR 0 wants them.
Ppn frame_buffer(Full& b) {
    bool parked = b.memory.guest.pmap().load_stable(VgaMemory::kParked).state() != PageState::kMmio;
    return parked ? VgaMemory::kParked : Gpa(b.vga.regions()[0].mapped.value()).ppn();
}

/// What a save state holds of the physical map: the frame buffer's place and content.
void load_frame_buffer(Full& to, Full& from) {
    Ppn place = frame_buffer(from), old = frame_buffer(to);
    if (old != place) to.memory.guest.relocate(old, place, VgaMemory::kPages);
    std::vector<u8> page(kPageSize);
    for (u64 i = 0; i < VgaMemory::kPages; ++i) {
        from.memory.guest.peek(start_of(place + i), page);
        bool zeros =
            std::all_of(page.begin(), page.end(), [](u8 byte) { return byte == 0; });  // the pool is small
        if (!zeros) CHECK(to.memory.guest.write(start_of(place + i), page));
    }
}

}  // namespace

TEST_CASE("pci devices: random register abuse harms nobody, and is deterministic") {
    test::Quiet quiet;
    for (u64 seed = 1; seed <= 6; ++seed) {
        Full first, second;
        abuse(first, seed, 4'000);
        abuse(second, seed, 4'000);
        CHECK(test::state_difference(first, second) == "");
        CHECK_FALSE(test::inspected(first).empty());
    }
}

TEST_CASE("pci devices: saving changes nothing, also right after power-on") {
    Full board;
    for (Device* device : board.devices) device->reset();
    std::vector<u8> first = board.save();
    CHECK((board.save() == first));
    CHECK(test::load_devices(board, first));
    CHECK((board.save() == first));
}

TEST_CASE("pci devices: saved, loaded into a fresh machine and saved again is equal to the byte") {
    test::Quiet quiet;
    for (u64 seed = 100; seed < 120; ++seed) {
        Full first, second;
        abuse(first, seed, 2'000);
        second.cdrom->insert(first.cdrom->medium() ? &second.compact_disc : nullptr);
        std::vector<u8> saved = first.save();
        second.time.clock.now_ = first.time.clock.now_;
        CHECK(test::load_devices(second, saved));
        CAPTURE(seed);
        CHECK(test::state_difference(first, second) == "");
    }
}

TEST_CASE("pci devices: whatever a guest does to a loaded machine, it answers as the saved one does") {
    test::Quiet quiet;
    for (u64 seed = 200; seed < 210; ++seed) {
        Full first, second;
        abuse(first, seed, 1'500);
        second.cdrom->insert(first.cdrom->medium() ? &second.compact_disc : nullptr);
        second.hard_disk.content = first.hard_disk.content;
        load_frame_buffer(second, first);
        test::load_board(second, first);
        for (unsigned round = 0; round < 10; ++round) {
            u64 expected = answers([&] { abuse(first, seed * 100 + round, 100); });
            CAPTURE(seed, round);
            REQUIRE(answers([&] { abuse(second, seed * 100 + round, 100); }) == expected);
        }
        VgaFrame one, two;
        first.vga.render(one), second.vga.render(two);
        CHECK((one.pixels == two.pixels));
    }
}

TEST_CASE("pci devices: corrupt save states are refused or loaded, never crash") {
    test::Quiet quiet;
    SeededRandom random(7);
    Full source;
    abuse(source, 55, 1'000);
    std::vector<u8> saved = source.save();
    for (unsigned round = 0; round < 30; ++round) {
        Full b;
        test::load_devices(b, test::corrupted(saved, random, 60));
        abuse(b, round, 200);
        VgaFrame frame;
        b.vga.render(frame);
    }
}
