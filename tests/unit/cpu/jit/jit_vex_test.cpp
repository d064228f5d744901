// SPDX-License-Identifier: MIT
// Every VEX row that the translator may emit again, in random programs among legacy SSE instructions, cells
// and VZEROUPPER: run interpreted and translated from equal states, which must stay equal.
#include <algorithm>
#include <random>

#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

constexpr u64 kData = SimdMachine::kData;
constexpr unsigned kDataBytes = 2 * kPageSize;

struct State {
    VectorRegister vec[16];
    u64 gpr[16], rflags;
    u32 mxcsr;
    std::vector<u8> data;
};

struct VexMachine : SimdMachine {
    explicit VexMachine(bool translate) {
        cpu->xcr0 = 7;
        cpu->update_mode();
        if (translate) REQUIRE(cpu->enable_jit(1));
    }
    void load(const State& s) {
        std::copy(std::begin(s.vec), std::end(s.vec), cpu->vec);
        std::copy(std::begin(s.gpr), std::end(s.gpr), cpu->gpr);
        cpu->set_rflags(s.rflags);
        cpu->load_mxcsr(s.mxcsr);
        memory.write(Gpa(kData), s.data);
    }
    State save() {
        State s;
        std::copy(cpu->vec, cpu->vec + 16, s.vec);
        std::copy(cpu->gpr, cpu->gpr + 16, s.gpr);
        s.rflags = cpu->rflags();
        s.mxcsr = cpu->mxcsr;
        s.data.resize(kDataBytes);
        memory.read(Gpa(kData), s.data);
        return s;
    }
};

class Programs {
 public:
    explicit Programs(u64 seed) : random_(seed) {}
    u64 number(u64 below) { return random_() % below; }
    u64 bits() { return random_(); }

    /// One encoding of the row; RBX, the base of memory operands, and RSP are never written.
    std::vector<u8> vex(const OpcodeRow& row) {
        bool memory = row.modrm != modrm::RR && (row.modrm & 0xF0) != 0x30 &&
                      (row.modrm == modrm::M || (row.modrm & 0xF0) == 0x20 || number(2));
        unsigned reg = general_in(row, true) ? safe_general() : static_cast<unsigned>(number(16)),
                 rm = general_in(row, false) ? safe_general() : static_cast<unsigned>(number(16));
        if (row.modrm >= 0x10 && row.modrm < 0x100) reg = row.modrm & 7;
        if (memory) rm = kRbx;
        bool l = row.attributes & aL1 || (!(row.attributes & aL0) && number(2)),
             w = row.attributes & aW1 || (!(row.attributes & aW0) && number(2));
        unsigned vvvv = row.attributes & aNoVvvv ? 0 : static_cast<unsigned>(number(16));
        static constexpr u8 kPp[] = {0, 0, 1, 2, 3};
        std::vector<u8> code = {
            0xC4,
            static_cast<u8>((reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | static_cast<u8>(row.map)),
            static_cast<u8>((w ? 0x80 : 0) | (~vvvv & 15) << 3 | (l ? 4 : 0) |
                            kPp[static_cast<unsigned>(row.prefix)]),
            row.opcode, static_cast<u8>((memory ? 0x80 : 0xC0) | (reg & 7) << 3 | (rm & 7))};
        if (memory) {
            u32 disp = static_cast<u32>(number(kDataBytes - 64));
            if (row.attributes & aAligned) disp &= ~31u;
            for (unsigned i = 0; i < 4; ++i) code.push_back(static_cast<u8>(disp >> (8 * i)));
        }
        for (Operand o : row.operands) {
            if (o == Operand::Ib || o == Operand::Lx) code.push_back(static_cast<u8>(bits()));
        }
        return code;
    }
    std::vector<u8> between() {
        unsigned a = static_cast<unsigned>(number(8)), b = static_cast<unsigned>(number(8));
        u8 both = static_cast<u8>(0xC0 | a << 3 | b);
        switch (number(8)) {
            case 0: return {0x66, 0x0F, 0xFE, both};  // paddd: the upper half stays
            case 1:
                return {0x0F, 0x10, 0x83, static_cast<u8>(bits()), static_cast<u8>(number(16)),
                        0,    0};               // movups xmm0, [rbx + ..]
            case 2: return {0xC5, 0xF8, 0x77};  // vzeroupper
            case 3:
                return number(4) ? std::vector<u8>{0x9C, 0x58}
                                 : std::vector<u8>{0xC5, 0xFC, 0x77};  // a cell (pushf, pop rax); vzeroall
            case 4: return {0x48, 0x39, 0xC8};                         // cmp rax, rcx
            case 5: return {0x0F, 0x92, 0xC2};                         // setb dl
            case 6:
                return {0x48, 0x03, 0x83, static_cast<u8>(bits()), static_cast<u8>(number(16)),
                        0,    0};                // add rax, [rbx + ..]
            default: return {0x0F, 0x44, 0xC1};  // cmove eax, ecx
        }
    }
    State state() {
        State s;
        for (VectorRegister& v : s.vec) {
            for (u64& q : v.qword) q = number(3) ? bits() : u64{0x3FF0000000000000} + (bits() >> 12);
        }
        for (u64& g : s.gpr) g = bits();
        s.gpr[kRbx] = kData;
        s.rflags = 2 | (bits() & rflags::kArithmetic);
        s.mxcsr = 0x1F80;
        s.data.resize(kDataBytes);
        for (u8& b : s.data) b = static_cast<u8>(bits());
        return s;
    }

 private:
    static bool general_in(const OpcodeRow& row, bool reg_field) {
        for (Operand o : row.operands) {
            bool in_reg = o == Operand::Gd || o == Operand::Gy,
                 in_rm = o == Operand::Ed || o == Operand::Ey || o == Operand::Rd;
            if (reg_field ? in_reg : in_rm) return true;
        }
        return false;
    }
    unsigned safe_general() {
        unsigned g;
        do g = static_cast<unsigned>(number(16));
        while (g == kRbx || g == kRsp);
        return g;
    }
    std::mt19937_64 random_;
};

bool is_vector_row(const OpcodeRow& row) {
    bool family = row.feature == OpFeature::Avx || row.feature == OpFeature::Avx2 ||
                  row.feature == OpFeature::Fma || row.feature == OpFeature::F16c;
    return family && (row.attributes & aNative);
}

void check_equal(const State& a, const State& b) {
    for (unsigned i = 0; i < 16; ++i) {
        INFO("register " << i);
        CHECK(memcmp(&a.vec[i], &b.vec[i], 32) == 0);
        CHECK(a.gpr[i] == b.gpr[i]);
    }
    CHECK(a.rflags == b.rflags);
    CHECK(a.mxcsr == b.mxcsr);
    CHECK(a.data == b.data);
}

}  // namespace

