// SPDX-License-Identifier: MIT
// Descriptors and what holds bases: upper halves of 16-byte descriptors, accessed and busy bits, null
// selectors at returns to outer levels, addresses of 57 bits in base registers, ARPL's store, reserved bits
// of MSRs.
#include "cpu/access/segments.h"
#include "cpu/state/msr.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr int kGp = 13;
constexpr u64 kGdt = 0x4000, kLdtEntry = 0x20, kTssEntry = 0x30, kGateEntry = 0x40, kUserCode = 0x50,
              kUserData = 0x58;
constexpr u64 kTarget = 0x2500;
constexpr u64 k57Bits = 0x00F0'0000'0000'0000;  ///< canonical with CR4.LA57 only

struct Machine : SimdMachine {
    explicit Machine(bool translate = false) {
        if (translate) REQUIRE(cpu->enable_jit(1));
        cpu->gdtr = {kGdt, 0x5F};
        put(kGdt + kLdtEntry, u64{0x0000820000000FFF});
        put(kGdt + kLdtEntry + 8, u64{0});
        put(kGdt + kTssEntry, u64{0x0000890000000FFF});
        put(kGdt + kTssEntry + 8, u64{0});
        put(kGdt + kGateEntry, u64{0x00008C0000080000} | kTarget);
        put(kGdt + kGateEntry + 8, u64{0});
        put(kGdt + kUserCode, u64{0x00AFFB000000FFFF});
        put(kGdt + kUserData, u64{0x00CFF3000000FFFF});
        put(kTarget, u8{0xF4});
        put(kData, u32{0});
        put(kData + 4, static_cast<u16>(kGateEntry));
    }
    bool faults_with(const std::vector<u8>& code, u64 selector) {
        return run(code) == kGp && cpu->fault.error_code == selector;
    }
    bool writes_msr(u32 number, u64 value) { return write_msr(*cpu, number, value); }
};

const std::vector<u8> kLldt{0xB8, kLdtEntry, 0, 0, 0, 0x0F, 0x00, 0xD0},
    kLtr{0xB8, kTssEntry, 0, 0, 0, 0x0F, 0x00, 0xD8}, kCallGate{0xFF, 0x1C, 0x25, 0, 0, 1, 0},
    kJumpGate{0xFF, 0x2C, 0x25, 0, 0, 1, 0};

}  // namespace

TEST_CASE("descriptors: type bits in the upper half of 16 bytes are #GP(selector)") {
    for (bool translate : {false, true}) {
        for (u64 type : {u64{0x100}, u64{0x1000}, u64{0x1F00}}) {
            Machine machine(translate);
            machine.put(kGdt + kLdtEntry + 12, static_cast<u32>(type));
            machine.put(kGdt + kTssEntry + 12, static_cast<u32>(type));
            machine.put(kGdt + kGateEntry + 12, static_cast<u32>(type));
            CHECK(machine.faults_with(kLldt, kLdtEntry));
            CHECK(machine.faults_with(kLtr, kTssEntry));
            CHECK(machine.faults_with(kCallGate, kGateEntry));
            CHECK(machine.faults_with(kJumpGate, kGateEntry));
        }
        Machine machine(translate);
        machine.put(kGdt + kLdtEntry + 12, u32{0xFFFFE0FF});  // reserved, but no type
        CHECK(machine.run(kLldt) == SimdMachine::kNoFault);
        machine.run(kCallGate);
        CHECK(machine.cpu->rip == kTarget + 1);
    }
}

