// SPDX-License-Identifier: MIT
// PAE's page-directory-pointer-table entries are read by MOV to CR0, CR3 and CR4 and by a task switch (SDM 3A
// 4.4.1): from a page that must be waited for, with nothing done before it is there, and never afterwards.
#include "mmu/fill_page.h"
#include "mmu/remap.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kPresent = 1, kDirectory = 0x5000;   // 2 MiB pages, identity
constexpr u64 kFirst = 0xA000, kSecond = 0x20000;  // PDPTs
constexpr u64 kGdt = 0xB000, kOldTss = 0xC000, kNewTss = 0xD000, kIdt = 0xE000;
constexpr u64 kNewTask = SimdMachine::kCode + 0x80;
constexpr u16 kCodeSelector = 8, kDataSelector = 0x10, kOldTask = 0x18, kTask = 0x20;

/// In 32-bit mode with PAE paging at CPL 0, flat.
struct PaeMachine : SimdMachine {
    PaeMachine() {
        put(kFirst, kDirectory | kPresent);
        put(kSecond, kDirectory | kPresent);
        put(kGdt + kCodeSelector, u64{0x00CF9B000000FFFF});
        put(kGdt + kDataSelector, u64{0x00CF93000000FFFF});
        put(kGdt + kOldTask, u64{0x0000'8B00'0000'0067} | kOldTss << 16);
        put(kGdt + kTask, u64{0x0000'8900'0000'0067} | kNewTss << 16);
        put(kIdt + 13 * 8, (kHandlers + 13 * 16) | u64{kCodeSelector} << 16 | u64{0x8E00} << 32);
        put(kNewTss + 28, static_cast<u32>(kSecond));
        put(kNewTss + 32, static_cast<u32>(kNewTask));
        put(kNewTss + 36, u32{2});
        for (u64 segment = 0; segment < 6; ++segment)
            put(kNewTss + 72 + segment * 4, u32{segment == 1 ? kCodeSelector : kDataSelector});
        put(kNewTask, u8{0xF4});
        Vcpu& c = *cpu;
        c.efer = 0;
        c.seg[kCs] = {kCodeSelector, 0xC09B, 0xFFFFFFFF, 0};
        c.gdtr = {kGdt, 0x27};
        c.idtr = {kIdt, 0xFF};
        c.tr = {kOldTask, 0x8B, 0x67, kOldTss};
        c.cr3 = kFirst;
        Pdptes pdptes;
        REQUIRE(c.mmu.read_pdptes(kFirst, pdptes) == VcpuMmu::PdpteRead::kRead);
        c.mmu.set_pdptes(pdptes);
        set_control(kCr0, cr4::kPAE);
        c.mmu.set_cr3(kFirst, false);
    }
    /// `code` with kSecond in EAX, whose page is swapped out. What it is like meanwhile, then to its HLT.
    void run_with_wait(const std::vector<u8>& code, u64 cr3_before) {
        memory.write(Gpa(kCode), code);
        cpu->rip = kCode;
        cpu->gpr[kRax] = static_cast<u32>(kSecond);
        pager.page = Gpa(kSecond).ppn();
        pager.waits = 1;
        RemapBatch batch;
        batch.evict(memory, Gpa(kSecond).ppn(), [](std::span<const u8, kPageSize>) {
            return std::optional(PmapEntry::elsewhere(PageState::kSwapped, 1, 1));
        });
        batch.run();
        cpu->safepoint.enter();
        CHECK(cpu->run(budget) == ExitReason::kWaitPage);
        CHECK(cpu->wait_ppn == Gpa(kSecond).ppn());
        CHECK(cpu->rip == kCode);
        CHECK(cpu->cr3 == cr3_before);
        CHECK(cpu->tr.selector == kOldTask);
        CHECK(get<u8>(kGdt + kTask + 5) == 0x89);  // not busy yet
        cpu->safepoint.leave();
        {
            PageFill fill = PageFill::take(memory, Gpa(kSecond).ppn());
            REQUIRE(fill);
            fill.install(*pool->allocate(memory.vm(), Gpa(kSecond).ppn()));
        }
        put(kSecond, kDirectory | kPresent);
        cpu->safepoint.enter();
        CHECK(cpu->run(budget) == ExitReason::kHalt);
        cpu->safepoint.leave();
        CHECK(cpu->cr3 == kSecond);
        CHECK(cpu->mmu.control().pdpte[0] == (kDirectory | kPresent));
    }
};

}  // namespace

TEST_CASE("pae: MOV to CR3 waits for the page of the PDPTEs before it does anything") {
    PaeMachine machine;
    machine.run_with_wait({0x0F, 0x22, 0xD8, 0xF4}, kFirst);  // mov cr3, eax; hlt
    CHECK(machine.cpu->rip == SimdMachine::kCode + 4);
}

TEST_CASE("pae: MOV to CR0 and CR4 wait for the page of the PDPTEs before they do anything") {
    for (bool by_cr0 : {true, false}) {
        PaeMachine machine;
        Vcpu& cpu = *machine.cpu;
        cpu.cr3 = kSecond;
        machine.set_control(by_cr0 ? SimdMachine::kCr0 & ~cr0::kPG : SimdMachine::kCr0, cr4::kPAE);
        const u64 mine = by_cr0 ? SimdMachine::kCr0 : cr4::kPAE | cr4::kPGE;
        cpu.gpr[kRcx] = mine;  // mov cr0 or cr4, ecx; hlt
        machine.run_with_wait({0x0F, 0x22, static_cast<u8>(by_cr0 ? 0xC1 : 0xE1), 0xF4}, kSecond);
        CHECK((by_cr0 ? cpu.cr0 : cpu.cr4) == mine);
    }
}

TEST_CASE("pae: a task switch waits for the page of the PDPTEs before it does anything") {
    PaeMachine machine;
    machine.run_with_wait({0xEA, 0, 0, 0, 0, kTask, 0}, kFirst);  // jmp far kTask
    CHECK(machine.cpu->rip == kNewTask + 1);
    CHECK(machine.cpu->tr.selector == kTask);
}

TEST_CASE("pae: a task switch to PDPTEs with reserved bits is a #GP of the old task") {
    PaeMachine machine;
    machine.put(kSecond, kDirectory | kPresent | 2);
    machine.memory.write(Gpa(SimdMachine::kCode), std::vector<u8>{0xEA, 0, 0, 0, 0, kTask, 0});
    machine.cpu->rip = SimdMachine::kCode;
    machine.cpu->gpr[kRsp] = SimdMachine::kStack;
    machine.run_to_halt();
    CHECK(machine.cpu->rip == SimdMachine::kHandlers + 13 * 16 + 1);
    CHECK(machine.cpu->cr3 == kFirst);
    CHECK(machine.cpu->tr.selector == kOldTask);
}

TEST_CASE("pae: a save state has the PDPTEs that were loaded, whatever memory holds by then") {
    PaeMachine machine;
    Archive saved;
    machine.cpu->serialize(saved);
    machine.put(kFirst, u64{0});
    machine.cpu->reset();
    Archive loaded(saved.bytes());
    machine.cpu->serialize(loaded);
    REQUIRE_FALSE(loaded.failed());
    CHECK(machine.cpu->mmu.control().pdpte[0] == (kDirectory | kPresent));
}
