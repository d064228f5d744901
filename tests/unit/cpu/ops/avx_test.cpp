// SPDX-License-Identifier: MIT
// AVX where a comparison with the host cannot look: VZEROUPPER, faults inside gathers and masked moves, who
// may execute VEX encodings, what their fields must hold, CPU models. Results are host_compare's business.
#include "cpu/state/host_fpu.h"
#include "simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kEnd = 0x400000, kData = SimdMachine::kData;  // kEnd: of mapped memory

struct AvxMachine : SimdMachine {
    AvxMachine() {
        cpu->xcr0 = 7;
        cpu->update_mode();
        cpu->gpr[kRax] = kData;
        for (unsigned i = 0; i < 16; ++i)
            for (unsigned q = 0; q < 4; ++q) cpu->vec[i].qword[q] = u64{0x0101010101010101} * (i + 1) + q;
    }
    void set(unsigned reg, u64 a, u64 b, u64 c, u64 d) {
        u64* q = cpu->vec[reg].qword;
        q[0] = a, q[1] = b, q[2] = c, q[3] = d;
    }
    bool is(unsigned reg, u64 a, u64 b, u64 c, u64 d) const {
        const u64* q = cpu->vec[reg].qword;
        return q[0] == a && q[1] == b && q[2] == c && q[3] == d;
    }
};

#define SKIP_WITHOUT_AVX()                         \
    if (!host_runs_v3()) {                         \
        WARN("this host has no AVX2: not tested"); \
        return;                                    \
    }

const std::vector<u8> kVzeroupper = {0xC5, 0xF8, 0x77}, kVzeroall = {0xC5, 0xFC, 0x77},
                      kVaddps128 = {0xC5, 0xE8, 0x58, 0xCB},                           // xmm1, xmm2, xmm3
    kVmovapsLoad = {0xC5, 0xFC, 0x28, 0x08}, kVmovupsLoad = {0xC5, 0xFC, 0x10, 0x08},  // ymm1, [rax]
    kVmaskmovpsStore = {0xC4, 0xE2, 0x6D, 0x2E, 0x08},
                      kVmaskmovpsLoad = {0xC4, 0xE2, 0x6D, 0x2C, 0x08},  // [rax], ymm2, ymm1
    kVpgatherdd = {0xC4, 0xE2, 0x6D, 0x90, 0x0C, 0x98};                  // ymm1, [rax+ymm3*4], ymm2

}  // namespace

TEST_CASE("avx: VZEROUPPER clears the upper halves, VZEROALL everything") {
    AvxMachine m;
    u64 low = m.cpu->vec[15].qword[1];
    REQUIRE(m.run(kVzeroupper) == SimdMachine::kNoFault);
    for (unsigned i = 0; i < 16; ++i) CHECK((m.cpu->vec[i].qword[2] | m.cpu->vec[i].qword[3]) == 0);
    CHECK(m.cpu->vec[15].qword[1] == low);
    REQUIRE(m.run(kVzeroall) == SimdMachine::kNoFault);
    for (unsigned i = 0; i < 16; ++i) CHECK(m.is(i, 0, 0, 0, 0));
}

TEST_CASE("avx: a VEX.128 result clears bits 255:128, a legacy SSE result keeps them") {
    SKIP_WITHOUT_AVX()
    AvxMachine m;
    REQUIRE(m.run(kVaddps128) == SimdMachine::kNoFault);
    CHECK((m.cpu->vec[1].qword[2] | m.cpu->vec[1].qword[3]) == 0);
    u64 upper = m.cpu->vec[4].qword[3];
    REQUIRE(m.run({0x0F, 0x58, 0xE5}) == SimdMachine::kNoFault);  // addps xmm4, xmm5
    CHECK(m.cpu->vec[4].qword[3] == upper);
}

TEST_CASE("avx: only VMOVAPS and its kin ask for 32-byte alignment") {
    SKIP_WITHOUT_AVX()
    AvxMachine m;
    m.cpu->gpr[kRax] = kEnd - 40;
    CHECK(m.run(kVmovupsLoad) == SimdMachine::kNoFault);
    CHECK(m.run(kVmovapsLoad) == 13);
    m.cpu->gpr[kRax] = kEnd - 64;
    CHECK(m.run(kVmovapsLoad) == SimdMachine::kNoFault);
    m.cpu->gpr[kRax] = kEnd - 31;
    CHECK(m.run(kVmovupsLoad) == 14);
    CHECK(m.cpu->cr2 == kEnd);
}

