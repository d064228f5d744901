// SPDX-License-Identifier: MIT
// FXSAVE, FXRSTOR, the XSAVE family and XCR0: formats, header rules, faults.
#include "cpu/ops/system/xsave_layout.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kArea = SimdMachine::kData;

struct XsaveMachine : SimdMachine {
    XsaveMachine() { cpu->gpr[kRdi] = kArea; }
    void request(u64 components) {
        cpu->gpr[kRax] = static_cast<u32>(components);
        cpu->gpr[kRdx] = components >> 32;
    }
};
const std::vector<u8> kFxsave64 = {0x48, 0x0F, 0xAE, 0x07}, kFxrstor64 = {0x48, 0x0F, 0xAE, 0x0F},
                      kXsave = {0x48, 0x0F, 0xAE, 0x27}, kXrstor = {0x48, 0x0F, 0xAE, 0x2F},
                      kXsaveopt = {0x48, 0x0F, 0xAE, 0x37}, kXsavec = {0x48, 0x0F, 0xC7, 0x27},
                      kXsaves = {0x48, 0x0F, 0xC7, 0x2F}, kXrstors = {0x48, 0x0F, 0xC7, 0x1F};

}  // namespace

TEST_CASE("xsave: FXSAVE and FXRSTOR keep x87, XMM and MXCSR") {
    XsaveMachine m;
    m.run({0xD9, 0xE8, 0xD9, 0xEB});
    m.set_xmm(15, 0x1122, 0x3344);
    m.cpu->mxcsr = 0x1FA1;
    X87State x87 = m.cpu->x87;
    REQUIRE(m.run(kFxsave64) == SimdMachine::kNoFault);
    CHECK(m.get<u16>(kArea) == 0x37F);
    CHECK(m.get<u8>(kArea + 4) == 0xC0);
    CHECK(m.get<u32>(kArea + 24) == 0x1FA1);
    CHECK(m.get<u32>(kArea + 28) == 0xFFFF);
    CHECK(m.get<u64>(kArea + 160 + 15 * 16) == 0x3344);
    m.run({0xDB, 0xE3});
    m.set_xmm(15, 0, 0);
    m.cpu->mxcsr = 0x1F80;
    REQUIRE(m.run(kFxrstor64) == SimdMachine::kNoFault);
    CHECK(m.cpu->x87.status == x87.status);
    CHECK(m.cpu->x87.empty == x87.empty);
    CHECK(m.cpu->x87.st[6].significand == x87.st[6].significand);
    CHECK(m.cpu->x87.instruction_pointer == x87.instruction_pointer);
    CHECK(m.xmm_is(15, 0x1122, 0x3344));
    CHECK(m.cpu->mxcsr == 0x1FA1);
}

TEST_CASE("xsave: FXSAVE leaves the bytes after the registers alone, checks alignment and CR0.TS") {
    XsaveMachine m;
    m.put(kArea + 416, u64{0x5555});
    m.run(kFxsave64);
    CHECK(m.get<u64>(kArea + 416) == 0x5555);
    m.cpu->gpr[kRdi] = kArea + 8;
    CHECK(m.run(kFxsave64) == 13);
    m.cpu->gpr[kRdi] = kArea;
    m.put(kArea + 24, u32{0x10000});
    CHECK(m.run(kFxrstor64) == 13);
    m.set_control(SimdMachine::kCr0 | cr0::kTS, SimdMachine::kCr4);
    CHECK(m.run(kFxsave64) == 7);
}

TEST_CASE("xsave: XSAVE tells in XSTATE_BV what is in use, and keeps bits not asked for") {
    XsaveMachine m;
    m.put(kArea + 512, u64{0x8000});
    m.set_xmm(3, 0, 9);
    m.request(3);
    REQUIRE(m.run(kXsave) == SimdMachine::kNoFault);
    CHECK(m.get<u64>(kArea + 512) == 0x8002);
    CHECK(m.get<u64>(kArea + 160 + 48) == 9);
    m.run({0xD9, 0xE8});
    m.request(1);
    m.run(kXsave);
    CHECK(m.get<u64>(kArea + 512) == 0x8003);
}

TEST_CASE("xsave: XRSTOR initialises what the header says is not there") {
    XsaveMachine m;
    m.run({0xD9, 0xE8});
    m.set_xmm(1, 1, 1);
    m.put(kArea + 24, u32{0x1F80});
    m.put(kArea + 512, u64{0});
    m.request(3);
    REQUIRE(m.run(kXrstor) == SimdMachine::kNoFault);
    CHECK(m.cpu->x87.empty == 0xFF);
    CHECK(m.xmm_is(1, 0, 0));
    CHECK(xsave_in_use(*m.cpu) == 0);
}

TEST_CASE("xsave: XRSTOR refuses a header that asks for more than XCR0 or has reserved bytes set") {
    XsaveMachine m;
    m.request(3);
    m.put(kArea + 24, u32{0x1F80});
    m.put(kArea + 512, u64{4});
    CHECK(m.run(kXrstor) == 13);
    m.put(kArea + 512, u64{3});
    m.put(kArea + 520, u64{1});
    CHECK(m.run(kXrstor) == 13);
    m.put(kArea + 520, u64{0});
    m.put(kArea + 24, u32{0x20000});
    CHECK(m.run(kXrstor) == 13);
}

TEST_CASE("xsave: XSAVEC and XSAVES write the compacted format, XRSTORS takes only that") {
    XsaveMachine m;
    m.set_xmm(2, 5, 6);
    m.request(3);
    REQUIRE(m.run(kXsavec) == SimdMachine::kNoFault);
    CHECK(m.get<u64>(kArea + 512) == 2);
    CHECK(m.get<u64>(kArea + 520) == (u64{1} << 63 | 3));
    m.set_xmm(2, 0, 0);
    REQUIRE(m.run(kXrstors) == SimdMachine::kNoFault);
    CHECK(m.xmm_is(2, 5, 6));
    REQUIRE(m.run(kXsaves) == SimdMachine::kNoFault);
    m.put(kArea + 520, u64{0});
    CHECK(m.run(kXrstors) == 13);
}

