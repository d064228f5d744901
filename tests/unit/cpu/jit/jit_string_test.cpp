// SPDX-License-Identifier: MIT
// String instructions translated against interpreted: single and repeated, every size, direction and overlap,
// on one page and across pages. (The asm guests count exactly, where repeats are always the interpreter's.)
#include <random>

#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kArea = SimdMachine::kData;
constexpr unsigned kAreaBytes = 4 * kPageSize;

struct StringMachine : SimdMachine {
    explicit StringMachine(bool translate) {
        budget = 100000;
        memory.write(Gpa(kArea - kAreaBytes),
                     std::vector<u8>(3 * kAreaBytes));  // no page has to be waited for
        if (translate) REQUIRE(cpu->enable_jit(1));
    }
    int run_from(const std::vector<u8>& code, const u64 (&gpr)[16], const std::vector<u8>& data) {
        std::copy(gpr, gpr + 16, cpu->gpr);
        cpu->set_rflags(2);
        memory.write(Gpa(kArea), data);
        return run(code);
    }
    std::vector<u8> data() {
        std::vector<u8> bytes(kAreaBytes);
        memory.read(Gpa(kArea), bytes);
        return bytes;
    }
};

}  // namespace

TEST_CASE("jit: string instructions give translated what they give interpreted") {
    StringMachine interpreted(false), translated(true);
    std::mt19937_64 random(7);
    static constexpr u8 kOpcodes[] = {0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF};
    for (u8 opcode : kOpcodes) {
        for (unsigned round = 0; round < 160; ++round) {
            const unsigned size_choice = random() % 3, repeat = random() % 3;
            std::vector<u8> code;
            if (random() % 5 == 0) code.push_back(0xFD);  // std
            if (size_choice == 1 && (opcode & 1)) code.push_back(0x66);
            if (repeat) code.push_back(repeat == 1 ? 0xF3 : 0xF2);
            if (size_choice == 2 && (opcode & 1)) code.push_back(0x48);
            code.push_back(opcode);
            code.insert(code.end(), {0x0F, 0x92, 0xC2, 0xFC});  // setb dl; cld
            u64 gpr[16];
            for (u64& g : gpr) g = random();
            if (random() % 2) gpr[kRax] = 0x7777777777777777;
            static constexpr u64 kCounts[] = {0, 1, 2, 7, 64, 500, 512, 4096, 5000};
            gpr[kRcx] = kCounts[random() % 9] >> (opcode & 1 ? 1 + size_choice : 0);
            gpr[kRsi] = kArea + 5000 + random() % 3000;
            gpr[kRdi] = random() % 2 ? gpr[kRsi] - 24 + random() % 48
                                     : kArea + 5000 + random() % 3000;  // overlapping, or where it falls
            if (random() % 4 == 0) gpr[kRdi] = kArea + kPageSize, gpr[kRsi] = kArea + 2 * kPageSize;
            std::vector<u8> data(kAreaBytes);
            for (u8& b : data) b = random() % 8 ? u8{0x77} : static_cast<u8>(random());
            INFO("opcode " << unsigned{opcode} << ", round " << round << ", count " << gpr[kRcx]);
            int fault = interpreted.run_from(code, gpr, data);
            REQUIRE(fault == SimdMachine::kNoFault);
            CHECK(translated.run_from(code, gpr, data) == fault);
            for (unsigned i = 0; i < 16; ++i) CHECK(translated.cpu->gpr[i] == interpreted.cpu->gpr[i]);
            CHECK(translated.cpu->rflags() == interpreted.cpu->rflags());
            CHECK((translated.data() == interpreted.data()));
        }
    }
}

TEST_CASE("jit: a repeated store that meets the end of memory stops at the page fault") {
    for (bool translate : {false, true}) {
        StringMachine m(translate);
        m.cpu->gpr[kRdi] = 0x400000 - 24;
        m.cpu->gpr[kRcx] = 100;
        m.cpu->gpr[kRax] = 0x55;
        CHECK(m.run({0xF3, 0xAA}) == 14);
        CHECK(m.cpu->gpr[kRdi] == 0x400000);
        CHECK(m.cpu->gpr[kRcx] == 76);
        CHECK(m.cpu->cr2 == 0x400000);
        CHECK(m.get<u8>(0x3FFFFF) == 0x55);
    }
}