TEST_CASE("avx: a masked store at the end of memory touches only what its mask names") {
    SKIP_WITHOUT_AVX()
    AvxMachine m;
    m.cpu->gpr[kRax] = kEnd - 12;  // three elements before the end
    m.put(kEnd - 12, u64{0});
    m.put(kEnd - 4, u32{0x55});
    m.set(1, 0x2222222211111111, 0x4444444433333333, 0, 0);
    m.set(2, 0x8000000000000000, 0, 0, 0);  // element 1
    REQUIRE(m.run(kVmaskmovpsStore) == SimdMachine::kNoFault);
    CHECK(m.get<u32>(kEnd - 12) == 0);
    CHECK(m.get<u32>(kEnd - 8) == 0x22222222);
    CHECK(m.get<u32>(kEnd - 4) == 0x55);
    m.set(2, 0x80000000, 0x8000000000000000, 0, 0);  // elements 0 and 3: nothing is stored
    CHECK(m.run(kVmaskmovpsStore) == 14);
    CHECK(m.cpu->cr2 == kEnd);
    CHECK(m.get<u32>(kEnd - 12) == 0);
    m.set(2, 0, 0, 0, 0);  // nowhere, with a mask of 0
    m.cpu->gpr[kRax] = 0x5555555555555555;
    CHECK(m.run(kVmaskmovpsStore) == SimdMachine::kNoFault);
}

TEST_CASE("avx: a masked load puts zeros where its mask is clear, and faults only for the others") {
    SKIP_WITHOUT_AVX()
    AvxMachine m;
    m.cpu->gpr[kRax] = kEnd - 8;
    m.put(kEnd - 8, u64{0xBBBBBBBBAAAAAAAA});
    m.set(2, 0x8000000000000000, 0, 0, 0);
    REQUIRE(m.run(kVmaskmovpsLoad) == SimdMachine::kNoFault);
    CHECK(m.is(1, 0xBBBBBBBB00000000, 0, 0, 0));
    m.set(1, 1, 2, 3, 4);
    m.set(2, 0x8000000000000000, 0x80000000, 0, 0);
    CHECK(m.run(kVmaskmovpsLoad) == 14);
    CHECK(m.cpu->cr2 == kEnd);
    CHECK(m.is(1, 1, 2, 3, 4));
}

TEST_CASE("avx: a gather that faults keeps the elements before it, and goes on from there") {
    AvxMachine m;
    m.cpu->gpr[kRax] = kEnd - 64;
    for (u32 i = 0; i < 16; ++i) m.put(kEnd - 64 + 4 * i, 100 + i);
    m.set(1, ~u64{0}, ~u64{0}, ~u64{0}, ~u64{0});
    m.set(3, 0x0000000100000000, 0x0000001000000002, 0x0000000400000003,
          0x0000000600000005);                                           // 0 1 2 16 3 4 5 6
    m.set(2, 0x80000000FFFFFFFF, 0x8000000000000000, ~u64{0}, ~u64{0});  // element 2 is off
    REQUIRE(m.run(kVpgatherdd) == 14);
    CHECK(m.cpu->cr2 == kEnd);
    CHECK(m.is(1, u64{101} << 32 | 100, ~u64{0}, ~u64{0}, ~u64{0}));
    CHECK(m.is(2, 0, 0x8000000000000000, ~u64{0}, ~u64{0}));
    m.cpu->vec[3].dword[3] = 7;
    REQUIRE(m.run(kVpgatherdd) == SimdMachine::kNoFault);
    CHECK(m.is(1, u64{101} << 32 | 100, u64{107} << 32 | 0xFFFFFFFF, u64{104} << 32 | 103,
               u64{106} << 32 | 105));
    CHECK(m.is(2, 0, 0, 0, 0));
}

TEST_CASE("avx: a gather that must wait for a page starts over and does the rest") {
    AvxMachine m;
    constexpr u64 kSlow = kData + 0x1000;
    for (u32 i = 0; i < 4; ++i) m.put(kSlow - 16 + 4 * i, 7 + i);
    m.pager.page = Gpa(kSlow).ppn();
    m.pager.waits = 2;
    std::vector<u8> bytes = kVpgatherdd;
    bytes.push_back(0xF4);
    m.memory.write(Gpa(SimdMachine::kCode), bytes);
    m.cpu->gpr[kRax] = kSlow - 16;
    m.cpu->rip = SimdMachine::kCode;
    m.set(3, 0x0000000100000000, 0x0000000300000002, 0x0000000500000004, 0x0000000700000006);
    m.set(2, ~u64{0}, ~u64{0}, ~u64{0}, ~u64{0});
    m.cpu->safepoint.enter();
    CHECK(m.cpu->run(100) == ExitReason::kWaitPage);
    CHECK(m.cpu->rip == SimdMachine::kCode);
    CHECK(m.cpu->run(100) == ExitReason::kWaitPage);
    CHECK(m.cpu->run(100) == ExitReason::kHalt);
    m.cpu->safepoint.leave();
    CHECK(m.is(1, u64{8} << 32 | 7, u64{10} << 32 | 9, 0, 0));
    CHECK(m.is(2, 0, 0, 0, 0));
}

