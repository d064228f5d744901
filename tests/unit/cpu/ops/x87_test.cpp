// SPDX-License-Identifier: MIT
// x87: stack faults, exceptions masked and not, images in memory. Plain arithmetic is compared with the host
// by tests/host_compare.
#include <cmath>

#include "simd_fixture.h"

using namespace shadowbox;

namespace {

double top_of_stack(SimdMachine& m) {
    const Float80& value = m.cpu->x87.st[m.cpu->x87.top()];
    long double wide = 0;
    memcpy(&wide, &value.significand, 8);
    memcpy(reinterpret_cast<u8*>(&wide) + 8, &value.sign_exponent, 2);
    return static_cast<double>(wide);
}
constexpr u16 kES = 0x80;

}  // namespace

TEST_CASE("x87: a sum of doubles in memory comes out exactly") {
    SimdMachine m;
    m.put(SimdMachine::kData, 1.5);
    m.put(SimdMachine::kData + 8, 2.25);
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    // fld qword [rdi]; fadd qword [rdi+8]; fst qword [rdi+16]
    REQUIRE(m.run({0xDD, 0x07, 0xDC, 0x47, 0x08, 0xDD, 0x57, 0x10}) == SimdMachine::kNoFault);
    CHECK(top_of_stack(m) == 3.75);
    CHECK(m.get<double>(SimdMachine::kData + 16) == 3.75);
    CHECK(m.cpu->x87.top() == 7);
    CHECK(m.cpu->x87.empty == 0x7F);
}

TEST_CASE("x87: FSUB and FSUBR differ in direction, and change places in the ST(i), ST(0) encodings") {
    SimdMachine m;
    // fld1; fldpi; d8 e1 = fsub st0, st1 -> pi - 1
    m.run({0xD9, 0xE8, 0xD9, 0xEB, 0xD8, 0xE1});
    CHECK(top_of_stack(m) == Approx(M_PI - 1));
    m.run({0xDB, 0xE3, 0xD9, 0xE8, 0xD9, 0xEB, 0xD8, 0xE9});
    CHECK(top_of_stack(m) == Approx(1 - M_PI));
    m.run({0xDB, 0xE3, 0xD9, 0xE8, 0xD9, 0xEB, 0xDE, 0xE9});  // fsubp: st1 - st0
    CHECK(top_of_stack(m) == Approx(1 - M_PI));
    m.run({0xDB, 0xE3, 0xD9, 0xE8, 0xD9, 0xEB, 0xDE, 0xE1});  // fsubrp: st0 - st1
    CHECK(top_of_stack(m) == Approx(M_PI - 1));
}

TEST_CASE("x87: pushing onto a full stack gives the indefinite value, IE, SF and C1") {
    SimdMachine m;
    std::vector<u8> code;
    for (int i = 0; i < 9; ++i) code.insert(code.end(), {0xD9, 0xE8});
    REQUIRE(m.run(code) == SimdMachine::kNoFault);
    CHECK((m.cpu->x87.status & 0x2FF) == 0x241);
    CHECK(m.cpu->x87.st[m.cpu->x87.top()].significand == 0xC000000000000000);
    CHECK(m.cpu->x87.st[m.cpu->x87.top()].sign_exponent == 0xFFFF);
}

TEST_CASE("x87: an unmasked division by zero is reported by the next waiting instruction, operands intact") {
    SimdMachine m;
    m.put(SimdMachine::kData, u16{0x037B});  // ZM clear
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    // fldcw [rdi]; fldz; fld1; fdiv st0, st1; fnstsw ax; fwait
    CHECK(m.run({0xD9, 0x2F, 0xD9, 0xEE, 0xD9, 0xE8, 0xD8, 0xF1, 0xDF, 0xE0, 0x9B}) == 16);
    CHECK((m.cpu->gpr[kRax] & 0x80FF) == 0x8084);
    CHECK(top_of_stack(m) == 1.0);
    CHECK(m.cpu->x87.instruction_pointer == SimdMachine::kCode + 6);
    // FNCLEX does not wait, and ends it.
    CHECK(m.run({0xDB, 0xE2, 0x9B}) == SimdMachine::kNoFault);
    CHECK((m.cpu->x87.status & kES) == 0);
}

