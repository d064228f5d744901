// SPDX-License-Identifier: MIT
// INS and OUTS without REP: they end their block, as their row says, and the next instruction runs.
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kSame = 0x20000, kTarget = 0x21000;

/// A port that gives 1, 2, 3...
struct Fifo : NoDevices {
    u32 next = 1;
    std::vector<u32> written;

    u32 read() { return next++; }
    u32 port_read(u16, unsigned) override { return read(); }
    void port_write(u16, unsigned, u32 value) override { written.push_back(value); }
};

struct FifoMachine : SimdMachine {
    Fifo fifo;
    explicit FifoMachine(bool translated) {
        const std::unique_ptr<Vcpu> before = std::move(cpu);
        cpu = std::make_unique<Vcpu>(0, memory, fifo, fifo, fifo, model);
        cpu->efer = before->efer, cpu->cr3 = before->cr3, cpu->xcr0 = before->xcr0;
        std::copy_n(before->seg, 6, cpu->seg);
        cpu->gdtr = before->gdtr, cpu->idtr = before->idtr;
        set_control(kCr0, kCr4);
        cpu->mmu.set_cr3(cpu->cr3, false);
        if (translated) REQUIRE(cpu->enable_jit(1));
        cpu->gpr[kRdx] = 0x1F0;
        cpu->gpr[kRdi] = kTarget;
        cpu->gpr[kRsi] = kSame;
    }
};

}  // namespace

TEST_CASE("cpu: INS and OUTS without REP go on behind themselves") {
    const bool translated = GENERATE(false, true);
    FifoMachine m(translated);
    // mov ecx, 20; L: insb; insw; insd; outsb; outsw; outsd; inc eax; dec ecx; jnz L
    CHECK(m.run({0xB9, 20, 0, 0, 0, 0x6C, 0x66, 0x6D, 0x6D, 0x6E, 0x66, 0x6F, 0x6F, 0xFF, 0xC0, 0xFF, 0xC9,
                 0x75, 0xF2}) == SimdMachine::kNoFault);
    CHECK(m.cpu->gpr[kRax] == 20);
    CHECK(m.cpu->gpr[kRdi] == kTarget + 20 * 7);
    CHECK(m.cpu->gpr[kRsi] == kSame + 20 * 7);
    CHECK(m.fifo.next == 61);
    CHECK(m.fifo.written.size() == 60);
}
