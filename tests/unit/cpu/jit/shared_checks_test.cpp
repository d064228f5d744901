// SPDX-License-Identifier: MIT
// Accesses that share one TLB check (groups): a page that may not be written to makes a block go on without
// them, soon enough not to be slow, and not for good.
#include "cpu/jit/jit.h"
#include "mmu/remap.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kRounds = 2000;
/// L: mov rax, [rbx]; add rax, rdx; mov [rbx + 8], rax; dec rdx; jnz L
const std::vector<u8> kReadsAndWrites = {0x48, 0x8B, 0x03, 0x48, 0x01, 0xD0, 0x48, 0x89,
                                         0x43, 0x08, 0x48, 0xFF, 0xCA, 0x75, 0xF1};

struct Grouped : SimdMachine {
    Grouped() {
        REQUIRE(cpu->enable_jit(1));
        memory.write(Gpa(kCode), kReadsAndWrites);
        put(kCode + kReadsAndWrites.size(), u8{0xF4});
        put(kData, u64{1000});
    }
    /// The loop with its accesses under one check, or without.
    bool checks_are_shared() {
        cpu->rip = kCode;
        cpu->gpr[kRbx] = kData;
        cpu->gpr[kRdx] = kRounds;
        run_to_halt();
        CHECK(get<u64>(kData + 8) == 1001);
        const Block* block = cpu->blocks->known(*cpu, kCode);
        REQUIRE(block);
        REQUIRE(block->code.frame_flags);
        return !(block->code.avoid & jit::kAvoidGroups);
    }
    void protect(Ppn page) {
        RemapBatch batch;
        batch.protect(memory, page, kProtectTrace);
        batch.run();
    }
};

}  // namespace

TEST_CASE("jit: a protected page costs a block its shared checks for a time only") {
    Grouped machine;
    Pmap& pmap = machine.memory.pmap();
    const Ppn page = Gpa(SimdMachine::kData).ppn();
    CHECK(machine.checks_are_shared());
    machine.protect(page);
    CHECK_FALSE(machine.checks_are_shared());
    machine.cpu->jit->give_groups_back();
    CHECK_FALSE(machine.checks_are_shared());
    pmap.unlock(page, pmap.lock(page).unprotect(kProtectTrace));
    CHECK_FALSE(machine.checks_are_shared());  // nobody looked yet
    machine.cpu->jit->give_groups_back();
    CHECK(machine.checks_are_shared());
}
