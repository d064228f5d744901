// SPDX-License-Identifier: MIT
// The retired count: one for each instruction and each REP iteration, exact for every budget.
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

struct Run {
    u64 retired, rax, rcx, hash;
};

/// Runs `code` up to its HLT in slices of `slice` (0: whole).
Run run_sliced(const std::vector<u8>& code, i64 slice) {
    SimdMachine machine;
    std::vector<u8> bytes = code;
    bytes.push_back(0xF4);
    machine.memory.write(Gpa(SimdMachine::kCode), bytes);
    Vcpu& cpu = *machine.cpu;
    cpu.rip = SimdMachine::kCode;
    cpu.exact_time = true;  // else a slice may end up to a block early
    cpu.gpr[kRsp] = SimdMachine::kStack;
    cpu.gpr[kRdi] = SimdMachine::kData;
    cpu.safepoint.enter();
    ExitReason reason;
    for (u64 i = 0;; ++i) {
        u64 before = cpu.retired;
        i64 allowed = slice > 0   ? slice
                      : slice < 0 ? static_cast<i64>(1 + i * 7919 % static_cast<u64>(-slice))
                                  : 1'000'000;
        reason = cpu.run(allowed);
        CHECK(cpu.retired - before <= static_cast<u64>(allowed));
        if (reason != ExitReason::kBudget) break;
        CHECK(cpu.retired - before == static_cast<u64>(allowed));
    }
    cpu.safepoint.leave();
    CHECK(reason == ExitReason::kHalt);
    return {cpu.retired, cpu.gpr[kRax], cpu.gpr[kRcx], machine.memory.content_hash()};
}

}  // namespace

TEST_CASE("retired: each REP iteration counts one, the instruction itself nothing more") {
    // mov ecx, 1000; rep stosb; hlt
    CHECK(run_sliced({0xB9, 0xE8, 0x03, 0, 0, 0xF3, 0xAA}, 0).retired == 1002);
    // A count of 0 is one instruction.
    CHECK(run_sliced({0x31, 0xC9, 0xF3, 0xAA}, 0).retired == 3);
}

TEST_CASE(
    "retired: the same state and count however a run is sliced, over REP, loops, calls and fused branches") {
    // mov ecx,300; L: add eax,ecx; test ecx,1; jz S; inc eax; S: call F; dec ecx; jnz L; mov ecx,5000; rep
    // stosb; hlt ... F: ret
    std::vector<u8> code = {0xB9, 0x2C, 0x01, 0,    0,    0x01, 0xC8, 0xF7, 0xC1, 1,    0,    0,
                            0,    0x74, 0x02, 0xFF, 0xC0, 0xE8, 0x0D, 0,    0,    0,    0xFF, 0xC9,
                            0x75, 0xEB, 0xB9, 0x88, 0x13, 0,    0,    0xF3, 0xAA, 0xEB, 0x01, 0xC3};
    Run whole = run_sliced(code, 0);
    CHECK(whole.retired == 1 + 300 * 7 + 150 + 1 + 5000 + 2);
    for (i64 slice : {1, 2, 3, 7, 64, 1000, -5, -90, -4000}) {
        Run sliced = run_sliced(code, slice);
        INFO("slice " << slice);
        CHECK(sliced.retired == whole.retired);
        CHECK(sliced.rax == whole.rax);
        CHECK(sliced.hash == whole.hash);
    }
}
