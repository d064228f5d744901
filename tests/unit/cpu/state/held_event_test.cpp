// SPDX-License-Identifier: MIT
// Events whose delivery must wait for a page (the handler's stack): Vcpu::hold_event().
#include "cpu/apic/local_apic.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {
constexpr u8 kVector = 0x20;
constexpr u64 kHandler = SimdMachine::kHandlers + kVector * 16;
constexpr u64 kFrame = SimdMachine::kStack - 40;  // RIP, CS, RFLAGS, RSP, SS

/// `sti; loop: inc eax; jmp loop`, already running, with an interrupt gate that leads to a HLT.
void start_counting(SimdMachine& machine) {
    Vcpu& cpu = *machine.cpu;
    machine.memory.write(Gpa(SimdMachine::kCode), std::vector<u8>{0xFB, 0xFF, 0xC0, 0xEB, 0xFC});
    machine.put(0x7000 + kVector * 16, (kHandler & 0xFFFF) | u64{8} << 16 | u64{0x8E} << 40);
    machine.put(kHandler, u8{0xF4});
    cpu.idtr.limit = 0x7FF;
    cpu.apic->mmio_write(0xF0, 0x1FF);  // software enable
    cpu.rip = SimdMachine::kCode;
    cpu.gpr[kRsp] = SimdMachine::kStack;
    cpu.exact_time = true;
    REQUIRE(cpu.run(101) == ExitReason::kBudget);
    REQUIRE(cpu.gpr[kRax] == 50);
}
}  // namespace

TEST_CASE("cpu: an interrupt whose delivery waits for a page is part of a save state") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    cpu.safepoint.enter();
    start_counting(machine);
    u64 interrupted = cpu.rip;
    machine.pager.page = Gpa(kFrame).ppn();
    machine.pager.waits = 1;
    cpu.apic->post(kVector, false);
    REQUIRE(cpu.run(100) ==
            ExitReason::kWaitPage);  // the controller has been acknowledged: only the vCPU knows of it now
    Archive saved;
    cpu.serialize(saved);
    cpu.mmu.wait_for_page();
    cpu.reset();

    Archive loaded(saved.bytes());
    cpu.serialize(loaded);
    REQUIRE_FALSE(loaded.failed());
    CHECK(cpu.run(100) == ExitReason::kHalt);
    CHECK(cpu.rip == kHandler + 1);
    CHECK(machine.get<u64>(kFrame) == interrupted);
    cpu.safepoint.leave();
}

TEST_CASE("cpu: an interrupt whose delivery waited for a page lets no instruction run before it") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    cpu.safepoint.enter();
    start_counting(machine);
    u64 interrupted = cpu.rip, retired = cpu.retired;
    machine.pager.page = Gpa(kFrame).ppn();
    machine.pager.waits = 3;
    cpu.apic->post(kVector, false);
    for (int wait = 0; wait < 3; ++wait) {
        CHECK(cpu.run(100) == ExitReason::kWaitPage);
        CHECK(cpu.retired == retired);
        CHECK(cpu.rip == interrupted);
        cpu.mmu.wait_for_page();
    }
    CHECK(cpu.run(100) == ExitReason::kHalt);
    CHECK(cpu.rip == kHandler + 1);
    CHECK(cpu.retired == retired + 1);
    CHECK(cpu.gpr[kRax] == 50);
    CHECK(machine.get<u64>(kFrame) == interrupted);
    cpu.safepoint.leave();
}

TEST_CASE("cpu: an interrupt whose delivery finds the pool exhausted is held, and each try says why") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    cpu.safepoint.enter();
    start_counting(machine);
    u64 interrupted = cpu.rip, retired = cpu.retired;
    machine.pool->set_capacity(1);
    cpu.apic->post(kVector, false);
    for (int round = 0; round < 3; ++round) {
        CHECK(cpu.run(100) == ExitReason::kRefused);  // kWaitPage: waiting for a page that nobody brings
        CHECK(cpu.wait_ppn == Gpa(kFrame).ppn());
        CHECK(cpu.retired == retired);
    }
    machine.pool->set_capacity(4096);
    CHECK(cpu.run(100) == ExitReason::kHalt);
    CHECK(cpu.rip == kHandler + 1);
    CHECK(machine.get<u64>(kFrame) == interrupted);
    cpu.safepoint.leave();
}
