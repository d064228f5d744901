// SPDX-License-Identifier: MIT
#include "bios/bios_data_area.h"

#include <catch2/catch.hpp>

using namespace shadowbox;

namespace {
unsigned word(const std::vector<u8>& area, unsigned where) {
    return area[where - 0x400] | area[where - 0x3FF] << 8;
}
}  // namespace

TEST_CASE("bios data: memory size, EBDA, equipment and text screen are where programs look") {
    static constexpr u16 kPorts[] = {0x3F8, 0x2F8};
    auto area = make_bios_data_area({kPorts, 2, 3, true});
    REQUIRE(area.size() == 0x100);
    CHECK(word(area, 0x400) == 0x3F8);
    CHECK(word(area, 0x402) == 0x2F8);
    CHECK(word(area, 0x404) == 0);
    CHECK(word(area, 0x40E) == 0x9FC0);
    CHECK(word(area, 0x413) == 639);
    CHECK((word(area, 0x410) & 0x0EC1) == 0x0441);  // two ports, two floppy drives
    CHECK(area[0x75] == 3);
    CHECK(word(area, 0x44A) == 80);
    CHECK(word(area, 0x463) == 0x3D4);
    CHECK(make_extended_bios_data()[0] == 1);
    auto bare = make_bios_data_area({});
    CHECK((word(bare, 0x410) & 0x0EC1) == 0);
    CHECK(word(bare, 0x463) == 0);
}
