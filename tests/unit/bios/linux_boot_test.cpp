// SPDX-License-Identifier: MIT
#include "bios/linux_boot.h"

#include <catch2/catch.hpp>

#include "core/seeded_random.h"
#include "kernel_files.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {
constexpr u64 kBytes = GuestRam::kBytes;
std::string refusal(const LinuxImage& image, u64 bytes = kBytes) {
    auto checked = check_linux(image, bytes);
    GuestRam ram;
    auto loaded = load_linux(image, ram.memory, bytes, 0);
    CHECK(checked.has_value() == loaded.has_value());
    return checked ? "" : checked.error().text();
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE(
    "linux: a 64-bit kernel is put at its preferred address with zero page, command line, page tables and "
    "GDT") {
    GuestRam ram;
    LinuxImage image{bzimage(), std::vector<u8>(5000, 0x77), "console=ttyS0"};
    auto state = load_linux(image, ram.memory, kBytes, 0xF0000);
    REQUIRE(state);
    CHECK(state->long_mode);
    CHECK(state->rip == 0x1000200);
    CHECK(ram.get<u8>(0x1000000 + 0x2FFF) == static_cast<u8>(0x2FFF * 7));
    u64 zero_page = state->rsi;
    CHECK(ram.get<u32>(zero_page + 0x202) == 0x53726448);  // HdrS
    CHECK(ram.get<u8>(zero_page + 0x210) == 0xFF);
    CHECK(ram.get<u8>(zero_page + 0x211) & 1);
    CHECK(ram.text(ram.get<u32>(zero_page + 0x228)) == "console=ttyS0");
    CHECK(ram.get<u64>(zero_page + 0x70) == 0xF0000);
    u32 initrd = ram.get<u32>(zero_page + 0x218);
    CHECK(ram.get<u32>(zero_page + 0x21C) == 5000);
    CHECK(initrd % 4096 == 0);
    CHECK(initrd + 5000 <= kBytes);
    CHECK(ram.get<u8>(initrd + 4999) == 0x77);
    // E820: what memory_map() says
    auto map = memory_map(kBytes);
    CHECK(ram.get<u8>(zero_page + 0x1E8) == map.size());
    for (std::size_t i = 0; i < map.size(); ++i) {
        CHECK(ram.get<u64>(zero_page + 0x2D0 + i * 20) == map[i].first);
        CHECK(ram.get<u64>(zero_page + 0x2D8 + i * 20) == map[i].size);
        CHECK(ram.get<u32>(zero_page + 0x2E0 + i * 20) == map[i].type);
    }
    // The identity map translates any address below 4 GiB.
    for (u64 where : {u64{0x1000200}, u64{0xFEE00123}}) {
        u64 upper = ram.get<u64>(state->cr3) & ~u64{0xFFF};
        u64 middle = ram.get<u64>(upper + (where >> 30) * 8) & ~u64{0xFFF};
        u64 leaf = ram.get<u64>(middle + (where >> 21 & 511) * 8);
        CHECK((leaf & 0x83) == 0x83);
        CHECK((leaf & ~u64{0x1FFFFF}) == (where & ~u64{0x1FFFFF}));
    }
    CHECK(ram.get<u64>(state->gdt_base + state->code_selector) == 0x00AF9B000000FFFF);
}

TEST_CASE("linux: a kernel without a 64-bit entry point starts in 32-bit mode at 1 MiB") {
    GuestRam ram;
    LinuxImage image{bzimage(), {}, ""};
    set<u16>(image.kernel, 0x206, 0x209);
    set<u16>(image.kernel, 0x236, 0);
    auto state = load_linux(image, ram.memory, kBytes, 0);
    REQUIRE(state);
    CHECK_FALSE(state->long_mode);
    CHECK(state->rip == 0x100000);
    CHECK(ram.get<u64>(state->gdt_base + state->code_selector) == 0x00CF9B000000FFFF);
    CHECK(ram.get<u32>(state->rsi + 0x218) == 0);
}

TEST_CASE("linux: zero set-up sectors mean four") {
    GuestRam ram;
    LinuxImage image{bzimage(), {}, ""};
    image.kernel[0x1F1] = 0;
    REQUIRE(load_linux(image, ram.memory, kBytes, 0));
    CHECK(ram.get<u8>(0x1000001) == 7);
}

TEST_CASE("linux: the initrd stays below initrd_addr_max") {
    GuestRam ram;
    LinuxImage image{bzimage(), std::vector<u8>(4096, 1), ""};
    set<u32>(image.kernel, 0x22C, 0x2FFFFFF);
    auto state = load_linux(image, ram.memory, kBytes, 0);
    REQUIRE(state);
    CHECK(ram.get<u32>(state->rsi + 0x218) == 0x2FFF000);
    set<u16>(image.kernel, 0x236, 3);  // can be loaded above 4 GiB: the limit does not hold
    state = load_linux(image, ram.memory, kBytes, 0);
    REQUIRE(state);
    CHECK(ram.get<u32>(state->rsi + 0x218) == kBytes - 4096);
}

TEST_CASE("linux: what does not fit is refused with one line") {
    LinuxImage image{bzimage(), {}, ""};
    CHECK(refusal(image).empty());
    CHECK(says(refusal(image, 17 << 20), "raise -m"));
    image.initrd.assign(GuestRam::kBytes - (17 << 20), 0);
    CHECK(says(refusal(image), "initrd"));
    image.initrd.assign(GuestRam::kBytes + 1, 0);
    CHECK(says(refusal(image), "initrd"));
    image.initrd.clear();
    image.command_line = std::string(256, 'x');
    CHECK(says(refusal(image), "255"));
    set<u32>(image.kernel, 0x238, 0xFFFFFFFF);  // the kernel takes any length, low memory does not
    image.command_line = std::string(1 << 20, 'x');
    CHECK(says(refusal(image), "command line"));
}

TEST_CASE("linux: malformed headers are refused") {
    CHECK_FALSE(is_bzimage(std::vector<u8>{}));
    CHECK_FALSE(is_bzimage(std::vector<u8>(0x290, 0)));
    LinuxImage image{bzimage(), {}, ""};
    image.kernel[0x202] = 'h';
    CHECK(says(refusal(image), "HdrS"));
    image.kernel = bzimage();
    set<u16>(image.kernel, 0x206, 0x204);
    CHECK(says(refusal(image), "2.04"));
    CHECK(says(refusal(image), "needs a BIOS"));
    image.kernel = bzimage();
    image.kernel[0x211] = 0;  // a zImage
    CHECK(says(refusal(image), "needs a BIOS"));
    image.kernel = bzimage();
    image.kernel.resize(5 * 512);
    CHECK(says(refusal(image), "set-up"));
    image.kernel = bzimage();
    image.kernel[0x1F1] = 0xFF;
    CHECK(says(refusal(image), "set-up"));
    image.kernel = bzimage();
    set<u64>(image.kernel, 0x258, ~u64{0} - 0xFFFFF);  // plus its size it is a small number
    CHECK(says(refusal(image), "raise -m"));
    image.kernel = bzimage();
    set<u32>(image.kernel, 0x260, 0xFFFFFFFF);
    CHECK(says(refusal(image), "raise -m"));
}

TEST_CASE("linux: any length of set-up header is copied inside the zero page") {
    GuestRam ram;
    for (unsigned length : {0u, 0x6Au, 0xFFu}) {
        LinuxImage image{bzimage(), {}, ""};
        image.kernel[0x201] = static_cast<u8>(length);
        auto state = load_linux(image, ram.memory, kBytes, 0);
        REQUIRE(state);
        CHECK(ram.get<u8>(state->rsi + 0x1E8) == memory_map(kBytes).size());
    }
}

TEST_CASE("memory_map: ranges ascend, and RAM adds up to what the guest has") {
    for (u64 bytes : {u64{1} << 20, u64{64} << 20, u64{3} << 30, u64{5} << 30}) {
        u64 last = 0, ram = 0;
        for (const MemoryRange& range : memory_map(bytes)) {
            CHECK(range.first >= last);
            last = range.first + range.size;
            if (range.type == 1) ram += range.size;
        }
        CHECK(ram + (0x100000 - 0x9FC00) == bytes);
    }
}
