// SPDX-License-Identifier: MIT
// Between instructions: what an exact budget ends before, and what an interrupt between a repeat's iterations
// sees.
#include "cpu/blocks/block.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kNowhere = 0x1000000;  // nothing is mapped there
constexpr u64 kPageFaultHandler = SimdMachine::kHandlers + 14 * 16;

/// Runs `code` with a budget of exactly `count`.
void run_exactly(SimdMachine& m, const std::vector<u8>& code, i64 count) {
    m.memory.write(Gpa(SimdMachine::kCode), code);
    m.cpu->rip = SimdMachine::kCode;
    m.cpu->gpr[kRsp] = SimdMachine::kStack;
    m.cpu->safepoint.enter();
    CHECK(m.cpu->run(count) == ExitReason::kBudget);
    m.cpu->safepoint.leave();
}

/// A stream of which two elements come in a run; the next run brings an NMI instead.
class Stream final : public NoDevices {
 public:
    u32 port_read_run(u16, unsigned, std::span<u8>) override {
        if (++runs == 1) return 2;
        if (runs == 2) cpu->post_nmi();
        return 0;
    }
    Vcpu* cpu = nullptr;
    int runs = 0;
};

}  // namespace

TEST_CASE("fetch: a jump that uses up the budget fetches nothing, however it was reached") {
    // mov eax, target; jmp rax: and nop; jmp rel32
    const std::vector<u8> indirect = {0xB8, 0, 0, 0, 1, 0xFF, 0xE0};
    std::vector<u8> direct = {0x90, 0xE9, 0, 0, 0, 0};
    const u32 distance = static_cast<u32>(kNowhere - (SimdMachine::kCode + direct.size()));
    for (unsigned i = 0; i < 4; ++i) direct[2 + i] = static_cast<u8>(distance >> (8 * i));
    for (const std::vector<u8>& code : {indirect, direct}) {
        for (bool translate : {false, true}) {
            SimdMachine m;
            m.cpu->exact_time = true;
            if (translate) REQUIRE(m.cpu->enable_jit(1));
            for (int round = 0; round < 3; ++round) {  // decoded, translated, linked
                INFO(translate << " " << round);
                run_exactly(m, code, 2);
                CHECK(m.cpu->rip == kNowhere);
                CHECK(m.cpu->cr2 == 0);
            }
            m.cpu->safepoint.enter();
            CHECK(m.cpu->run(1) == ExitReason::kHalt);
            m.cpu->safepoint.leave();
            CHECK(m.cpu->cr2 == kNowhere);
            CHECK(m.cpu->rip == kPageFaultHandler + 1);
        }
    }
}

TEST_CASE("resume flag: an interrupt where REP INS leaves to run alone pushes RF set") {
    SimdMachine m;
    Stream stream;
    m.use_bus(stream);
    stream.cpu = m.cpu.get();
    m.cpu->gpr[kRcx] = 100;
    m.cpu->gpr[kRdi] = SimdMachine::kData;
    m.run({0xF3, 0x6C});  // rep insb
    CHECK(m.cpu->rip == SimdMachine::kHandlers + 2 * 16 + 1);
    const u64 frame = m.cpu->gpr[kRsp];
    CHECK(m.get<u64>(frame) == SimdMachine::kCode);
    CHECK(m.cpu->gpr[kRcx] == 97);  // one that filled the TLB, and the run
    CHECK((m.get<u64>(frame + 16) & rflags::kRF) != 0);
}