TEST_CASE("avx: registers of a gather must differ, and it needs a SIB byte") {
    AvxMachine m;
    CHECK(m.run({0xC4, 0xE2, 0x75, 0x90, 0x0C, 0x98}) == 6);  // mask is the destination
    CHECK(m.run({0xC4, 0xE2, 0x65, 0x90, 0x0C, 0x98}) == 6);  // mask is the index
    CHECK(m.run({0xC4, 0xE2, 0x6D, 0x90, 0x0C, 0x88}) == 6);  // index is the destination
    CHECK(m.run({0xC4, 0xE2, 0x6D, 0x90, 0x08}) == 6);
}

TEST_CASE("avx: VEX.vvvv that is not used must be 1111B; L and W that are fixed must have their value") {
    AvxMachine m;
    CHECK(m.run({0xC5, 0xEC, 0x28, 0xC8}) == 6);           // vmovaps ymm1, ymm0 with vvvv = 2
    CHECK(m.run({0xC4, 0xE2, 0x79, 0x19, 0xC8}) == 6);     // vbroadcastsd with L0
    CHECK(m.run({0xC4, 0xE2, 0xFD, 0x18, 0xC8}) == 6);     // vbroadcastss with W1
    CHECK(m.run({0xC4, 0xE3, 0x69, 0x18, 0xC8, 0}) == 6);  // vinsertf128 with L0
    CHECK(m.run({0xC5, 0xFD, 0x6E, 0xC8}) == 6);           // vmovd with L1
    CHECK(m.run({0x66, 0xC5, 0xF8, 0x77}) == 6);           // 66 before VEX
    CHECK(m.run({0xF0, 0xC5, 0xF8, 0x77}) == 6);           // LOCK
    CHECK(m.run({0xC4, 0xE4, 0x78, 0x77}) == 6);           // opcode map 4
}

TEST_CASE("avx: needs CR4.OSXSAVE and both SSE and YMM state in XCR0; CR0.EM has no say") {
    AvxMachine m;
    m.set_control(SimdMachine::kCr0, SimdMachine::kCr4 & ~cr4::kOSXSAVE);
    CHECK(m.run(kVzeroupper) == 6);
    m.set_control(SimdMachine::kCr0 | cr0::kEM, SimdMachine::kCr4 & ~cr4::kOSFXSR);
    CHECK(m.run(kVzeroupper) == SimdMachine::kNoFault);
    m.set_control(SimdMachine::kCr0, SimdMachine::kCr4);
    m.cpu->xcr0 = 3;
    m.cpu->update_mode();
    CHECK(m.run(kVzeroupper) == 6);
    CHECK(m.run({0xC4, 0xE2, 0x70, 0xF2, 0xC2}) ==
          SimdMachine::kNoFault);  // ANDN is VEX, but no vector instruction
}

TEST_CASE("avx: CR0.TS is #NM, and #UD goes before it") {
    AvxMachine m;
    m.set_control(SimdMachine::kCr0 | cr0::kTS, SimdMachine::kCr4);
    CHECK(m.run(kVzeroupper) == 7);
    m.cpu->xcr0 = 3;
    m.cpu->update_mode();
    CHECK(m.run(kVzeroupper) == 6);
}

TEST_CASE("avx: XSETBV switches VEX encodings on and off at once") {
    AvxMachine m;
    m.cpu->gpr[kRcx] = 0;
    m.cpu->gpr[kRdx] = 0;
    m.cpu->gpr[kRax] = 3;
    CHECK(m.run({0x0F, 0x01, 0xD1, 0xC5, 0xF8, 0x77}) == 6);
    m.cpu->gpr[kRax] = 7;
    CHECK(m.run({0x0F, 0x01, 0xD1, 0xC5, 0xF8, 0x77}) == SimdMachine::kNoFault);
}

TEST_CASE("avx: an unmasked exception is #XM and leaves the destination alone, VCVTPS2PH's memory too") {
    SKIP_WITHOUT_AVX()
    AvxMachine m;
    m.cpu->mxcsr = 0x1F80 & ~0x80u;  // Invalid unmasked
    m.cpu->update_mode();
    m.set(2, 0x7F8000017F800001, 0, 0, 0);  // signalling NaNs
    m.set(1, 1, 2, 3, 4);
    CHECK(m.run(kVaddps128) == 19);
    CHECK(m.is(1, 1, 2, 3, 4));
    CHECK((m.cpu->mxcsr & 1) == 1);
    m.put(kData, u64{0x77});
    CHECK(m.run({0xC4, 0xE3, 0x79, 0x1D, 0x10, 0x04}) == 19);  // vcvtps2ph [rax], xmm2, 4
    CHECK(m.get<u64>(kData) == 0x77);
    m.set_control(SimdMachine::kCr0, SimdMachine::kCr4 & ~cr4::kOSXMMEXCPT);
    CHECK(m.run(kVaddps128) == 6);
}

