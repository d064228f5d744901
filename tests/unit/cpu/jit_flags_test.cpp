// SPDX-License-Identifier: MIT
// Flags that translated code leaves behind where it counts loosely (host clock); with exact counts tests/asm looks at them.
#include "cpu/jit/jit.h"

#include "simd_fixture.h"

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
