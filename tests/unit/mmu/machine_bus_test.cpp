// SPDX-License-Identifier: MIT
// Decoding of message-signalled interrupts (SDM 3A 11.11).
#include "mmu/machine_bus.h"

#include <catch2/catch.hpp>

using namespace shadowbox;

TEST_CASE("msi: address and data decode into a message") {
    ApicMessage edge = msi_message(0xFEE03000, 0x4041);
    CHECK(edge.destination == 3);
    CHECK_FALSE(edge.logical);
    CHECK(edge.delivery == ApicDelivery::kFixed);
    CHECK(edge.vector == 0x41);
    CHECK_FALSE(edge.level_triggered);
    CHECK(edge.asserted);
    ApicMessage lowest = msi_message(0xFEEFF00C, 0x0132);
    CHECK(lowest.destination == 0xFF);
    CHECK(lowest.logical);
    CHECK(lowest.delivery == ApicDelivery::kLowestPriority);
    CHECK(lowest.asserted);
    CHECK(msi_message(0xFEE00000, 0xC050).asserted);
    CHECK(msi_message(0xFEE00000, 0xC050).level_triggered);
    CHECK_FALSE(msi_message(0xFEE00000, 0x8050).asserted);
}
