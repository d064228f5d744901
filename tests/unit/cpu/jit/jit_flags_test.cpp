// SPDX-License-Identifier: MIT
// Flags that translated code leaves behind where it counts loosely (host clock); with exact counts tests/asm
// looks at them.
#include "cpu/jit/jit.h"

#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

TEST_CASE("jit: a fault of XLAT shows the flags of the instruction before it") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    REQUIRE(cpu.enable_jit(1));
    cpu.gpr[kRax] = 0;
    cpu.gpr[kRbx] = u64{1} << 62;
    // test eax, eax; xlat; and al, 79H (which would overwrite the flags)
    CHECK(machine.run({0x85, 0xC0, 0xD7, 0x24, 0x79}) == 13);
    u64 pushed = machine.get<u64>(SimdMachine::kStack - 24);
    CHECK((pushed & rflags::kArithmetic) == (rflags::kZF | rflags::kPF));
    CHECK(cpu.jit->counters().blocks > 0);
}

TEST_CASE("jit: an address equal to what marks an empty page slot is no hit") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    REQUIRE(cpu.enable_jit(1));
    for (unsigned bit = 47; bit < 64; ++bit) {
        cpu.gpr[kRbp] = u64{1} << bit;
        cpu.gpr[kRax] = u64{1} << bit;
        // or byte [rbp + 8], 1; or byte [rbp + 16], 1: and through RAX
        CHECK(machine.run({0x80, 0x4D, 0x08, 0x01, 0x80, 0x4D, 0x10, 0x01}) == 12);
        CHECK(machine.run({0x80, 0x48, 0x08, 0x01, 0x80, 0x48, 0x10, 0x01}) == 13);
    }
}

// --- checks that keep RFLAGS (cpu/jit/probe_keeping_flags.cpp) ---

TEST_CASE("jit: the carry of a long sum lives through memory checks, page crossings and misses") {
    // clc; loop: mov rax, [rsi + rcx*8]; adc rax, [rdi + rcx*8]; mov [rbx + rcx*8], rax; lea rcx, [rcx + 1];
    // dec rdx; jnz loop; setc al
    const std::vector<u8> code = {0xF8, 0x48, 0x8B, 0x04, 0xCE, 0x48, 0x13, 0x04, 0xCF,
                                  0x48, 0x89, 0x04, 0xCB, 0x48, 0x8D, 0x49, 0x01, 0x48,
                                  0xFF, 0xCA, 0x75, 0xEB, 0x0F, 0x92, 0xC0};
    constexpr unsigned kWords = 1500;
    for (u64 shift : {0, 3, 7}) {  // words that lie across pages
        SimdMachine machine;
        Vcpu& cpu = *machine.cpu;
        REQUIRE(cpu.enable_jit(1));
        const u64 a = SimdMachine::kData + shift, b = a + 0x8000, sum = a + 0x10000;
        std::vector<u64> expected;
        u64 carry = 0, random = 88172645463325252;
        for (unsigned i = 0; i < kWords; ++i) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            const u64 x = i % 5 ? random : ~u64{0}, y = i % 7 ? ~random : 0;
            machine.put(a + i * 8, x);
            machine.put(b + i * 8, y);
            unsigned __int128 wide = static_cast<unsigned __int128>(x) + y + carry;
            expected.push_back(static_cast<u64>(wide));
            carry = static_cast<u64>(wide >> 64);
        }
        cpu.gpr[kRsi] = a, cpu.gpr[kRdi] = b, cpu.gpr[kRbx] = sum;
        cpu.gpr[kRcx] = 0, cpu.gpr[kRdx] = kWords;
        REQUIRE(machine.run(code) == SimdMachine::kNoFault);
        unsigned wrong = 0;
        for (unsigned i = 0; i < kWords; ++i) wrong += machine.get<u64>(sum + i * 8) != expected[i];
        CHECK(wrong == 0);
        CHECK((cpu.gpr[kRax] & 0xFF) == carry);
        CHECK(cpu.jit->counters().blocks > 0);
    }
}

TEST_CASE("jit: a fault of ADC, SETcc or a MOV before a jump shows the flags made before it") {
    const std::vector<std::vector<u8>> faulting = {
        {0x48, 0x13, 0x0C, 0xFE},                          // adc rcx, [rsi + rdi*8]
        {0x0F, 0x92, 0x04, 0x25, 0x00, 0x00, 0x80, 0x00},  // setc [800000H]
        {0x48, 0x0F, 0x42, 0x0E},                          // cmovc rcx, [rsi]
        {0x48, 0x89, 0x0C, 0xFE, 0x72, 0x00},              // mov [rsi + rdi*8], rcx; jc +0
    };
    for (const auto& access : faulting) {
        SimdMachine machine;
        Vcpu& cpu = *machine.cpu;
        REQUIRE(cpu.enable_jit(1));
        cpu.gpr[kRax] = u64{1} << 63;
        cpu.gpr[kRbx] = u64{1} << 63;
        cpu.gpr[kRsi] = 0x800000;  // not present
        cpu.gpr[kRdi] = 3;
        std::vector<u8> code = {0x48, 0x01, 0xD8};  // add rax, rbx: CF, ZF, PF, OF
        code.insert(code.end(), access.begin(), access.end());
        CHECK(machine.run(code) == 14);
        CHECK((machine.get<u64>(SimdMachine::kStack - 24) & rflags::kArithmetic) ==
              (rflags::kCF | rflags::kPF | rflags::kZF | rflags::kOF));
        CHECK(cpu.jit->counters().blocks > 0);
    }
}
