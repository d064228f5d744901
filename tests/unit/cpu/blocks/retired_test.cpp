// SPDX-License-Identifier: MIT
// The retired count: one for each instruction and each REP iteration, exact for every budget.
#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

struct Run {
    u64 retired, rax, rcx, hash;
};

/// mov ecx,300; L: add eax,ecx; test ecx,1; jz S; inc eax; S: call F; dec ecx; jnz L; mov ecx,5000; rep
/// stosb; jmp E; F: ret; E:
const std::vector<u8> kLoopsAndCalls = {
    0xB9, 0x2C, 0x01, 0, 0,    0x01, 0xC8, 0xF7, 0xC1, 1,    0,    0, 0, 0x74, 0x02, 0xFF, 0xC0, 0xE8,
    0x0D, 0,    0,    0, 0xFF, 0xC9, 0x75, 0xEB, 0xB9, 0x88, 0x13, 0, 0, 0xF3, 0xAA, 0xEB, 0x01, 0xC3};
/// mov edx,50; L: mov ecx,100; mov rsi,rdi; rep stosb; mov rdi,rsi; dec edx; jnz L
const std::vector<u8> kRepeats = {0xBA, 50,   0,    0,    0,    0xB9, 100,  0,    0,    0,    0x48,
                                  0x89, 0xFE, 0xF3, 0xAA, 0x48, 0x89, 0xF7, 0xFF, 0xCA, 0x75, 0xEF};

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

TEST_CASE("retired: translated code that is asked to counts as the interpreter does, under the host clock") {
    for (const auto& code : std::vector<std::vector<u8>>{kLoopsAndCalls, kRepeats}) {
        const u64 expected = run_sliced(code, 0).retired;
        for (bool counts : {true, false}) {
            SimdMachine machine;
            Vcpu& cpu = *machine.cpu;
            cpu.translated_counts = counts;
            REQUIRE(cpu.enable_jit(1));
            cpu.gpr[kRdi] = SimdMachine::kData;
            REQUIRE(machine.run(code) == SimdMachine::kNoFault);
            CHECK(cpu.jit->counters().blocks > 0);
            if (counts) CHECK(cpu.retired == expected);
            CHECK(cpu.retired_text() == (counts ? std::to_string(expected) : "uncounted"));
        }
    }
}

TEST_CASE("retired: each REP iteration counts one, the instruction itself nothing more") {
    // mov ecx, 1000; rep stosb; hlt
    CHECK(run_sliced({0xB9, 0xE8, 0x03, 0, 0, 0xF3, 0xAA}, 0).retired == 1002);
    // A count of 0 is one instruction.
    CHECK(run_sliced({0x31, 0xC9, 0xF3, 0xAA}, 0).retired == 3);
}

TEST_CASE(
    "retired: the same state and count however a run is sliced, over REP, loops, calls and fused branches") {
    Run whole = run_sliced(kLoopsAndCalls, 0);
    CHECK(whole.retired == 1 + 300 * 7 + 150 + 1 + 5000 + 2);
    for (i64 slice : {1, 2, 3, 7, 64, 1000, -5, -90, -4000}) {
        Run sliced = run_sliced(kLoopsAndCalls, slice);
        INFO("slice " << slice);
        CHECK(sliced.retired == whole.retired);
        CHECK(sliced.rax == whole.rax);
        CHECK(sliced.hash == whole.hash);
    }
}
