// SPDX-License-Identifier: MIT
// Pages of decoded code that move to another linear address (cpu/blocks/block_placement.cpp): what depends on
// RIP moves along, what others know about the old address is not used any more.
#include "cpu/jit/jit.h"

#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

/// Three pages of code, the last with a datum, mapped at many linear addresses.
struct AliasedMachine : SimdMachine {
    static constexpr u64 kPages = 0x20000, kTable = 0xB000, kFirst = 0x400000;
    static constexpr unsigned kPlaces = 100;
    static constexpr u64 kEnd = 0x100;  ///< of each page, but only the first's is run from elsewhere
    static constexpr u64 kStep = 0x12345678, kDatum = 0x1111;

    explicit AliasedMachine(bool translate) {
        if (translate) REQUIRE(cpu->enable_jit(1));
        put(0x5010, u64{kTable | 3});
        for (u64 place = 0; place < kPlaces; ++place) {
            for (u64 page = 0; page < 3; ++page)
                put(kTable + (place * 4 + page) * 8, kPages + page * kPageSize + 3);
        }
        const std::vector<u8> first = {
            0xB9, 0x03, 0x00, 0x00, 0x00,              // mov ecx, 3
            0x48, 0x03, 0x05, 0xFC, 0x1F, 0x00, 0x00,  // loop: add rax, [rip + datum]
            0x83, 0xE9, 0x01,                          // sub ecx, 1
            0x85, 0xC9,                                // test ecx, ecx
            0x75, 0xF2,                                // jne loop
            0x48, 0x8D, 0x1D, 0x00, 0x00, 0x00, 0x00,  // lea rbx, [rip]
            0xE9, 0xDD, 0x0F, 0x00, 0x00,              // jmp crossing
        };
        const std::vector<u8> crossing = {
            0x0F, 0x85, 0x00, 0x00, 0x00, 0x00,        // jne +0, not taken
            0x48, 0x81, 0xC2, 0x78, 0x56, 0x34, 0x12,  // second: add rdx, 12345678H
            0x48, 0xFF, 0xC6,                          // inc rsi
            0x48, 0x8D, 0x3D, 0x00, 0x00, 0x00, 0x00,  // lea rdi, [rip]
            0xE9, 0xE5, 0x0F, 0x00, 0x00,              // jmp second_crossing
        };
        memory.write(Gpa(kPages), first);
        memory.write(Gpa(kPages + 0xFFC), crossing);
        memory.write(Gpa(kPages + 0x1FFD),
                     std::vector<u8>{0xE9, 0x0E, 0x00, 0x00, 0x00});  // second_crossing: jmp third
        put(kPages + 0x2008, kDatum);
        memory.write(Gpa(kPages + 0x2010), std::vector<u8>{0xE9, 0xEB, 0xE0, 0xFF, 0xFF});  // third: jmp end
        for (u64 page = 0; page < 3; ++page) put(kPages + page * kPageSize + kEnd, u8{0xF4});  // end: hlt
    }

    static u64 base(unsigned place) { return kFirst + place * 4 * kPageSize; }

    void run_at(unsigned place) {
        for (unsigned g : {kRax, kRbx, kRdx, kRsi, kRdi}) cpu->gpr[g] = 0;
        cpu->rip = base(place);
        run_to_halt();
        CHECK(cpu->rip == base(place) + kEnd + 1);
        CHECK(cpu->gpr[kRax] == 3 * kDatum);
        CHECK(cpu->gpr[kRbx] == base(place) + 26);
        CHECK(cpu->gpr[kRdx] == kStep);
        CHECK(cpu->gpr[kRsi] == 1);
        CHECK(cpu->gpr[kRdi] == base(place) + 0x1013);
    }

    /// One page alone.
    void run_page_at(unsigned place, u64 page) {
        cpu->rip = base(place) + page * kPageSize + kEnd;
        run_to_halt();
    }

    /// Other programs run for a while.
    void idle() {
        for (u64 other = 1; other <= 40; ++other) cpu->blocks->enter_space(0x100000 + other * kPageSize);
    }
};

}  // namespace

TEST_CASE("code pages: blocks follow their page to a new linear address") {
    for (bool translate : {false, true}) {
        AliasedMachine machine(translate);
        for (unsigned place = 0; place < AliasedMachine::kPlaces; ++place) {
            for (int i = 0; i < 3; ++i) machine.run_at(place);
            machine.idle();
        }
        CHECK(machine.cpu->blocks->moves() == 3 * (AliasedMachine::kPlaces - 1));
        CHECK(machine.cpu->blocks->block_count() < 14);
        for (unsigned place = AliasedMachine::kPlaces; place-- > 0;) machine.run_at(place);
    }
}

TEST_CASE("code pages: a link does not follow a page elsewhere") {
    for (bool translate : {false, true}) {
        for (u64 moved :
             {1, 0}) {  // what lies behind a conditional jump across pages; where a jump to another page goes
            AliasedMachine machine(translate);
            for (int i = 0; i < 3; ++i) machine.run_at(0);
            machine.idle();
            machine.run_page_at(1, moved);
            CHECK(machine.cpu->blocks->moves() == 1);
            machine.cpu->blocks->enter_space(0x5000);  // else it would come back
            machine.run_at(0);
            machine.run_at(0);
        }
    }
}

TEST_CASE("code pages: blocks stay where a program ran them lately") {
    AliasedMachine machine(false);
    machine.cpu->blocks->enter_space(0x1000);
    machine.run_at(0);
    machine.cpu->blocks->enter_space(0x2000);
    machine.run_at(1);
    machine.cpu->blocks->enter_space(0x1000);
    machine.run_at(0);
    CHECK(machine.cpu->blocks->moves() == 0);
    machine.run_at(2);  // the same address space: where it was before, it is no more
    CHECK(machine.cpu->blocks->moves() == 3);
    machine.run_at(1);
    CHECK(machine.cpu->blocks->moves() == 3);
}

TEST_CASE("code pages: moved blocks die with their bytes") {
    for (bool translate : {false, true}) {
        AliasedMachine machine(translate);
        for (int i = 0; i < 3; ++i) machine.run_at(0);
        machine.idle();
        for (int i = 0; i < 3; ++i) machine.run_at(1);
        machine.memory.write(Gpa(AliasedMachine::kPages + 1), std::vector<u8>{5});  // mov ecx, 5
        machine.cpu->blocks->post_invalidate(Gpa(AliasedMachine::kPages).ppn(), 1, 1);
        machine.cpu->gpr[kRax] = 0;
        machine.cpu->rip = AliasedMachine::base(1);
        machine.run_to_halt();
        CHECK(machine.cpu->gpr[kRax] == 5 * AliasedMachine::kDatum);
    }
}
