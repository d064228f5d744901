// SPDX-License-Identifier: MIT
// PAUSE lets go of the host CPU only where another vCPU can be what the guest waits for.
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

TEST_CASE("cpu: PAUSE counts towards giving way only beside other vCPUs and under the host clock") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    const std::vector<u8> two_pauses{0xF3, 0x90, 0xF3, 0x90};
    cpu.alone = true;
    CHECK(machine.run(two_pauses) == SimdMachine::kNoFault);
    CHECK(cpu.pauses == 0);
    cpu.alone = false;
    cpu.exact_time = true;  // one vCPU at a time: the others wait in any case
    CHECK(machine.run(two_pauses) == SimdMachine::kNoFault);
    CHECK(cpu.pauses == 0);
    cpu.exact_time = false;
    CHECK(machine.run(two_pauses) == SimdMachine::kNoFault);
    CHECK(cpu.pauses == 2);
}

TEST_CASE("jit: PAUSE counts as in the interpreter") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    REQUIRE(cpu.enable_jit(1));
    // mov ecx, 100; loop: cmp ecx, 50; pause; setc al; add ebx, eax; dec ecx; jnz loop
    const std::vector<u8> loop{0xB9, 100,  0,    0,    0,    0x83, 0xF9, 50,   0xF3, 0x90,
                               0x0F, 0x92, 0xC0, 0x01, 0xC3, 0xFF, 0xC9, 0x75, 0xF2};
    for (bool alone : {true, false}) {
        cpu.alone = alone;
        cpu.gpr[kRax] = cpu.gpr[kRbx] = 0;
        CHECK(machine.run(loop) == SimdMachine::kNoFault);
        CHECK(cpu.gpr[kRbx] == 49);
        CHECK(cpu.pauses == (alone ? 0 : 100));
    }
}