TEST_CASE("descriptors: LLDT and LTR refuse a base that is not canonical") {
    Machine machine;
    machine.put(kGdt + kLdtEntry + 8, u32{0x8000});
    machine.put(kGdt + kTssEntry + 8, u32{0x8000});
    CHECK(machine.faults_with(kLldt, kLdtEntry));
    CHECK(machine.faults_with(kLtr, kTssEntry));
    CHECK(machine.get<u8>(kGdt + kTssEntry + 5) == 0x89);  // not busy
    machine.put(kGdt + kTssEntry + 8, u32{0xFFFF8000});
    CHECK(machine.run(kLtr) == SimdMachine::kNoFault);
    CHECK(machine.get<u8>(kGdt + kTssEntry + 5) == 0x8B);
    CHECK(machine.cpu->tr.base == 0xFFFF8000'00000000);
}

TEST_CASE("descriptors: accessed and busy bits change their byte alone") {
    Machine machine;
    Vcpu& cpu = *machine.cpu;
    cpu.safepoint.enter();
    // What another vCPU made of the descriptor between the look at it and the mark stays.
    Descriptor seen{0x0000FFFF, 0x00CF9200, 0};
    machine.put(kGdt + 0x10, u64{0xABCF92CD1234FFFF});
    CHECK(mark_accessed(cpu, 0x10, seen));
    CHECK(machine.get<u64>(kGdt + 0x10) == 0xABCF93CD1234FFFF);
    CHECK(seen.high == 0x00CF9300);
    CHECK(set_task_busy(cpu, kTssEntry, true));
    CHECK(machine.get<u64>(kGdt + kTssEntry) == 0x00008B0000000FFF);
    CHECK(set_task_busy(cpu, kTssEntry, false));
    CHECK(machine.get<u64>(kGdt + kTssEntry) == 0x0000890000000FFF);
    cpu.safepoint.leave();
}

TEST_CASE("descriptors: an accessed bit set in code is seen by that code") {
    for (bool translate : {false, true}) {
        Machine machine(translate);
        Vcpu& cpu = *machine.cpu;
        // mov eax, 18H; mov ds, eax; mov eax, CF92H; dec ebx; jnz to the first; hlt. Bytes 3 to 10 are the
        // descriptor of selector 18H, and 92H its type.
        const std::vector<u8> code{0xB8, 0x18, 0, 0,    0,    0x8E, 0xD8, 0xB8, 0x92,
                                   0xCF, 0,    0, 0xFF, 0xCB, 0x75, 0xF0, 0xF4};
        machine.memory.write(Gpa(SimdMachine::kCode), code);
        cpu.gdtr = {SimdMachine::kCode + 3 - 0x18, 0x1F};
        cpu.gpr[kRbx] = 2;
        cpu.rip = SimdMachine::kCode + 7;  // what is changed has run before
        machine.run_to_halt();
        CHECK(cpu.rip == SimdMachine::kCode + code.size());
        CHECK(cpu.gpr[kRax] == 0xCF93);
    }
}

TEST_CASE("IRETQ and RETF to an outer level keep the base of a null FS or GS") {
    // push ss, rsp, [flags,] cs, rip; iretq or retfq to CPL 3, which HLT ends with #GP
    const u64 target = 0x2600;
    for (bool iret : {false, true}) {
        Machine machine;
        Vcpu& cpu = *machine.cpu;
        for (unsigned at : {0x1000, 0x3000}) machine.put(at, machine.get<u64>(at) | 4);
        machine.put(0x5000, u64{0x87});
        cpu.mmu.flush_all();
        machine.put(target, u8{0xF4});
        cpu.tr = {kTssEntry, 0x8B, 0xFFF, 0xA000};
        machine.put(0xA004, SimdMachine::kStack);
        cpu.seg[kFs] = {0, 0xC093, 0xFFFFFFFF, 0x123456};  // as a reset leaves it, with a base by WRMSR
        cpu.seg[kGs] = {3, 0, 0, 0x654321};
        cpu.seg[kDs] = {0x10, 0xC093, 0xFFFFFFFF, 0};
        std::vector<u8> code{0x6A, kUserData | 3, 0x68, 0, 0x80, 0, 0};
        if (iret) code.insert(code.end(), {0x6A, 0x02});
        code.insert(code.end(), {0x6A, kUserCode | 3, 0x68, 0x00, 0x26, 0, 0, 0x48});
        code.push_back(iret ? 0xCF : 0xCB);
        CHECK(machine.run(code) == kGp);
        CHECK(cpu.seg[kFs].base == 0x123456);
        CHECK(cpu.seg[kGs].base == 0x654321);
        CHECK(cpu.seg[kGs].selector == 0);
        CHECK(cpu.seg[kDs].selector == 0);  // a segment of CPL 0 goes
    }
}

TEST_CASE("LA57: base registers and INVPCID take 57 bits in a mode of 48") {
    for (bool translate : {false, true}) {
        Machine machine(translate);
        Vcpu& cpu = *machine.cpu;
        machine.set_control(SimdMachine::kCr0, SimdMachine::kCr4 | cr4::kFSGSBASE);
        cpu.gpr[kRbx] = k57Bits;
        CHECK(machine.run({0xF3, 0x48, 0x0F, 0xAE, 0xD3}) == SimdMachine::kNoFault);  // wrfsbase rbx
        CHECK(cpu.seg[kFs].base == k57Bits);
        cpu.gpr[kRbx] = k57Bits << 2;
        CHECK(machine.run({0xF3, 0x48, 0x0F, 0xAE, 0xD3}) == kGp);
        machine.put(SimdMachine::kData, u16{0xFFF});
        machine.put(SimdMachine::kData + 2, k57Bits);
        CHECK(machine.run({0x0F, 0x01, 0x14, 0x25, 0, 0, 1, 0, 0xF4}) != kGp);  // lgdt
        CHECK(cpu.gdtr.base == k57Bits);
        cpu.gdtr = {kGdt, 0x5F};
        machine.put(SimdMachine::kData, u64{0});
        machine.put(SimdMachine::kData + 8, k57Bits);
        cpu.gpr[kRcx] = 0;
        // invpcid rcx, [kData]
        CHECK(machine.run({0x66, 0x0F, 0x38, 0x82, 0x0C, 0x25, 0, 0, 1, 0}) == SimdMachine::kNoFault);
        for (u32 number : {0xC0000100u, 0xC0000102u, 0xC0000082u, 0x175u, 0x176u}) {
            CHECK(machine.writes_msr(number, k57Bits));
            CHECK_FALSE(machine.writes_msr(number, k57Bits << 2));
        }
    }
}

TEST_CASE("MSRs: reserved bits and types are #GP, and change nothing") {
    Machine machine;
    struct Case {
        u32 number;
        u64 good, bad;
    };
    static constexpr Case kCases[] = {
        {0xC0000103, 0xFFFFFFFF, u64{1} << 32},  // TSC_AUX
        {0x200, 0x80000006, 0x80000106},
        {0x200, 0, 2},
        {0x201, 0xFFFF80000800, 0x400},
        {0x201, 0x800, u64{1} << 62},
        {0x20F, 0x800, 1},
        {0x2FF, 0xC06, 0x1006},
        {0x2FF, 0xC00, 0xC03},
        {0x250, 0x0606060606060606, 0x0206060606060606},
        {0x26F, 0x0505050505050505, 7},
        {0x1D9, 3, 4},
        {0x1D9, 0x1FC0, u64{1} << 16},
        {0x10B, 1, 2},
        {0x48, 7, 8},
    };
    for (const Case& c : kCases) {
        INFO(fmt::format("{:x}: {:x}", c.number, c.bad));
        u64 good = c.number == 0x201 ? c.good & ((u64{1} << kPhysicalBits) - 1) : c.good, value = 0;
        CHECK(machine.writes_msr(c.number, good));
        CHECK_FALSE(machine.writes_msr(c.number, c.bad));
        if (c.number != 0x10B) {
            CHECK(read_msr(*machine.cpu, c.number, value));
            CHECK(value == good);
        }
    }
}

TEST_CASE("ARPL stores only a selector that changes") {
    Machine machine;
    Vcpu& cpu = *machine.cpu;
    machine.put(0x5008, u64{0x200081});  // 200000H up: read-only
    machine.set_control(SimdMachine::kCr0 | cr0::kWP, SimdMachine::kCr4);
    cpu.mmu.flush_all();
    machine.put(0x200000, u16{0x1233});
    machine.put(kGdt + kUserCode, u64{0x00CF9B000000FFFF});  // 32-bit code, CPL 0
    // A 32-bit code segment: arpl [200000H], bx; hlt
    const u64 target = 0x2600;
    const std::vector<u8> arpl{0x66, 0x90, 0x63, 0x1D, 0x00, 0x00, 0x20, 0x00, 0xF4};
    for (u16 source : {u16{3}, u16{2}, u16{0}}) {
        machine.memory.write(Gpa(target), arpl);
        cpu.blocks->flush();
        machine.put(SimdMachine::kData, static_cast<u32>(target));
        machine.put(SimdMachine::kData + 4, static_cast<u16>(kUserCode));
        cpu.seg[kCs] = {8, 0xA09B, 0xFFFFFFFF, 0};
        cpu.update_mode();
        cpu.gpr[kRbx] = source;
        machine.run(kJumpGate);  // a far jump by what kData says
        INFO(source);
        CHECK(cpu.rip == target + arpl.size());
        CHECK_FALSE(cpu.rflags() & rflags::kZF);
    }
    machine.put(0x200000, u16{0x1230});
    cpu.seg[kCs] = {8, 0xA09B, 0xFFFFFFFF, 0};
    cpu.update_mode();
    cpu.gpr[kRbx] = 1;
    CHECK(machine.run(kJumpGate) == 14);  // it would change
    CHECK(machine.get<u16>(0x200000) == 0x1230);
}
