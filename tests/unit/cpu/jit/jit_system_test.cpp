// SPDX-License-Identifier: MIT
// System instructions in emitted code under the host clock, which the guests of tests/asm do not run under by
// default: STI and what waits for it, RDTSC, and that C++ sees what STAC, CLAC, SYSCALL and SYSRET changed.
#include <atomic>
#include <thread>

#include "cpu/apic/local_apic.h"
#include "cpu/jit/jit.h"
#include "cpu/jit/translation_listener.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u8 kVector = 30;

struct Machine : SimdMachine {
    explicit Machine(bool translate) {
        if (translate) REQUIRE(cpu->enable_jit(1));
        cpu->apic->mmio_write(0xF0, 0x1FF);  // enable
    }
};

/// Notes whether a shadow holds where the code at `rip` is translated, which is just before it runs first.
struct ShadowAt : jit::TranslationListener {
    ShadowAt(const Vcpu& vcpu, u64 where) : cpu(vcpu), rip(where) {}
    void translated(const jit::Translation& block) override {
        if (block.guest.front().rip == rip) seen = true, shadow = cpu.interrupt_shadow;
    }
    const Vcpu& cpu;
    u64 rip;
    bool seen = false, shadow = false;
};

}  // namespace

TEST_CASE("jit: an interrupt that waits for STI comes behind the next instruction") {
    for (bool translate : {false, true}) {
        INFO(translate);
        Machine machine(translate);
        Vcpu& cpu = *machine.cpu;
        cpu.apic->post(kVector, false);
        // cli; nop; sti; inc eax; inc eax
        CHECK(machine.run({0xFA, 0x90, 0xFB, 0xFF, 0xC0, 0xFF, 0xC0}) == kVector);
        CHECK(cpu.gpr[kRax] == 1);
        cpu.apic->mmio_write(0xB0, 0);
        cpu.gpr[kRax] = 0;
        cpu.other_flags &= ~rflags::kIF;
        cpu.apic->post(kVector, false);
        // sti; cli; inc eax: nothing comes
        CHECK(machine.run({0xFB, 0xFA, 0xFF, 0xC0}) == SimdMachine::kNoFault);
        CHECK(cpu.gpr[kRax] == 1);
        // mov ecx, 5; loop: sti; cli; dec ecx; jnz loop; sti; inc eax; inc eax
        CHECK(machine.run({0xB9, 5, 0, 0, 0, 0xFB, 0xFA, 0xFF, 0xC9, 0x75, 0xFA, 0xFB, 0xFF, 0xC0, 0xFF,
                           0xC0}) == kVector);
        CHECK(cpu.gpr[kRax] == 2);
    }
}

TEST_CASE("jit: the shadow of an STI in emitted code holds when its block is left") {
    Machine machine(true);
    Vcpu& cpu = *machine.cpu;
    ShadowAt at(cpu, SimdMachine::kCode + 3);
    cpu.jit->set_listener(&at);
    CHECK(machine.run({0xFA, 0x90, 0xFB, 0xFF, 0xC0}) == SimdMachine::kNoFault);
    CHECK(at.seen);
    CHECK(at.shadow);
    CHECK(cpu.other_flags & rflags::kIF);
    CHECK_FALSE(cpu.interrupt_shadow);  // it ended with HLT
}

TEST_CASE("jit: an interrupt posted at any time around STI; HLT is not lost") {
    Machine machine(true);
    Vcpu& cpu = *machine.cpu;
    const u64 handler = SimdMachine::kHandlers + kVector * 16;
    machine.put(handler, u8{0xF4});
    std::atomic<unsigned> asked{0};
    std::atomic<bool> done{false};
    std::thread poster([&] {
        for (unsigned round = 0; !done;) {
            while (asked.load() == round && !done) {}
            round = asked.load();
            for (unsigned spin = 0; spin < round * 37 % 4000; ++spin)
                std::atomic_signal_fence(std::memory_order_seq_cst);
            if (!done) cpu.apic->post(kVector, false);
        }
    });
    // again: cli; nop; dec rcx; jnz again; sti; hlt. It ends in the handler, or in its own HLT with something
    // to wake it.
    unsigned lost = 0;
    for (unsigned round = 1; round <= 300; ++round) {
        cpu.gpr[kRcx] = round * 7 % 200 + 1;
        cpu.other_flags &= ~rflags::kIF;
        asked = round;
        int end = machine.run({0xFA, 0x90, 0x48, 0xFF, 0xC9, 0x75, 0xF9, 0xFB});
        if (end == SimdMachine::kNoFault) {
            for (unsigned wait = 0; wait < 200'000'000 && !cpu.wakeup_pending(); ++wait) {}
            lost += !cpu.wakeup_pending();
            cpu.recheck_interrupts();
            cpu.safepoint.enter();
            REQUIRE(cpu.run(1000) == ExitReason::kHalt);
            cpu.safepoint.leave();
            CHECK(cpu.rip == handler + 1);
        } else {
            CHECK(end == kVector);
        }
        cpu.apic->mmio_write(0xB0, 0);
        cpu.nmi_blocked = false;
    }
    done = true;
    poster.join();
    CHECK(lost == 0);
}

