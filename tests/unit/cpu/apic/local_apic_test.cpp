// SPDX-License-Identifier: MIT
// The local APIC as its guest sees it: error interrupts, deadlines in the past, what x2APIC mode refuses.
#include "cpu/apic/local_apic.h"
#include "cpu/state/msr.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u32 kSvr = 0xF0, kEsr = 0x280, kIcrLow = 0x300, kLvtTimer = 0x320, kLvtError = 0x370, kIrr = 0x200;
constexpr u32 kTscDeadlineMode = 2 << 17, kSelf = 1 << 18;

struct Machine : SimdMachine {
    Machine() { apic().mmio_write(kSvr, 0x1FF); }
    LocalApic& apic() { return *cpu->apic; }
    bool requested(u8 vector) { return apic().mmio_read(kIrr + vector / 32u * 16) >> (vector & 31) & 1; }
    u32 errors() {
        apic().mmio_write(kEsr, 0);
        return apic().mmio_read(kEsr);
    }
};

}  // namespace

TEST_CASE("local APIC: an illegal vector sent interrupts through the error LVT, once until ESR is written") {
    Machine machine;
    machine.apic().mmio_write(kLvtError, 0x50);
    machine.apic().mmio_write(kIcrLow, kSelf | 0x0F);
    CHECK(machine.requested(0x50));
    CHECK(machine.apic().acknowledge() == 0x50);
    machine.apic().mmio_write(kIcrLow, kSelf | 0x0F);
    CHECK_FALSE(machine.requested(0x50));
    CHECK(machine.errors() == 0x20);
    machine.apic().mmio_write(kIcrLow, kSelf | 0x0F);
    CHECK(machine.requested(0x50));
}

TEST_CASE("local APIC: a masked error LVT stays silent, the error is noted") {
    Machine machine;
    machine.apic().mmio_write(kLvtError, 0x10050);
    machine.apic().mmio_write(kIcrLow, kSelf | 0x0F);
    CHECK_FALSE(machine.requested(0x50));
    CHECK(machine.errors() == 0x20);
    CHECK(machine.errors() == 0);
}

TEST_CASE("local APIC: an LVT with an illegal vector is an error, not an interrupt") {
    Machine machine;
    machine.apic().mmio_write(kLvtError, 0x50);
    machine.apic().mmio_write(kLvtTimer, kTscDeadlineMode | 0x05);
    machine.apic().set_tsc_deadline(1);
    machine.apic().run_timer(~u64{0} >> 1);
    CHECK_FALSE(machine.requested(0x05));
    CHECK(machine.requested(0x50));
    CHECK(machine.errors() == 0x40);
    machine.apic().mmio_write(kLvtError, 0x05);  // one of the error LVT's own ends there
    machine.apic().mmio_write(kIcrLow, kSelf | 0x0F);
    CHECK(machine.errors() == 0x60);
}

TEST_CASE("local APIC: a TSC deadline already past interrupts at once, interpreted and translated") {
    for (bool translate : {false, true}) {
        for (bool exact : {false, true}) {
            INFO((translate ? "translated" : "interpreted") << (exact ? ", counted exactly" : ""));
            Machine machine;
            Vcpu& cpu = *machine.cpu;
            cpu.exact_time = exact;
            if (translate) REQUIRE(cpu.enable_jit(1));
            cpu.tsc_offset = 1'000'000;
            machine.apic().mmio_write(kLvtTimer, kTscDeadlineMode | 30);
            // sti; mov ecx, 6E0H; mov eax, 1; xor edx, edx; wrmsr; inc ebx; inc ebx
            cpu.gpr[kRbx] = 0;
            CHECK(machine.run({0xFB, 0xB9, 0xE0, 0x06, 0, 0, 0xB8, 1, 0, 0, 0, 0x31, 0xD2, 0x0F, 0x30, 0xFF,
                               0xC3, 0xFF, 0xC3}) == 30);
            CHECK(cpu.gpr[kRbx] == 0);
            CHECK(machine.apic().tsc_deadline() == 0);
            CHECK(machine.apic().next_deadline() == kNever);
        }
    }
}

TEST_CASE("local APIC: in x2APIC mode the page reads all ones, reserved bits of MSRs are #GP") {
    Machine machine;
    Vcpu& cpu = *machine.cpu;
    REQUIRE(write_msr(cpu, 0x1B, LocalApic::kDefaultBase | 0xD00));
    for (u32 offset : {0x20u, 0x30u, 0x80u, 0xF0u, 0x24u}) CHECK(machine.apic().mmio_read(offset) == ~0u);
    CHECK(write_msr(cpu, 0x82F, 0x100FF));
    CHECK_FALSE(write_msr(cpu, 0x82F, 0x20000));
    CHECK_FALSE(write_msr(cpu, 0x82F, 0x800));
    CHECK(write_msr(cpu, 0x83F, 0x40));
    CHECK_FALSE(write_msr(cpu, 0x83F, 0x140));
    CHECK(write_msr(cpu, 0x837, 0x50));
    CHECK(write_msr(cpu, 0x83F, 0x0F));  // not sent, but an error
    u64 irr = 0;
    CHECK(read_msr(cpu, 0x822, irr));
    CHECK((irr >> 16 & 1) == 1);  // 50H
}