TEST_CASE("x87: an unmasked overflow stores nothing and pops nothing") {
    SimdMachine m;
    m.put(SimdMachine::kData, u16{0x0377});  // OM clear
    m.put(SimdMachine::kData + 8, 1e300);
    m.put(SimdMachine::kData + 16, u32{0x12345678});
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    // fldcw [rdi]; fld qword [rdi+8]; fstp dword [rdi+16]; fnstsw ax
    REQUIRE(m.run({0xD9, 0x2F, 0xDD, 0x47, 0x08, 0xD9, 0x5F, 0x10, 0xDF, 0xE0}) == SimdMachine::kNoFault);
    CHECK(m.get<u32>(SimdMachine::kData + 16) == 0x12345678);
    CHECK((m.cpu->gpr[kRax] & 0x88) == 0x88);
    CHECK(top_of_stack(m) == 1e300);
}

TEST_CASE("x87: precision control rounds sums to single") {
    SimdMachine m;
    m.put(SimdMachine::kData, u16{0x007F});
    m.put(SimdMachine::kData + 8, 1e-10);
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.run({0xD9, 0x2F, 0xD9, 0xE8, 0xDC, 0x47, 0x08});
    CHECK(top_of_stack(m) == 1.0);
    CHECK((m.cpu->x87.status & 0x20) != 0);
}

TEST_CASE("x87: a store that faults leaves stack, flags and the host's flags alone") {
    SimdMachine m;
    m.cpu->gpr[kRdi] = 0x40000000;  // not mapped
    m.run({0xD9, 0xEB});            // fldpi
    u16 before = m.cpu->x87.status;
    CHECK(m.run({0xD9, 0x1F}) == 14);  // fstp dword [rdi]: inexact, and #PF
    CHECK(m.cpu->x87.status == before);
    m.run({0xD9, 0xE8, 0xD8, 0xC0});  // fld1; fadd: exact
    CHECK((m.cpu->x87.status & 0x20) == 0);
}

TEST_CASE("x87: FNSAVE and FRSTOR bring everything back") {
    SimdMachine m;
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.run({0xD9, 0xE8, 0xD9, 0xEB, 0xD9, 0xEE});
    X87State before = m.cpu->x87;
    REQUIRE(m.run({0xDD, 0x37}) == SimdMachine::kNoFault);
    CHECK(m.cpu->x87.empty == 0xFF);
    CHECK(m.cpu->x87.control == 0x37F);
    CHECK(m.get<u16>(SimdMachine::kData + 8) == 0x07FF);  // 5: zero, 6 and 7: valid
    m.run({0xDD, 0x27});
    CHECK(m.cpu->x87.status == before.status);
    CHECK(m.cpu->x87.empty == before.empty);
    for (int i = 5; i < 8; ++i) {
        CHECK(m.cpu->x87.st[i].significand == before.st[i].significand);
        CHECK(m.cpu->x87.st[i].sign_exponent == before.st[i].sign_exponent);
    }
}

TEST_CASE("x87: FLDENV that unmasks a flag already set makes it pending") {
    SimdMachine m;
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.run({0xD9, 0x37});  // fnstenv [rdi]
    m.put(SimdMachine::kData, u16{0x037E});
    m.put(SimdMachine::kData + 4, u16{0x0001});
    CHECK(m.run({0xD9, 0x27, 0xD9, 0xE8}) == 16);
}

TEST_CASE("x87: CR0.TS and CR0.EM give #NM, FWAIT only with MP and TS") {
    SimdMachine m;
    m.set_control(SimdMachine::kCr0 | cr0::kTS, SimdMachine::kCr4);
    CHECK(m.run({0xD9, 0xE8}) == 7);
    CHECK(m.run({0x9B}) == 7);
    m.set_control((SimdMachine::kCr0 & ~cr0::kMP) | cr0::kTS, SimdMachine::kCr4);
    CHECK(m.run({0x9B}) == SimdMachine::kNoFault);
    m.set_control(SimdMachine::kCr0 | cr0::kEM, SimdMachine::kCr4);
    CHECK(m.run({0xD9, 0xE8}) == 7);
    CHECK(m.run({0x0F, 0x77}) == 6);  // EMMS: #UD
}

TEST_CASE("x87: FBSTP of 1234 stores packed decimal") {
    SimdMachine m;
    m.put(SimdMachine::kData, u32{1234});
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.run({0xDB, 0x07, 0xDF, 0x77, 0x08});  // fild dword [rdi]; fbstp [rdi+8]
    CHECK(m.get<u64>(SimdMachine::kData + 8) == 0x1234);
    CHECK(m.cpu->x87.empty == 0xFF);
}

TEST_CASE("x87: FCOMI orders, and clears OF, SF and AF") {
    SimdMachine m;
    m.cpu->flags.set(rflags::kOF | rflags::kSF | rflags::kAF);
    m.run({0xD9, 0xE8, 0xD9, 0xEE, 0xDB, 0xF1});  // fld1; fldz; fcomi st0, st1: 0 < 1
    CHECK(m.cpu->flags.value() == rflags::kCF);
}
