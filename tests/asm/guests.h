// SPDX-License-Identifier: MIT
// The guests of tests/asm/guests and tests/asm/bugs. A guest's first line may say
//   ; vcpus: 2          ; ends: shutdown      ; cpu: v3 (left out where the host has no AVX2)
//   ; host clock: too (translated without exact counts as well, as under the host clock: only the report
//   counts)
// The environment variable ASM_ONLY=name leaves those whose name contains it.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/integers.h"
#include "cpu/state/cpu_model.h"

namespace shadowbox::asm_test {

struct Guest {
    std::string name;
    std::filesystem::path binary;
    unsigned vcpus;
    bool shutdown, v3, host_clock;
};

inline std::vector<Guest> guests() {
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
    if (const char* only = std::getenv("ASM_ONLY"))
        std::erase_if(list, [only](const Guest& g) { return g.name.find(only) == std::string::npos; });
    REQUIRE(!list.empty());
    std::sort(list.begin(), list.end(), [](const Guest& a, const Guest& b) { return a.name < b.name; });
    return list;
}

inline std::vector<u8> image_of(const Guest& guest) {
    std::ifstream in(guest.binary, std::ios::binary);
    std::vector<u8> image((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    REQUIRE(!image.empty());
    return image;
}

}  // namespace shadowbox::asm_test
