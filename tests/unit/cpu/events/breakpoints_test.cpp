// SPDX-License-Identifier: MIT
// Breakpoints across what a guest cannot see: save states, pages that must be waited for, TLB contexts.
#include "cpu/events/breakpoints.h"

#include "cpu/events/interrupts.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {
constexpr u64 kWatched = SimdMachine::kData + 0x100, kDebugHandler = SimdMachine::kHandlers + 16;

/// Watches 8 bytes for writes, or for reads too.
void watch(Vcpu& cpu, u64 gva, bool reads) {
    cpu.dr[0] = gva;
    cpu.dr[7] = 0x400 | 2 | (reads ? 0xB0000 : 0x90000);
    cpu.update_mode();
}
void start(SimdMachine& machine, const std::vector<u8>& code) {
    machine.memory.write(Gpa(SimdMachine::kCode), code);
    machine.cpu->rip = SimdMachine::kCode;
    machine.cpu->gpr[kRsp] = SimdMachine::kStack;
    machine.cpu->gpr[kRbx] = kWatched;
    machine.cpu->safepoint.enter();
}
}  // namespace

TEST_CASE("breakpoints: a hit that MOV SS holds back is part of a save state") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    machine.put(kWatched, u16{0x10});
    start(machine, {0x8E, 0x13, 0x90, 0x90, 0xF4});  // mov ss, [rbx]; nop; nop; hlt
    watch(cpu, kWatched, true);
    cpu.exact_time = true;
    REQUIRE(cpu.run(1) == ExitReason::kBudget);
    REQUIRE(cpu.rip == SimdMachine::kCode + 2);
    Archive saved;
    cpu.serialize(saved);
    cpu.reset();
    CHECK_FALSE(cpu.mmu.watches());

    Archive loaded(saved.bytes());
    cpu.serialize(loaded);
    REQUIRE_FALSE(loaded.failed());
    CHECK(cpu.mmu.watches(Gva(kWatched)));
    CHECK(cpu.run(100) == ExitReason::kHalt);
    CHECK(cpu.rip == kDebugHandler + 1);
    CHECK(machine.get<u64>((SimdMachine::kStack & ~u64{15}) - 40) == SimdMachine::kCode + 3);
    CHECK(cpu.dr[6] % 16 == 1);
    cpu.safepoint.leave();
}

TEST_CASE("breakpoints: a trap that waits for a page comes once, before anything else") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    start(machine, {0x48, 0x89, 0x03, 0xFF, 0xC1, 0xF4});  // mov [rbx], rax; inc ecx; hlt
    watch(cpu, kWatched, false);
    cpu.gpr[kRsp] = 0x20000;
    machine.pager.page = Gpa(0x1F000).ppn();  // the handler's stack
    machine.pager.waits = 3;                  // the first run() tries twice
    for (int wait = 0; wait < 2; ++wait) {
        REQUIRE(cpu.run(100) == ExitReason::kWaitPage);
        CHECK(cpu.rip == SimdMachine::kCode + 3);
        cpu.mmu.wait_for_page();
    }
    CHECK(cpu.run(100) == ExitReason::kHalt);
    CHECK(cpu.rip == kDebugHandler + 1);
    CHECK(cpu.gpr[kRcx] == 0);
    CHECK(machine.get<u64>(0x20000 - 40) == SimdMachine::kCode + 3);
    CHECK(cpu.pending_dr6 == 0);
    cpu.safepoint.leave();
}

TEST_CASE("breakpoints: an event's frame over a watched page that must be waited for hits once") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    start(machine, {0x0F, 0x0B});  // ud2
    cpu.gpr[kRsp] = 0x20010;       // SS and RSP go to the page above, the rest below
    watch(cpu, 0x20000, false);
    machine.pager.page = Gpa(0x1F000).ppn();
    machine.pager.waits = 2;
    REQUIRE(cpu.run(100) == ExitReason::kWaitPage);
    CHECK(cpu.pending_dr6 == 0);
    cpu.mmu.wait_for_page();
    CHECK(cpu.run(100) == ExitReason::kHalt);
    CHECK(cpu.rip == kDebugHandler + 1);  // at the first instruction of #UD's handler
    CHECK(machine.get<u64>(cpu.gpr[kRsp]) == SimdMachine::kHandlers + 6 * 16);
    CHECK(cpu.dr[6] % 16 == 1);
    cpu.safepoint.leave();
}

TEST_CASE("breakpoints: a watched page is in the TLB of no privilege, and back when it is watched no more") {
    SimdMachine machine;
    Vcpu& cpu = *machine.cpu;
    VcpuMmu& mmu = cpu.mmu;
    machine.put(kWatched, u64{1});
    machine.put(kWatched + kPageSize, u64{1});
    cpu.safepoint.enter();
    auto reach = [&](u64 gva) {
        CHECK(mmu.resolve(Gva(gva), 8, MemoryAccess::kRead, true).kind == Resolved::Kind::kHost);
        CHECK(mmu.resolve(Gva(gva), 8, MemoryAccess::kWrite, true).kind == Resolved::Kind::kHost);
    };
    const TlbContext* supervisor = mmu.implicit_supervisor_context();
    reach(kWatched);
    REQUIRE(supervisor->probe_write(kWatched, 8) != nullptr);
    watch(cpu, kWatched, false);
    mmu.set_privilege(true, false);  // accesses of the processor itself, made at CPL 3
    for (int i = 0; i < 2; ++i) {
        CHECK(supervisor->probe_read(kWatched, 8) == nullptr);
        CHECK(supervisor->probe_write(kWatched, 8) == nullptr);
        reach(kWatched);
    }
    reach(kWatched + kPageSize);
    CHECK(supervisor->probe_write(kWatched + kPageSize, 8) != nullptr);
    cpu.dr[7] = 0x400;
    cpu.update_mode();
    reach(kWatched);
    CHECK(supervisor->probe_write(kWatched, 8) != nullptr);
    cpu.safepoint.leave();
}
