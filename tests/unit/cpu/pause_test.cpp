// SPDX-License-Identifier: MIT
// PAUSE lets go of the host CPU only where another vCPU can be what the guest waits for.
#include "simd_fixture.h"

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