TEST_CASE("xsave: protection keys are component 9") {
    XsaveMachine m;
    m.cpu->xcr0 = 0x203;
    m.cpu->pkru = 0x55;
    m.request(0x200);
    REQUIRE(m.run(kXsave) == SimdMachine::kNoFault);
    CHECK(m.get<u32>(kArea + 2688) == 0x55);
    m.cpu->pkru = 0;
    REQUIRE(m.run(kXrstor) == SimdMachine::kNoFault);
    CHECK(m.cpu->pkru == 0x55);
    CHECK(xsave::compacted_offset(0x203, 9) == 576);
    CHECK(xsave::standard_size(0x203) == 2696);
    CHECK(xsave::standard_size(3) == 576);
}

TEST_CASE("xsave: without CR4.OSXSAVE #UD; XSETBV checks privilege, number and bits") {
    XsaveMachine m;
    const std::vector<u8> xgetbv = {0x0F, 0x01, 0xD0}, xsetbv = {0x0F, 0x01, 0xD1};
    m.cpu->gpr[kRcx] = 0;
    m.request(3);
    CHECK(m.run(xsetbv) == SimdMachine::kNoFault);
    CHECK(m.run(xgetbv) == SimdMachine::kNoFault);
    CHECK(m.cpu->gpr[kRax] == 3);
    m.request(2);
    CHECK(m.run(xsetbv) == 13);
    m.request(5);  // AVX without SSE
    CHECK(m.run(xsetbv) == 13);
    m.request(15);  // MPX is not there
    CHECK(m.run(xsetbv) == 13);
    m.request(7);
    CHECK(m.run(xsetbv) == SimdMachine::kNoFault);
    m.cpu->gpr[kRcx] = 5;
    m.request(3);
    CHECK(m.run(xsetbv) == 13);
    m.set_control(SimdMachine::kCr0, SimdMachine::kCr4 & ~cr4::kOSXSAVE);
    m.cpu->gpr[kRcx] = 0;
    CHECK(m.run(xgetbv) == 6);
    CHECK(m.run(kXsave) == 6);
}

TEST_CASE("xsave: the upper halves of YMM registers are component 2, at 576 in the standard format") {
    XsaveMachine m;
    m.cpu->xcr0 = 7;
    m.set_xmm(3, 0, 9);
    m.cpu->vec[15].qword[3] = 0xAA;
    m.put(kArea + 512, u64{0});
    m.request(7);
    REQUIRE(m.run(kXsave) == SimdMachine::kNoFault);
    CHECK(m.get<u64>(kArea + 512) == 6);
    CHECK(m.get<u64>(kArea + 576 + 15 * 16 + 8) == 0xAA);
    m.cpu->vec[15] = {};
    m.cpu->vec[2].qword[2] = 1;
    REQUIRE(m.run(kXrstor) == SimdMachine::kNoFault);
    CHECK(m.cpu->vec[15].qword[3] == 0xAA);
    CHECK(m.cpu->vec[2].qword[2] == 0);
    CHECK(m.xmm_is(3, 0, 9));
    CHECK(xsave::standard_size(7) == 832);
    CHECK(xsave::compacted_size(0x205) == 840);
    CHECK(xsave::compacted_offset(0x207, 9) == 832);
}

TEST_CASE("xsave: XRSTOR of AVX alone leaves XMM alone but loads MXCSR, and clears what is not there") {
    XsaveMachine m;
    m.cpu->xcr0 = 7;
    m.set_xmm(3, 0, 9);
    m.cpu->vec[3].qword[2] = 5;
    m.put(kArea + 24, u32{0x1F81});
    m.put(kArea + 512, u64{0});
    m.request(4);
    REQUIRE(m.run(kXrstor) == SimdMachine::kNoFault);
    CHECK(m.cpu->vec[3].qword[2] == 0);
    CHECK(m.xmm_is(3, 0, 9));
    CHECK(m.cpu->mxcsr == 0x1F81);
}

TEST_CASE("xsave: XSAVEOPT and XSAVEC leave out AVX while it is in its initial state") {
    XsaveMachine m;
    m.cpu->xcr0 = 7;
    m.set_xmm(3, 0, 9);
    m.put(kArea + 576, u64{0x1234});
    m.put(kArea + 512, u64{4});
    m.request(7);
    REQUIRE(m.run(kXsaveopt) == SimdMachine::kNoFault);
    CHECK(m.get<u64>(kArea + 512) == 2);
    CHECK(m.get<u64>(kArea + 576) == 0x1234);
    m.cpu->vec[1].qword[2] = 0x77;
    REQUIRE(m.run(kXsavec) == SimdMachine::kNoFault);
    CHECK(m.get<u64>(kArea + 512) == 6);
    CHECK(m.get<u64>(kArea + 520) == (u64{1} << 63 | 7));
    CHECK(m.get<u64>(kArea + 576 + 16) == 0x77);
    m.request(4);  // compacted with AVX alone
    REQUIRE(m.run(kXsaves) == SimdMachine::kNoFault);
    CHECK(m.get<u64>(kArea + 520) == (u64{1} << 63 | 4));
    m.cpu->vec[1].qword[2] = 0;
    REQUIRE(m.run(kXrstors) == SimdMachine::kNoFault);
    CHECK(m.cpu->vec[1].qword[2] == 0x77);
    CHECK(xsave_in_use(*m.cpu) == 6);
}
