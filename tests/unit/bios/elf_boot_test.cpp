// SPDX-License-Identifier: MIT
#include "bios/elf_boot.h"

#include <catch2/catch.hpp>

#include "core/seeded_random.h"
#include "kernel_files.h"

using namespace shadowbox;
using namespace shadowbox::test;

namespace {

constexpr u64 kBytes = GuestRam::kBytes;

std::vector<u8> pattern(std::size_t size, u8 first) {
    std::vector<u8> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<u8>(first + i);
    return bytes;
}
/// A segment at 1 MiB that begins with a multiboot header.
ElfSegment multiboot_segment(u32 flags = 0) {
    auto bytes = multiboot_header(flags);
    bytes.resize(0x100, 0xCC);
    return {1, 0x100000, 0x100000, bytes, 0x3000};
}
std::string refusal(const std::vector<u8>& kernel) {
    GuestRam ram;
    auto loaded = load_elf_kernel({kernel, {}, ""}, ram.memory, kBytes, 0);
    return loaded ? "" : loaded.error().text();
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("elf: the protocol is PVH, then multiboot, then none, for 32 and 64 bits") {
    for (bool wide : {false, true}) {
        ElfSegment code{1, 0x100000, 0x100000, pattern(64, 1)};
        CHECK(elf_boot_protocol(elf_file(wide, 0x100000, {code, pvh_note(0x100010)})) == ElfBoot::kPvh);
        CHECK(elf_boot_protocol(elf_file(wide, 0x100000, {multiboot_segment(), pvh_note(0x100010)})) ==
              ElfBoot::kPvh);
        CHECK(elf_boot_protocol(elf_file(wide, 0x100000, {multiboot_segment()})) == ElfBoot::kMultiboot);
        CHECK(elf_boot_protocol(elf_file(wide, 0x100000, {code})) == ElfBoot::kNone);
    }
    CHECK(elf_boot_protocol({}) == ElfBoot::kNone);
    CHECK(says(refusal(std::vector<u8>(100, 0)), "neither"));
}

TEST_CASE("elf: a PVH kernel gets its segments, its start information and the entry point of its note") {
    for (bool wide : {false, true}) {
        GuestRam ram;
        u8 dirt[64];
        memset(dirt, 0xEE, sizeof dirt);
        ram.memory.write(Gpa(0x200040), dirt);
        ElfKernel kernel;
        kernel.kernel = elf_file(wide, 0xFFFF,
                                 {{1, 0, 0x100000, pattern(0x1234, 1)},
                                  {1, 0x5000, 0x200000, pattern(64, 9), 0x80},
                                  pvh_note(0x100010)});
        kernel.modules.push_back({pattern(5000, 3), "first module"});
        kernel.command_line = "a=b";
        auto state = load_elf_kernel(kernel, ram.memory, kBytes, 0xF0000);
        REQUIRE(state);
        CHECK(state->rip == 0x100010);
        CHECK_FALSE(state->long_mode);
        CHECK(ram.get<u8>(0x101233) == static_cast<u8>(1 + 0x1233));
        CHECK(ram.get<u8>(0x20003F) == 9 + 63);
        CHECK(ram.get<u8>(0x200040) == 0);  // zeroed to its memory size
        u64 info = state->rbx;
        CHECK(ram.get<u32>(info) == 0x336EC578);
        CHECK(ram.get<u32>(info + 12) == 1);
        u64 module = ram.get<u64>(info + 16), first = ram.get<u64>(module);
        CHECK(ram.get<u64>(module + 8) == 5000);
        CHECK(ram.text(ram.get<u64>(module + 16)) == "first module");
        CHECK(first % 4096 == 0);
        CHECK(first >= 0x200080);
        CHECK(ram.get<u8>(first + 4999) == static_cast<u8>(3 + 4999));
        CHECK(ram.text(ram.get<u64>(info + 24)) == "a=b");
        CHECK(ram.get<u64>(info + 32) == 0xF0000);
        u64 map = ram.get<u64>(info + 40);
        REQUIRE(ram.get<u32>(info + 48) == memory_map(kBytes).size());
        CHECK(ram.get<u64>(map + 3 * 24) == 0x100000);
        CHECK(ram.get<u64>(map + 3 * 24 + 8) == kBytes - 0x100000);
        CHECK(ram.get<u64>(state->gdt_base + state->code_selector) == 0x00CF9B000000FFFF);
    }
}

TEST_CASE("elf: a multiboot kernel gets its information, and a virtual entry point becomes physical") {
    for (bool wide : {false, true}) {
        GuestRam ram;
        ElfKernel kernel;
        ElfSegment segment = multiboot_segment();
        segment.vaddr = wide ? 0xFFFFFFFF80100000 : 0xC0100000;
        kernel.kernel = elf_file(wide, segment.vaddr + 0x20, {segment});
        kernel.modules.push_back({pattern(10, 0), "m"});
        kernel.command_line = "hello";
        auto state = load_elf_kernel(kernel, ram.memory, kBytes, 0);
        REQUIRE(state);
        CHECK(state->rax == 0x2BADB002);
        CHECK(state->rip == 0x100020);
        u64 info = state->rbx;
        CHECK((ram.get<u32>(info) & 0x49) == 0x49);
        CHECK(ram.get<u32>(info + 8) == (kBytes >> 10) - 1024);
        CHECK(ram.text(ram.get<u32>(info + 16)) == "hello");
        u32 module = ram.get<u32>(info + 24);
        CHECK(ram.get<u32>(info + 20) == 1);
        CHECK(ram.get<u32>(module + 4) - ram.get<u32>(module) == 10);
        CHECK(ram.get<u32>(module) >= 0x103000);
        CHECK(ram.text(ram.get<u32>(info + 64)) == "shadowbox");
        u32 map = ram.get<u32>(info + 48), size = ram.get<u32>(info + 44);
        CHECK(size == memory_map(kBytes).size() * 24);
        CHECK(ram.get<u32>(map) == 20);
    }
}

TEST_CASE("elf: a multiboot header with load addresses needs no ELF") {
    GuestRam ram;
    std::vector<u8> kernel(0x40);
    auto header = multiboot_header(1 << 16, {0x200040, 0x200000, 0x200080, 0x201000, 0x200060});
    kernel.insert(kernel.end(), header.begin(), header.end());
    kernel.resize(0x100, 0x5A);
    auto state = load_elf_kernel({kernel, {}, ""}, ram.memory, kBytes, 0);
    REQUIRE(state);
    CHECK(state->rip == 0x200060);
    CHECK(ram.get<u32>(0x200040) == 0x1BADB002);
    CHECK(ram.get<u8>(0x20007F) == 0x5A);
    CHECK(ram.get<u8>(0x200080) == 0);      // load_end ends the copy
    set<u32>(kernel, 0x40 + 16, 0x200044);  // loads from behind the header
    CHECK(says(refusal(kernel), "make no sense"));
    set<u32>(kernel, 0x40 + 16, 0x1FFF00);  // from before the file
    CHECK(says(refusal(kernel), "make no sense"));
    set<u32>(kernel, 0x40 + 16, 0x200000), set<u32>(kernel, 0x40 + 20, 0x100000);  // ends before it begins
    CHECK(says(refusal(kernel), "make no sense"));
    set<u32>(kernel, 0x40 + 20, 0x300000);  // beyond the file
    CHECK(says(refusal(kernel), "ends inside"));
}

TEST_CASE(
    "elf: segments that are truncated, outside memory, overlapping or in the PC's own places are refused") {
    auto file = [](ElfSegment segment) { return elf_file(true, 0x100000, {multiboot_segment(), segment}); };
    CHECK(refusal(file({1, 0, 0x200000, pattern(100, 0)})).empty());
    auto truncated = file({1, 0, 0x200000, pattern(100, 0)});
    truncated.resize(truncated.size() - 40);
    CHECK(says(refusal(truncated), "ends inside"));
    CHECK(says(refusal(file({1, 0, kBytes - 50, pattern(100, 0)})), "raise -m"));
    CHECK(says(refusal(file({1, 0, ~u64{0} - 50, pattern(100, 0)})), "raise -m"));
    CHECK(says(refusal(file({1, 0, 0x200000, pattern(100, 0), ~u64{0}})), "raise -m"));
    CHECK(says(refusal(file({1, 0, 0x200000, pattern(100, 0), 50})), "larger in the file"));
    CHECK(says(refusal(file({1, 0, 0x100010, pattern(100, 0)})), "overlap"));
    CHECK(says(refusal(file({1, 0, 0x102FFF, pattern(2, 0)})), "overlap"));
    CHECK(refusal(file({1, 0, 0x103000, pattern(2, 0)})).empty());
    CHECK(says(refusal(file({1, 0, 0xB8000, pattern(2, 0)})), "lies where"));
    CHECK(says(refusal(file({1, 0, 0xF0000, pattern(2, 0)})), "lies where"));
    CHECK(refusal(file({1, 0, 0x20000, pattern(2, 0)})).empty());
    CHECK(says(refusal(elf_file(true, u64{1} << 40, {multiboot_segment()})), "above 4 GiB"));
}

TEST_CASE("elf: modules and command lines that do not fit are refused") {
    GuestRam ram;
    ElfKernel kernel{elf_file(false, 0x100000, {multiboot_segment()}), {}, ""};
    kernel.modules.push_back({std::vector<u8>(kBytes), ""});
    auto loaded = load_elf_kernel(kernel, ram.memory, kBytes, 0);
    REQUIRE_FALSE(loaded);
    CHECK(says(loaded.error().text(), "module"));
    kernel.modules.assign(25, {{1}, ""});
    CHECK_FALSE(load_elf_kernel(kernel, ram.memory, kBytes, 0));
    kernel.modules.assign(24, {{1}, ""});
    CHECK(load_elf_kernel(kernel, ram.memory, kBytes, 0));
    kernel.command_line = std::string(20'000, 'x');
    loaded = load_elf_kernel(kernel, ram.memory, kBytes, 0);
    REQUIRE_FALSE(loaded);
    CHECK(says(loaded.error().text(), "command lines"));
}

TEST_CASE("elf: broken headers and notes are none of ours, and never read outside the file") {
    auto good = elf_file(true, 0x100000, {{1, 0, 0x100000, pattern(64, 1)}, pvh_note(0x100010)});
    for (std::size_t size = 0; size < good.size(); ++size) {
        std::vector<u8> cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        elf_boot_protocol(cut);
        refusal(cut);
    }
    auto wrong = good;
    wrong[5] = 2;  // big-endian
    CHECK(elf_boot_protocol(wrong) == ElfBoot::kNone);
    wrong = good;
    set<u64>(wrong, 32, ~u64{0} - 20);  // program headers at the end of the address space
    CHECK(elf_boot_protocol(wrong) == ElfBoot::kNone);
    wrong = good;
    set<u16>(wrong, 56, 0xFFFF);
    CHECK(elf_boot_protocol(wrong) == ElfBoot::kNone);
    SeededRandom random(3);
    for (unsigned round = 0; round < 300; ++round) {
        wrong = good;
        for (unsigned i = 0; i < 4; ++i) wrong[random.below(wrong.size())] = static_cast<u8>(random.next());
        refusal(wrong);
    }
}

TEST_CASE("elf: segments lie anywhere below 640 KiB, and boot information where none does") {
    for (u64 place : {0x0u, 0x500u, 0x1000u, 0x7C00u, 0x8FFFu, 0x10000u, 0x9FB00u}) {
        INFO(place);
        GuestRam ram;
        ElfKernel kernel;
        kernel.kernel =
            elf_file(false, 0x100000, {multiboot_segment(), {1, place, place, pattern(0x100, 7), 0x100}});
        kernel.name = "k";
        kernel.command_line = "a=b";
        REQUIRE(check_elf_kernel(kernel, kBytes));
        auto state = load_elf_kernel(kernel, ram.memory, kBytes, 0);
        REQUIRE(state);
        for (unsigned i = 0; i < 0x100; ++i) CHECK(ram.get<u8>(place + i) == static_cast<u8>(7 + i));
        CHECK(ram.text(ram.get<u32>(state->rbx + 16)) == "k a=b");
        CHECK(ram.get<u64>(state->gdt_base + 16) == 0x00CF9B000000FFFF);
        bool stack_free = state->rsp <= place || state->rsp - 0x1000 >= place + 0x100;
        CHECK(stack_free);
    }
    CHECK(says(refusal(elf_file(false, 0x100000, {multiboot_segment(), {1, 0, 0x1000, {}, 0x9E000}})),
               "boot information"));
}

TEST_CASE("elf: a multiboot command line begins with the kernel's name, with arguments or without") {
    for (const char* arguments : {"", "a", "a  b"}) {
        GuestRam ram;
        ElfKernel kernel{elf_file(false, 0x100000, {multiboot_segment()}), {}, arguments, "dir/kernel"};
        auto state = load_elf_kernel(kernel, ram.memory, kBytes, 0);
        REQUIRE(state);
        std::string expected = *arguments ? std::string("dir/kernel ") + arguments : "dir/kernel";
        CHECK(ram.text(ram.get<u32>(state->rbx + 16)) == expected);
    }
}

TEST_CASE("elf: what does not fit is found without a machine") {
    ElfKernel kernel{elf_file(false, 0x100000, {multiboot_segment()}), {}, "", "k"};
    CHECK(check_elf_kernel(kernel, kBytes));
    CHECK_FALSE(check_elf_kernel(kernel, 0x100000));
    kernel.modules.push_back({std::vector<u8>(1 << 20), "m"});
    CHECK_FALSE(check_elf_kernel(kernel, 2 << 20));
    kernel.modules[0].command_line = std::string(20'000, 'x');
    CHECK_FALSE(check_elf_kernel(kernel, kBytes));
}
