// SPDX-License-Identifier: MIT
// MMX: the aliasing with x87 registers. The packed operations are compared with the host by
// tests/host_compare.
#include "simd_fixture.h"

using namespace shadowbox;

TEST_CASE("mmx: writing a register makes all tags valid, TOP 0 and the exponent ones") {
    SimdMachine m;
    m.cpu->gpr[kRax] = 0x1122334455667788;
    m.cpu->x87.set_top(3);
    REQUIRE(m.run({0x48, 0x0F, 0x6E, 0xD0}) == SimdMachine::kNoFault);  // movq mm2, rax
    CHECK(m.cpu->x87.st[2].significand == 0x1122334455667788);
    CHECK(m.cpu->x87.st[2].sign_exponent == 0xFFFF);
    CHECK(m.cpu->x87.top() == 0);
    CHECK(m.cpu->x87.empty == 0);
    m.run({0x0F, 0x77});
    CHECK(m.cpu->x87.empty == 0xFF);
}

TEST_CASE("mmx: REX does not reach further registers") {
    SimdMachine m;
    m.cpu->x87.st[1].significand = 5;
    m.cpu->x87.st[2].significand = 7;
    m.run({0x45, 0x0F, 0xFE, 0xCA});  // paddd mm1, mm2 with REX.RB
    CHECK(m.cpu->x87.st[1].significand == 12);
}

TEST_CASE("mmx: a pending x87 exception comes first") {
    SimdMachine m;
    m.cpu->x87.control = 0x37E;
    m.cpu->x87.status = 0x8081;
    CHECK(m.run({0x0F, 0xFE, 0xCA}) == 16);
}

TEST_CASE("mmx: the low unpacks read four bytes of memory") {
    SimdMachine m;
    m.put(0x400000 - 4, u32{0x44332211});  // the last mapped bytes
    m.cpu->gpr[kRdi] = 0x400000 - 4;
    m.cpu->x87.st[0].significand = 0xDDCCBBAA;
    REQUIRE(m.run({0x0F, 0x60, 0x07}) == SimdMachine::kNoFault);
    CHECK(m.cpu->x87.st[0].significand == 0x44DD33CC22BB11AA);
    CHECK(m.run({0x0F, 0x68, 0x07}) == 14);
}

TEST_CASE("mmx: MASKMOVQ stores only the bytes asked for") {
    SimdMachine m;
    m.put(SimdMachine::kData, ~u64{0});
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.cpu->x87.st[0].significand = 0x8877665544332211;
    m.cpu->x87.st[1].significand = 0x8000000000800080;
    m.run({0x0F, 0xF7, 0xC1});
    CHECK(m.get<u64>(SimdMachine::kData) == 0x88FFFFFFFF33FF11);
}
