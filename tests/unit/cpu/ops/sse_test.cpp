// SPDX-License-Identifier: MIT
// SSE: alignment, MXCSR, unmasked exceptions, availability. What the packed operations give is compared with
// the host in tests/host_compare.
#include "simd_fixture.h"

using namespace shadowbox;

TEST_CASE("sse: a packed operand off its alignment is #GP, an unaligned move is not") {
    SimdMachine m;
    m.put(SimdMachine::kData + 8, u64{0x1111});
    m.cpu->gpr[kRdi] = SimdMachine::kData + 8;
    CHECK(m.run({0x0F, 0x58, 0x07}) == 13);  // addps
    CHECK(m.run({0x0F, 0x28, 0x07}) == 13);  // movaps
    CHECK(m.run({0x0F, 0x29, 0x07}) == 13);
    REQUIRE(m.run({0x0F, 0x10, 0x07}) == SimdMachine::kNoFault);  // movups
    CHECK(m.xmm_is(0, 0, 0x1111));
    CHECK(m.run({0xF2, 0x0F, 0x58, 0x07}) == SimdMachine::kNoFault);  // addsd
}

TEST_CASE("sse: an unaligned store over a page end that faults stores nothing") {
    SimdMachine m;
    m.put(0x400000 - 8, u64{42});
    m.cpu->gpr[kRdi] = 0x400000 - 8;
    m.set_xmm(0, 1, 2);
    CHECK(m.run({0xF3, 0x0F, 0x7F, 0x07}) == 14);
    CHECK(m.get<u64>(0x400000 - 8) == 42);
}

TEST_CASE("sse: without CR4.OSFXSR #UD, with CR0.TS #NM; CRC32, PREFETCH and MFENCE do not care") {
    SimdMachine m;
    m.set_control(SimdMachine::kCr0, SimdMachine::kCr4 & ~cr4::kOSFXSR);
    CHECK(m.run({0x0F, 0x58, 0xC1}) == 6);
    m.set_control(SimdMachine::kCr0 | cr0::kTS, SimdMachine::kCr4);
    CHECK(m.run({0x0F, 0x58, 0xC1}) == 7);
    CHECK(m.run({0xF2, 0x48, 0x0F, 0x38, 0xF1, 0xC1}) == SimdMachine::kNoFault);
    CHECK(m.run({0x0F, 0xAE, 0xF0}) == SimdMachine::kNoFault);
    m.cpu->gpr[kRdi] = 0xFFFF000000000000;
    CHECK(m.run({0x0F, 0x18, 0x0F}) == SimdMachine::kNoFault);
}

TEST_CASE("sse: sticky flags collect in MXCSR, rounding and flush modes count") {
    SimdMachine m;
    m.set_xmm(0, 0, 0x3FF0000000000000);
    m.set_xmm(1, 0, 0x4008000000000000);
    m.run({0xF2, 0x0F, 0x5E, 0xC1});  // 1 / 3
    CHECK(m.cpu->mxcsr == 0x1FA0);
    CHECK(m.cpu->vec[0].qword[0] == 0x3FD5555555555555);
    m.put(SimdMachine::kData, u32{0x5F80});  // round up
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.set_xmm(0, 0, 0x3FF0000000000000);
    m.run({0x0F, 0xAE, 0x17, 0xF2, 0x0F, 0x5E, 0xC1, 0x0F, 0xAE, 0x5F, 0x04});
    CHECK(m.cpu->vec[0].qword[0] == 0x3FD5555555555556);
    CHECK(m.get<u32>(SimdMachine::kData + 4) == 0x5FA0);
}

TEST_CASE("sse: LDMXCSR refuses reserved bits") {
    SimdMachine m;
    m.put(SimdMachine::kData, u32{0x11F80});
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    CHECK(m.run({0x0F, 0xAE, 0x17}) == 13);
    CHECK(m.cpu->mxcsr == 0x1F80);
}

TEST_CASE("sse: an unmasked division by zero is #XM with the destination as it was") {
    SimdMachine m;
    m.put(SimdMachine::kData, u32{0x1D80});  // ZM clear
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.set_xmm(0, 7, 0x3FF0000000000000);
    m.set_xmm(1, 0, 0);
    CHECK(m.run({0x0F, 0xAE, 0x17, 0xF2, 0x0F, 0x5E, 0xC1}) == 19);
    CHECK(m.xmm_is(0, 7, 0x3FF0000000000000));
    CHECK(m.cpu->mxcsr == 0x1D84);
    m.set_control(SimdMachine::kCr0, SimdMachine::kCr4 & ~cr4::kOSXMMEXCPT);
    CHECK(m.run({0xF2, 0x0F, 0x5E, 0xC1}) == 6);
}