TEST_CASE("jit: RDTSC is the vCPU's, and keeps vector and x87 registers") {
    for (bool translate : {false, true}) {
        INFO(translate);
        Machine machine(translate);
        Vcpu& cpu = *machine.cpu;
        cpu.tsc_offset = 0x123456789A;
        cpu.msr.tsc_aux = 0x55;
        cpu.gpr[kRax] = cpu.gpr[kRdx] = cpu.gpr[kRcx] = ~u64{0};
        // movaps xmm1, xmm0; fld1; rdtscp; movaps xmm2, xmm1; fstp qword [rbx]
        cpu.gpr[kRbx] = SimdMachine::kData;
        machine.set_xmm(0, 0x1111, 0x2222);
        CHECK(machine.run({0x0F, 0x28, 0xC8, 0xD9, 0xE8, 0x0F, 0x01, 0xF9, 0x0F, 0x28, 0xD1, 0xDD, 0x1B}) ==
              SimdMachine::kNoFault);
        CHECK(cpu.gpr[kRax] == 0x3456789A);
        CHECK(cpu.gpr[kRdx] == 0x12);
        CHECK(cpu.gpr[kRcx] == 0x55);
        CHECK(machine.xmm_is(2, 0x1111, 0x2222));
        CHECK(machine.get<u64>(SimdMachine::kData) == 0x3FF0000000000000);
    }
}

TEST_CASE("jit: STAC and CLAC choose the context that C++ uses too") {
    for (bool translate : {false, true}) {
        INFO(translate);
        Machine machine(translate);
        Vcpu& cpu = *machine.cpu;
        machine.set_control(SimdMachine::kCr0, SimdMachine::kCr4 | cr4::kSMAP);
        CHECK(machine.run({0x0F, 0x01, 0xCB}) == SimdMachine::kNoFault);  // stac
        CHECK(cpu.mmu.selected().privilege == VcpuMmu::kSupervisorWithAc);
        CHECK(cpu.mmu.context() == cpu.mmu.selected().contexts[VcpuMmu::kSupervisorWithAc]);
        CHECK(cpu.mmu.selected().ac);
        CHECK(machine.run({0x0F, 0x01, 0xCA}) == SimdMachine::kNoFault);  // clac
        CHECK(cpu.mmu.selected().privilege == VcpuMmu::kSupervisor);
        CHECK(cpu.mmu.context() == cpu.mmu.implicit_supervisor_context());
        CHECK_FALSE(cpu.mmu.selected().ac);
        machine.set_control(SimdMachine::kCr0, SimdMachine::kCr4);
        CHECK(machine.run({0x0F, 0x01, 0xCB}) == SimdMachine::kNoFault);
        CHECK(cpu.mmu.selected().privilege == VcpuMmu::kSupervisor);
        CHECK(cpu.mmu.selected().ac);
        CHECK((cpu.other_flags & rflags::kAC) != 0);
    }
}

TEST_CASE("jit: in a trace over CLAC no check made before it holds") {
    struct Longest : jit::TranslationListener {
        void translated(const jit::Translation& t) override { blocks = std::max(blocks, t.guest.size()); }
        size_t blocks = 0;
    };
    Machine machine(false);
    Vcpu& cpu = *machine.cpu;
    REQUIRE(cpu.enable_jit(4));
    Longest longest;
    cpu.jit->set_listener(&longest);
    machine.put(0x1000, u64{0x3007});
    machine.put(0x3000, u64{0x5007});
    machine.put(0x5008, u64{0x200087});  // the second 2 MiB are the user's
    machine.set_control(SimdMachine::kCr0, SimdMachine::kCr4 | cr4::kSMAP);
    cpu.gpr[kRbx] = SimdMachine::kData;
    cpu.gpr[kRdi] = 0x210000;
    // mov ecx, 40; loop: cmp ecx, 1; cmove rbx, rdi; stac; mov rax, [rbx]; clac; mov rdx, [rbx]; dec ecx; jnz
    // loop
    CHECK(machine.run({0xB9, 40,   0,    0,    0,    0x83, 0xF9, 1,    0x48, 0x0F, 0x44, 0xDF, 0x0F, 0x01,
                       0xCB, 0x48, 0x8B, 0x03, 0x0F, 0x01, 0xCA, 0x48, 0x8B, 0x13, 0xFF, 0xC9, 0x75, 0xE9}) ==
          static_cast<int>(Vector::kPF));
    CHECK(cpu.gpr[kRcx] == 1);
    CHECK(cpu.cr2 == 0x210000);
    CHECK(longest.blocks >= 3);
}
