// SPDX-License-Identifier: MIT
// Runs every guest of tests/asm/guests and tests/asm/bugs in the matrix: the budget whole, one instruction at
// a time, and in random slices, and translated (cpu/jit) whole and in slices. Each must report success, and
// all must end in the same state with the same count. A guest's first line may say
//   ; vcpus: 2          ; ends: shutdown      ; cpu: v3 (left out where the host has no AVX2)
//   ; host clock: too (translated without exact counts as well, as under the host clock: only the report
//   counts)
// The environment variable ASM_ONLY=name runs those whose name contains it.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "guest_machine.h"

using namespace shadowbox;
using namespace shadowbox::asm_test;

namespace {

struct Guest {
    std::string name;
    std::filesystem::path binary;
    unsigned vcpus;
    bool shutdown, v3, host_clock;
};

std::vector<Guest> guests() {
    std::vector<Guest> list;
    for (const char* folder : {"guests", "bugs"}) {
        std::filesystem::path sources = std::filesystem::path(ASM_SOURCES) / folder;
        if (!std::filesystem::exists(sources)) continue;
        for (const auto& entry : std::filesystem::directory_iterator(sources)) {
            if (entry.path().extension() != ".asm") continue;
            std::ifstream in(entry.path());
            std::string first;
            std::getline(in, first);
            std::string stem = entry.path().stem().string();
            list.push_back({std::string(folder) + "/" + stem,
                            std::filesystem::path(ASM_BINARIES) / (stem + ".bin"),
                            first.find("vcpus: 2") != std::string::npos ? 2u : 1u,
                            first.find("ends: shutdown") != std::string::npos,
                            first.find("cpu: v3") != std::string::npos,
                            first.find("host clock: too") != std::string::npos});
        }
    }
    if (!host_runs_v3()) std::erase_if(list, [](const Guest& g) { return g.v3; });
    std::sort(list.begin(), list.end(), [](const Guest& a, const Guest& b) { return a.name < b.name; });
    return list;
}

GuestResult run(const Guest& guest, Slicing slicing, u64 seed, bool translate = false,
                bool small_cache = false, bool host_clock = false) {
    std::ifstream in(guest.binary, std::ios::binary);
    std::vector<u8> image((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    REQUIRE(!image.empty());
    return GuestMachine(guest.vcpus, "asm/" + guest.name, translate, guest.v3, small_cache, host_clock)
        .run(image, slicing, seed);
}

void check_end(const Guest& guest, const GuestResult& result, const char* how) {
    INFO(guest.name << ", " << how << "\n" << result.story);
    if (guest.shutdown) {
        CHECK(result.shutdown);
    } else {
        CHECK_FALSE(result.shutdown);
        CHECK(result.reported == 0);  // else: the number of the check in the guest's source
    }
}

}  // namespace

TEST_CASE("asm: every guest reports success, and the same however its budget is cut") {
    std::vector<Guest> all = guests();
    if (const char* only = std::getenv("ASM_ONLY"))
        std::erase_if(all, [only](const Guest& g) { return g.name.find(only) == std::string::npos; });
    REQUIRE(!all.empty());
    for (const Guest& guest : all) {
        GuestResult whole = run(guest, Slicing::kWhole, 0);
        check_end(guest, whole, "budget whole");
        GuestResult single = run(guest, Slicing::kSingle, 0);
        check_end(guest, single, "one instruction at a time");
        {
            INFO(guest.name << ": whole and single");
            CHECK(whole.state == single.state);
        }
        for (u64 seed : {1, 2, 3}) {
            GuestResult sliced = run(guest, Slicing::kRandom, seed);
            INFO(guest.name << ": slices, seed " << seed);
            CHECK(sliced.state == whole.state);
        }
        for (u64 seed : {0, 4, 5}) {
            GuestResult translated = run(guest, seed ? Slicing::kRandom : Slicing::kWhole, seed, true);
            INFO(guest.name << ": translated from the first execution on, seed " << seed);
            CHECK(translated.state == whole.state);
        }
        for (Slicing slicing : {Slicing::kWhole, Slicing::kRandom}) {
            if (guest.host_clock)
                check_end(guest, run(guest, slicing, 7, true, false, true),
                          "translated, under the host clock");
        }
        for (bool translate : {false, true}) {
            GuestResult evicted = run(guest, Slicing::kRandom, 6, translate, true);
            INFO(guest.name << ": with the smallest code cache, "
                            << (translate ? "translated" : "interpreted"));
            CHECK(evicted.state == whole.state);
        }
    }
}