TEST_CASE(
    "sse: under an unmasked exception a fault of the operand comes with the right RIP, and other results go "
    "on") {
    SimdMachine m;
    m.put(SimdMachine::kData, u32{0x1D80});
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.cpu->gpr[kRsi] = 0x40000000;
    m.set_xmm(0, 0, 0x3FF0000000000000);
    m.set_xmm(1, 0, 0x4008000000000000);
    // ldmxcsr [rdi]; addsd xmm0, xmm1; addsd xmm0, [rsi]
    CHECK(m.run({0x0F, 0xAE, 0x17, 0xF2, 0x0F, 0x58, 0xC1, 0xF2, 0x0F, 0x58, 0x06}) == 14);
    CHECK(m.cpu->vec[0].qword[0] == 0x4010000000000000);
    CHECK(m.get<u64>(SimdMachine::kStack - 40) == SimdMachine::kCode + 7);  // the RIP that was pushed
}

TEST_CASE("sse: a tiny exact result is an underflow only when that is unmasked") {
    SimdMachine m;
    m.set_xmm(0, 0, 0x0010000000000000);  // smallest normal
    m.set_xmm(1, 0, 0x3FE0000000000000);  // 0.5
    CHECK(m.run({0xF2, 0x0F, 0x59, 0xC1}) == SimdMachine::kNoFault);
    CHECK(m.cpu->mxcsr == 0x1F80);
    m.put(SimdMachine::kData, u32{0x1780});  // UM clear
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.set_xmm(0, 0, 0x0010000000000000);
    CHECK(m.run({0x0F, 0xAE, 0x17, 0xF2, 0x0F, 0x59, 0xC1}) == 19);
    CHECK((m.cpu->mxcsr & 0x3F) == 0x10);
}

TEST_CASE("sse: RCPPS and RSQRTPS stay within 1.5 * 2^-12 and raise nothing") {
    SimdMachine m;
    u32 seed = 1;
    for (int i = 0; i < 2000; ++i) {
        seed = seed * 1664525 + 1013904223;
        float x;
        u32 bits = (seed & 0x7FFFFF) | (60 + seed % 130) << 23;
        memcpy(&x, &bits, 4);
        m.set_xmm(1, 0, bits);
        m.run({0xF3, 0x0F, 0x53, 0xC1, 0xF3, 0x0F, 0x52, 0xD1});
        float reciprocal, root;
        memcpy(&reciprocal, &m.cpu->vec[0], 4);
        memcpy(&root, &m.cpu->vec[2], 4);
        REQUIRE(std::abs(double(reciprocal) * x - 1) < 1.5 / 4096);
        REQUIRE(std::abs(double(root) * double(root) * x - 1) < 3.0 / 4096);
    }
    CHECK(m.cpu->mxcsr == 0x1F80);
    m.set_xmm(1, 0x80000001'00000000, 0x7F800000'00000000);  // -denormal, 0, inf, 0
    m.run({0x0F, 0x53, 0xC1});
    CHECK(m.xmm_is(0, 0xFF800000'7F800000, 0x00000000'7F800000));
}

TEST_CASE("sse: PCMPISTRI finds the first of a set of bytes") {
    SimdMachine m;
    memcpy(m.cpu->vec[0].byte, "xyz\0............", 16);
    memcpy(m.cpu->vec[1].byte, "hello, zebra\0...", 16);
    m.run({0x66, 0x0F, 0x3A, 0x63, 0xC1, 0x00});
    CHECK(m.cpu->gpr[kRcx] == 7);
    CHECK(m.cpu->flags.cf());
    CHECK(m.cpu->flags.zf());
    CHECK(m.cpu->flags.sf());
}

TEST_CASE("sse: CRC32 of the check string is E3069283") {
    SimdMachine m;
    m.cpu->gpr[kRax] = 0xFFFFFFFF;
    m.cpu->gpr[kRcx] = 0x3837363534333231;  // "12345678"
    m.cpu->gpr[kRdx] = '9';
    m.run({0xF2, 0x48, 0x0F, 0x38, 0xF1, 0xC1, 0xF2, 0x0F, 0x38, 0xF0, 0xC2});
    CHECK(static_cast<u32>(~m.cpu->gpr[kRax]) == 0xE3069283);
}