TEST_CASE("jit: every VEX row gives translated what it gives interpreted") {
    if (!host_runs_v3()) {
        WARN("this host has no AVX2: not tested");
        return;
    }
    VexMachine interpreted(false), translated(true);
    Programs programs(1);
    for (unsigned number = 0; number < kOpcodeRowCount; ++number) {
        const OpcodeRow& row = kOpcodeRows[number];
        if (!is_vector_row(row)) continue;
        for (unsigned round = 0; round < 4; ++round) {
            std::vector<u8> code;
            auto append = [&](const std::vector<u8>& more) {
                code.insert(code.end(), more.begin(), more.end());
            };
            for (unsigned i = 0; i < 3; ++i) {
                if (programs.number(2)) append(programs.between());
                append(programs.vex(row));
                append(programs.between());
            }
            State start = programs.state();
            INFO(row.name << ", row " << number << ", round " << round);
            interpreted.load(start);
            translated.load(start);
            int fault = interpreted.run(code);
            CHECK(translated.run(code) == fault);
            CHECK(fault == SimdMachine::kNoFault);
            check_equal(interpreted.save(), translated.save());
        }
    }
    CHECK(translated.cpu->jit->counters().blocks > 0);
}

TEST_CASE("jit: VEX arithmetic, loads and VZEROUPPER have host code of their own") {
    if (!host_runs_v3()) return;
    VexMachine m(true);
    m.load(Programs(4).state());
    CHECK(m.run({0x90}) == SimdMachine::kNoFault);
    const u64 cells = m.cpu->jit->counters().cells;  // HLT's, and what NOP needs
    CHECK(m.run({0xC5, 0xE5, 0xFE, 0xD4, 0xC5, 0xFE, 0x6F, 0x0B, 0xC5, 0xF8, 0x77}) ==
          SimdMachine::kNoFault);  // vpaddd, vmovdqu, vzeroupper
    CHECK(m.cpu->jit->counters().cells - cells <= cells);
}

TEST_CASE("jit: a page fault in a VEX load leaves every register, upper halves too") {
    if (!host_runs_v3()) return;
    VexMachine m(true);
    State start = Programs(2).state();
    start.gpr[kRax] = 0x400000 - 16;  // the last 16 bytes of mapped memory
    m.load(start);
    // vpaddd ymm2, ymm3, ymm4; vpaddd ymm1, ymm2, [rax]
    CHECK(m.run({0xC5, 0xE5, 0xFE, 0xD4, 0xC5, 0xED, 0xFE, 0x08}) == 14);
    for (unsigned i = 0; i < 16; ++i) {
        if (i != 2) CHECK(memcmp(&m.cpu->vec[i], &start.vec[i], 32) == 0);
    }
    for (unsigned i = 0; i < 8; ++i)
        CHECK(m.cpu->vec[2].dword[i] == start.vec[3].dword[i] + start.vec[4].dword[i]);
}

TEST_CASE("jit: an unaligned access of an aligned row faults, first or among others of its page") {
    if (!host_runs_v3()) return;
    VexMachine m(true);
    State start = Programs(3).state();
    m.load(start);
    CHECK(m.run({0xC5, 0xFC, 0x28, 0x4B, 0x10}) == 13);  // vmovaps ymm1, [rbx + 16]
    m.load(start);
    CHECK(m.run({0xC5, 0xFC, 0x28, 0x4B, 0x20, 0xC5, 0xFC, 0x28, 0x53, 0x30}) ==
          13);  // [rbx + 32], [rbx + 48]
    CHECK(memcmp(&m.cpu->vec[1], start.data.data() + 32, 32) == 0);
    m.load(start);
    CHECK(m.run({0x0F, 0x28, 0x4B, 0x08}) == 13);  // movaps xmm1, [rbx + 8]
    CHECK(m.run({0x0F, 0x28, 0x4B, 0x10}) == SimdMachine::kNoFault);
}
