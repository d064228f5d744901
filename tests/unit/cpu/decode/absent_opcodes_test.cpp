// SPDX-License-Identifier: MIT
// Encodings of features that no model offers: #UD and a count (cpu/opcodes/absent.def).
#include "cpu/decode/absent_opcodes.h"

#include "core/log.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

u8 modrm_byte(u16 constraint) {
    if (constraint & 0x100) return static_cast<u8>(constraint);
    if (constraint == modrm::M) return 0;
    u8 reg = static_cast<u8>((constraint & 7) << 3);
    if (constraint < 0x10) return 0xC0;
    return (constraint & 0xF0) == 0x20 ? reg : static_cast<u8>(0xC0 | reg);
}

/// The row's first opcode, or its last one.
std::vector<u8> encoding_of(const AbsentRow& row, bool last, bool l, bool w) {
    std::vector<u8> bytes;
    unsigned map = static_cast<unsigned>(row.map);
    if (row.vex) {
        u8 pp = row.prefix == OpPrefix::P66   ? 1
                : row.prefix == OpPrefix::PF3 ? 2
                : row.prefix == OpPrefix::PF2 ? 3
                                              : 0;
        bytes = {0xC4, static_cast<u8>(0xE0 | map),
                 static_cast<u8>((w ? 0x80 : 0) | 0x78 | (l ? 4 : 0) | pp)};
    } else {
        if (row.prefix == OpPrefix::P66) bytes.push_back(0x66);
        if (row.prefix == OpPrefix::PF3) bytes.push_back(0xF3);
        if (row.prefix == OpPrefix::PF2) bytes.push_back(0xF2);
        if (map > 0) bytes.push_back(0x0F);
        if (map == 2) bytes.push_back(0x38);
        if (map == 3) bytes.push_back(0x3A);
    }
    bytes.push_back(last ? row.last : row.first);
    if (row.modrm != modrm::NO) bytes.push_back(modrm_byte(row.modrm));
    bytes.resize(16, 0);
    return bytes;
}

/// Whether some value of VEX.L and VEX.W leads to row `number` and none to an instruction that exists in its
/// place by mistake.
bool reaches(const SimdMachine& machine, unsigned number, bool last) {
    const AbsentRow& row = kAbsentRows[number];
    for (unsigned lw = 0; lw < (row.vex ? 4u : 1u); ++lw) {
        std::vector<u8> bytes = encoding_of(row, last, lw & 1, lw & 2);
        Insn insn;
        DecodeStatus status =
            decode_insn({machine.cpu->mode, 0x1000, &machine.model}, bytes.data(), 16, insn);
        if (status == DecodeStatus::kUndefined && insn.imm == static_cast<i32>(number) + 1) return true;
    }
    return false;
}

}  // namespace

TEST_CASE(
    "absent: every row is the answer for the encodings it names, on a processor with all that there is") {
    SimdMachine machine;
    for (unsigned number = 0; number < kAbsentRowCount; ++number) {
        INFO(kAbsentRows[number].name << " (" << kAbsentRows[number].feature << ")");
        CHECK(reaches(machine, number, false));
        CHECK(reaches(machine, number, true));
    }
}

TEST_CASE("absent: an instruction of a missing feature raises #UD and is counted") {
    SimdMachine machine;
    unsigned long vmx = guest_oddity_count("no-VMX"), avx512 = guest_oddity_count("no-AVX-512 or APX");
    CHECK(machine.run({0x0F, 0x01, 0xC1}) == 6);                    // VMCALL
    CHECK(machine.run({0x0F, 0x01, 0xC4}) == 6);                    // VMXOFF
    CHECK(machine.run({0x62, 0xF1, 0x7C, 0x48, 0x58, 0xC0}) == 6);  // VADDPS ZMM0, ZMM0, ZMM0
    CHECK(machine.run({0x0F, 0xAA}) == 6);                          // RSM outside SMM
    CHECK(machine.cpu->counters.absent_instructions == 4);
    CHECK(guest_oddity_count("no-VMX") == vmx + 2);
    CHECK(guest_oddity_count("no-AVX-512 or APX") == avx512 + 1);
}

TEST_CASE("absent: what a processor without the feature executes as NOP stays NOP") {
    SimdMachine machine;
    machine.cpu->gpr[kRax] = SimdMachine::kData;
    for (std::vector<u8> bytes :
         {std::vector<u8>{0xF3, 0x0F, 0x1E, 0xFA},
          {0xF3, 0x48, 0x0F, 0x1E, 0xC8},
          {0xF3, 0x0F, 0x1B, 0x00},
          {0x0F, 0x1C, 0x00},
          {0x0F, 0x18, 0x38},
          {0xF3, 0x0F, 0x09}}) {  // ENDBR64, RDSSPQ, BNDMK, CLDEMOTE, PREFETCHIT0, WBNOINVD
        CHECK(machine.run(bytes) == SimdMachine::kNoFault);
    }
    CHECK(machine.cpu->counters.absent_instructions == 0);
}

TEST_CASE("absent: undefined encodings and disallowed LOCK are no missing feature") {
    SimdMachine machine;
    CHECK(machine.run({0x0F, 0x0B}) == 6);
    CHECK(machine.run({0x0F, 0x04}) == 6);
    CHECK(machine.run({0xF0, 0x83, 0xC0, 0x05}) == 6);  // LOCK ADD EAX, 5: the immediate is no row's number
    CHECK(machine.cpu->counters.absent_instructions == 0);
}

TEST_CASE("absent: 62 before a memory operand is BOUND outside 64-bit mode") {
    SimdMachine machine;
    u64 mode = mode_bits::kProtected | mode_bits::kCode32 | mode_bits::kStack32;
    u8 bytes[16] = {0x62, 0x00};
    Insn insn;
    CHECK(decode_insn({mode, 0x1000, &machine.model}, bytes, 16, insn) == DecodeStatus::kOk);
    bytes[1] = 0xF1;
    CHECK(decode_insn({mode, 0x1000, &machine.model}, bytes, 16, insn) == DecodeStatus::kUndefined);
    CHECK(insn.imm != 0);
}