TEST_CASE("avx: VRCPPS and VRSQRTPS give what RCPPS and RSQRTPS give") {
    SKIP_WITHOUT_AVX()
    AvxMachine m;
    m.set(2, 0x4000000040400000, 0x3F80000041200000, 0x4000000040400000, 0x3F80000041200000);
    for (u8 opcode : {u8{0x52}, u8{0x53}}) {
        REQUIRE(m.run({0x0F, opcode, 0xE2}) == SimdMachine::kNoFault);        // xmm4, xmm2
        REQUIRE(m.run({0xC5, 0xFC, opcode, 0xCA}) == SimdMachine::kNoFault);  // ymm1, ymm2
        const u64* r = m.cpu->vec[4].qword;
        CHECK(m.is(1, r[0], r[1], r[0], r[1]));
        REQUIRE(m.run({0xC5, 0xFA, opcode, 0xCA}) == SimdMachine::kNoFault);  // scalar: upper part from xmm0
        const u64* z = m.cpu->vec[0].qword;
        CHECK(m.is(1, (r[0] & 0xFFFFFFFF) | (z[0] & ~u64{0xFFFFFFFF}), z[1], 0, 0));
    }
}

TEST_CASE("avx: VLDMXCSR and VSTMXCSR are LDMXCSR and STMXCSR, VMASKMOVDQU is MASKMOVDQU") {
    AvxMachine m;
    m.put(kData, u32{0x9FC0});
    REQUIRE(m.run({0xC5, 0xF8, 0xAE, 0x10}) == SimdMachine::kNoFault);
    CHECK(m.cpu->mxcsr == 0x9FC0);
    REQUIRE(m.run({0xC5, 0xF8, 0xAE, 0x58, 0x08}) == SimdMachine::kNoFault);
    CHECK(m.get<u32>(kData + 8) == 0x9FC0);
    m.cpu->gpr[kRdi] = kData + 16;
    m.put(kData + 16, u64{0});
    m.set(1, 0x1111111111111111, 0, 0, 0);
    m.set(2, 0x8000, 0, 0, 0);
    REQUIRE(m.run({0xC5, 0xF9, 0xF7, 0xCA}) == SimdMachine::kNoFault);
    CHECK(m.get<u64>(kData + 16) == 0x1100);
}

TEST_CASE("avx: model v2 has no VEX vector encodings, v3 says what it has") {
    SimdMachine m;
    DecodeContext context{m.cpu->mode, 0, &cpu_model_v2()};
    Insn insn;
    CHECK(decode_insn(context,
                      std::vector<u8>{0xC5, 0xF8, 0x77, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                                      0x90, 0x90, 0x90, 0x90}
                          .data(),
                      16, insn) == DecodeStatus::kUndefined);
    for (OpFeature f : {OpFeature::Avx, OpFeature::Avx2, OpFeature::Fma, OpFeature::F16c, OpFeature::Bmi1,
                        OpFeature::Bmi2, OpFeature::Lzcnt, OpFeature::Movbe})
        CHECK(cpu_model_v3().has(f));
    CHECK_FALSE(cpu_model_v2().has(OpFeature::Avx));
}

TEST_CASE("avx: CPU models by name; the default is what repeats, or the best there is") {
    CHECK((*find_cpu_model("v2", false))->name == "v2");
    CHECK((*find_cpu_model("", true))->name == "v2");
    CHECK((*find_cpu_model("", false))->name == (host_runs_v3() ? "v3" : "v2"));
    CHECK((*find_cpu_model("max", true))->name == (host_runs_v3() ? "v3" : "v2"));
    CHECK(find_cpu_model("v3", false).has_value() == host_runs_v3());
    auto wrong = find_cpu_model("v4", false);
    REQUIRE_FALSE(wrong.has_value());
    CHECK(wrong.error().message.find(kCpuModelNames) != std::string::npos);
}

TEST_CASE("avx: VPCMPESTRI with VEX.W takes lengths of 64 bits in 64-bit mode only") {
    // Translated code took EDX = -1 for a length of 4 billion in 32-bit mode.
    const std::vector<u8> bytes = {0xC4, 0xE3, 0xF9, 0x61, 0xD2, 0x91, 0x90, 0x90,
                                   0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90};
    const u64 mode64 = SimdMachine().cpu->mode;
    for (u64 mode : {mode64, mode64 & ~u64{mode_bits::kLong64}}) {
        DecodeContext context{mode, 0, &cpu_model_v3()};
        Insn insn;
        REQUIRE(decode_insn(context, bytes.data(), 16, insn) == DecodeStatus::kOk);
        CHECK(insn.rex_w == (mode == mode64));
    }
}
