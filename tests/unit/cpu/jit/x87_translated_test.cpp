// SPDX-License-Identifier: MIT
// x87 and MMX in translated code (cpu/jit) against the interpreter: the same code on two machines must leave
// the same state, the instruction and data pointers included.
#include <random>

#include "cpu/jit/jit.h"
#include "tests/unit/cpu/ops/simd_fixture.h"

using namespace shadowbox;

namespace {

using Bytes = std::vector<u8>;
constexpr u64 kData = SimdMachine::kData, kEdge = 0x400000;  ///< first address that is not mapped

bool same_x87(const X87State& a, const X87State& b) {
    for (unsigned n = 0; n < 8; ++n) {
        if (a.st[n].significand != b.st[n].significand || a.st[n].sign_exponent != b.st[n].sign_exponent)
            return false;
    }
    return a.control == b.control && a.status == b.status && a.empty == b.empty && a.opcode == b.opcode &&
           a.instruction_pointer == b.instruction_pointer && a.data_pointer == b.data_pointer;
}

std::string story(const X87State& f) {
    std::string text =
        fmt::format("control {:04x} status {:04x} empty {:02x} fop {:03x} fip {:x} fdp {:x}\n", f.control,
                    f.status, f.empty, f.opcode, f.instruction_pointer, f.data_pointer);
    for (const Float80& value : f.st)
        text += fmt::format("  {:04x} {:016x}\n", value.sign_exponent, value.significand);
    return text;
}

/// An interpreting and a translating machine in the same state.
struct Both {
    SimdMachine plain, translated;

    Both() { REQUIRE(translated.cpu->enable_jit(1)); }

    template <class F>
    void each(F f) {
        f(plain), f(translated);
    }

    /// The vector that stopped both, or kNoFault.
    int run(const Bytes& code) {
        each([](SimdMachine& m) { m.cpu->mmu.flush_all(); });
        int a = plain.run(code), b = translated.run(code);
        std::string text;
        for (u8 byte : code) text += fmt::format("{:02x} ", byte);
        INFO("code " << text << "\ninterpreted " << a << ": " << story(plain.cpu->x87) << "translated " << b
                     << ": " << story(translated.cpu->x87));
        REQUIRE(a == b);
        REQUIRE(same_x87(plain.cpu->x87, translated.cpu->x87));
        for (unsigned g = 0; g < 16; ++g) {
            INFO("register " << g);
            REQUIRE(plain.cpu->gpr[g] == translated.cpu->gpr[g]);
        }
        REQUIRE(plain.cpu->rflags() == translated.cpu->rflags());
        for (unsigned n = 0; n < 16; ++n) {
            INFO("vector register " << n);
            REQUIRE(!memcmp(&plain.cpu->vec[n], &translated.cpu->vec[n], 16));
        }
        for (u64 page : {kData, kData + 0x1000, kEdge - 0x1000}) {
            INFO("memory at " << page);
            REQUIRE(plain.get<std::array<u8, 4096>>(page) == translated.get<std::array<u8, 4096>>(page));
        }
        REQUIRE(translated.cpu->jit->counters().instructions > 0);
        return a;
    }
};

class Random {
 public:
    explicit Random(u64 seed) : engine_(seed) {}
    u64 bits() { return engine_(); }
    unsigned below(unsigned n) { return static_cast<unsigned>(engine_() % n); }

    Float80 real() {
        static constexpr u64 kSignificands[] = {
            0, 1, 1ull << 63, 0xC000000000000000, ~0ull, 0xA000000000000000, 0x4000000000000000};
        static constexpr u16 kExponents[] = {0,      1,      0x3FFF, 0x4000, 0x4005, 0x3FF0,
                                             0x403E, 0x7FFE, 0x7FFF, 0x3C00, 0x43FF};
        u64 significand = below(3) ? bits() | 1ull << 63 : kSignificands[below(7)];
        u16 exponent = below(3) ? static_cast<u16>(0x3FFF - 8 + below(20)) : kExponents[below(11)];
        return {significand, static_cast<u16>(exponent | (below(2) ? 0x8000 : 0))};
    }
    X87State state(bool all_masked) {
        X87State f;
        for (Float80& value : f.st) value = real();
        f.empty = static_cast<u8>(below(3) ? bits() & bits() : bits());
        f.control = static_cast<u16>((bits() & 0xF00) | 0x40 | (all_masked ? 0x3F : bits() & 0x3F));
        f.status = static_cast<u16>(bits() & (0x4700 | 0x3800 | (all_masked ? 0x7F : 0x40)));
        f.instruction_pointer = bits();
        f.data_pointer = bits();
        return f;
    }

 private:
    std::mt19937_64 engine_;
};

/// Any x87 encoding, its operand by one of several address forms. Not those that load a control word at
/// random.
void add_x87(Random& r, Bytes& code) {
    for (;;) {
        u8 opcode = static_cast<u8>(0xD8 + r.below(8)), modrm = static_cast<u8>(r.bits());
        unsigned reg = modrm >> 3 & 7;
        if (modrm >= 0xC0) {
            code.insert(code.end(), {opcode, modrm});
            return;
        }
        if ((opcode == 0xD9 && (reg == 4 || reg == 5)) || (opcode == 0xDD && reg == 4)) continue;
        u8 disp = static_cast<u8>(r.below(0x70));
        switch (r.below(12)) {
            case 2:
                code.insert(code.end(), {0x64, opcode, static_cast<u8>(0x46 | reg << 3), disp});
                return;  // [fs:rsi + disp8]
            case 3:
                code.insert(code.end(), {0x43, opcode, static_cast<u8>(0x44 | reg << 3), 0xF7, disp});
                return;  // [r15 + r14 * 8 + disp8]
            case 4:
                code.insert(code.end(), {0x67, opcode, static_cast<u8>(0x47 | reg << 3), disp});
                return;  // [edi + disp8]
            case 5:
                code.insert(code.end(),
                            {opcode, static_cast<u8>(0x04 | reg << 3), 0x25, disp, 0x01, 0x01, 0});
                return;  // [0x10100 + disp8]
            case 0: code.insert(code.end(), {opcode, static_cast<u8>(0x44 | reg << 3), 0x8F, disp}); return;
            case 1:
                code.insert(code.end(),
                            {opcode, static_cast<u8>(0x43 | reg << 3), static_cast<u8>(disp & 15)});
                return;
            default: code.insert(code.end(), {opcode, static_cast<u8>(0x47 | reg << 3), disp}); return;
        }
    }
}

/// Something between x87 instructions.
void add_other(Random& r, Bytes& code) {
    static const std::vector<Bytes> kOthers = {
        {0x48, 0x83, 0xC7, 0x08},              // add rdi, 8
        {0x48, 0x8D, 0x7F, 0xF8},              // lea rdi, [rdi - 8]
        {0x48, 0xFF, 0xC1},                    // inc rcx
        {0x49, 0x83, 0xC7, 0x08},              // add r15, 8
        {0x49, 0xFF, 0xCE},                    // dec r14
        {0x48, 0x0F, 0xAE, 0x86, 0, 0, 0, 0},  // fxsave64 [rsi]
        {0x0F, 0xAE, 0x86, 0, 2, 0, 0},        // fxsave [rsi + 512]
        {0xD9, 0x6D, 0x00},                    // fldcw [rbp]
        {0xD9, 0x6D, 0x02},                    // fldcw [rbp + 2]
        {0xDF, 0xE0},
        {0x9B},  // fnstsw ax; fwait
        {0x9E},
        {0x9F},                    // sahf; lahf
        {0x48, 0x39, 0xC1},        // cmp rcx, rax
        {0x66, 0x0F, 0x58, 0xC1},  // addpd xmm0, xmm1
        {0x48, 0x8B, 0x17},        // mov rdx, [rdi]
        {0x90},
    };
    const Bytes& other = kOthers[r.below(static_cast<unsigned>(kOthers.size()))];
    code.insert(code.end(), other.begin(), other.end());
}

/// MMX with registers, [rdi + disp8], and what moves between MMX, general and XMM registers.
void add_mmx(Random& r, Bytes& code) {
    static constexpr u8 kOpcodes[] = {0x60, 0x61, 0x62, 0x63, 0x64, 0x67, 0x69, 0x6A, 0x6B, 0x6F, 0x74, 0x76,
                                      0xD1, 0xD4, 0xD5, 0xDB, 0xDC, 0xDF, 0xE0, 0xE3, 0xE5, 0xE8, 0xEB, 0xEE,
                                      0xEF, 0xF3, 0xF4, 0xF5, 0xF6, 0xF8, 0xFB, 0xFD, 0xFE, 0x7F, 0x6E, 0x7E};
    u8 regs = static_cast<u8>(r.bits() & 0x3F);
    switch (r.below(12)) {
        case 0: code.insert(code.end(), {0x0F, 0x77}); return;  // emms
        case 1:
            code.insert(code.end(), {0x0F, 0x70, static_cast<u8>(0xC0 | regs), static_cast<u8>(r.bits())});
            return;  // pshufw
        case 2:
            code.insert(code.end(),
                        {0x0F, 0x73, static_cast<u8>(0xD0 | (regs & 7)), static_cast<u8>(r.below(70))});
            return;                                                                                 // psrlq
        case 3: code.insert(code.end(), {0xF3, 0x0F, 0xD6, static_cast<u8>(0xC0 | regs)}); return;  // movq2dq
        case 4: code.insert(code.end(), {0xF2, 0x0F, 0xD6, static_cast<u8>(0xC0 | regs)}); return;  // movdq2q
        case 5:
            code.insert(code.end(), {0x0F, 0xD7, static_cast<u8>(0xC2 | (regs & 5))});
            return;  // pmovmskb eax, mm
        case 6:
            code.insert(code.end(), {0x66, 0x0F, 0x2A, static_cast<u8>(0xC0 | regs)});
            return;  // cvtpi2pd
        case 7:
            code.insert(code.end(), {0x48, 0x0F, 0x6E, static_cast<u8>(0xC0 | (regs & 0x38))});
            return;  // movq mm, rax
        default: break;
    }
    u8 opcode = kOpcodes[r.below(sizeof kOpcodes)];
    if (opcode == 0x7E || r.below(3))
        code.insert(code.end(),
                    {0x0F, opcode, static_cast<u8>(0x47 | (regs & 0x38)), static_cast<u8>(r.below(0x70))});
    else if (opcode == 0x6E)
        code.insert(code.end(), {0x0F, opcode, static_cast<u8>(0xC0 | (regs & 0x38))});  // movd mm, eax
    else
        code.insert(code.end(), {0x0F, opcode, static_cast<u8>(0xC0 | regs)});
}

enum class With { kX87, kX87AndMmx };

void run_random(u64 seed, unsigned rounds, bool all_masked, With with) {
    Both both;
    Random r(seed);
    for (unsigned round = 0; round < rounds; ++round) {
        std::array<u8, 0x200> data;
        for (unsigned at = 0; at < data.size(); at += 8) {
            u64 value = r.bits();
            if (r.below(3) == 0) value = r.real().significand;
            if (r.below(3) == 0)
                value = (value & 0x800FFFFFFFFFFFFF) | u64{0x3F0 + r.below(30)} << 52;  // a usual double
            memcpy(&data[at], &value, 8);
            if (r.below(4) == 0) {
                u16 exponent = r.real().sign_exponent;
                memcpy(&data[at], &exponent, 2);
            }
        }
        X87State f = r.state(all_masked);
        u64 flags = r.bits(), rax = r.bits(), rcx = r.below(8), control1 = (r.bits() & 0xFFC0) | 0x3F,
            control2 = r.below(6) ? control1 : r.bits();
        const bool at_edge = r.below(4) == 0;
        both.each([&](SimdMachine& m) {
            m.memory.write(Gpa(kData), data);
            m.memory.write(Gpa(kEdge - data.size()), data);
            m.memory.write(Gpa(kData + 0x1800), data);
            m.put(kData + 0x400, static_cast<u16>(control1));
            m.put(kData + 0x402, static_cast<u16>(control2));
            m.cpu->x87 = f;
            if (f.status & ~f.control & 0x3F) m.cpu->x87.status |= 0x8080;
            m.cpu->set_rflags((flags & rflags::kArithmetic) | rflags::kFixed);
            m.cpu->gpr[kRax] = rax;
            m.cpu->gpr[kRcx] = rcx;
            m.cpu->gpr[kRdi] = at_edge ? kEdge - 0xA0 : kData + 0x40;
            m.cpu->gpr[kRbx] = kEdge - 16;
            m.cpu->gpr[kRbp] = kData + 0x400;
            m.cpu->gpr[kRsi] = kData + 0x1000;
            m.cpu->gpr[kR14] = 3;
            m.cpu->gpr[kR15] = kData + 0x20;
            m.cpu->seg[kFs].base = 0x800;
        });
        Bytes code;
        for (unsigned n = 1 + r.below(24); n > 0; --n) {
            unsigned kind = r.below(8);
            if (kind == 0)
                add_other(r, code);
            else if (kind <= 3 && with == With::kX87AndMmx)
                add_mmx(r, code);
            else
                add_x87(r, code);
        }
        INFO("round " << round << " before: " << story(f));
        both.run(code);
    }
}

}  // namespace

TEST_CASE("x87 translated: random instructions with all exceptions masked leave the interpreter's state") {
    run_random(1, 6000, true, With::kX87);
}
TEST_CASE("x87 translated: random instructions under random masks leave the interpreter's state") {
    run_random(2, 2000, false, With::kX87);
}
TEST_CASE("x87 translated: MMX among x87 leaves the interpreter's state") {
    run_random(3, 3000, true, With::kX87AndMmx);
}

TEST_CASE("x87 translated: instructions run in emitted code, not in the interpreter's handlers") {
    Both both;
    both.each([](SimdMachine& m) {
        m.put(kData, 1.5);
        m.put(kData + 8, 2.25);
        m.cpu->gpr[kRdi] = kData;
    });
    u64 cells = both.translated.cpu->jit->counters().cells;
    // fld qword [rdi]; fadd qword [rdi+8]; fsin; fst qword [rdi+16]; fcomi st0, st0; fnstsw ax; fstp st0
    REQUIRE(both.run({0xDD, 0x07, 0xDC, 0x47, 0x08, 0xD9, 0xFE, 0xDD, 0x57, 0x10, 0xDB, 0xF0, 0xDF, 0xE0,
                      0xDD, 0xD8}) == SimdMachine::kNoFault);
    CHECK(both.translated.cpu->jit->counters().cells == cells + 1);  // HLT
}

TEST_CASE("x87 translated: a page fault in a store leaves the stack and the pointers as they were") {
    Both both;
    both.each([](SimdMachine& m) {
        m.put(kData, 1.5);
        m.cpu->gpr[kRdi] = kData;
        m.cpu->gpr[kRbx] = kEdge - 4;
    });
    // fld qword [rdi]; fld1; add rdi, 64; fstp tbyte [rbx]
    REQUIRE(both.run({0xDD, 0x07, 0xD9, 0xE8, 0x48, 0x83, 0xC7, 0x40, 0xDB, 0x3B}) ==
            static_cast<int>(Vector::kPF));
    const X87State& f = both.translated.cpu->x87;
    CHECK(f.top() == 6);
    CHECK(f.empty == 0x3F);
    CHECK(f.instruction_pointer == SimdMachine::kCode + 2);  // FLD1
    CHECK(f.data_pointer == kData);
}

TEST_CASE("x87 translated: FXSAVE behind x87 code in its block shows its tags and pointers") {
    Both both;
    both.each([](SimdMachine& m) {
        m.put(kData + 24, 1.5f);
        m.cpu->gpr[kRdi] = kData;
        m.cpu->gpr[kRsi] = kData + 0x1000;
    });
    // fld dword [rdi+24]; fld1; xor edi, edi; fxsave64 [rsi]
    REQUIRE(both.run({0xD9, 0x47, 0x18, 0xD9, 0xE8, 0x31, 0xFF, 0x48, 0x0F, 0xAE, 0x06}) ==
            SimdMachine::kNoFault);
    SimdMachine& m = both.translated;
    CHECK(m.get<u8>(kData + 0x1004) == 0xC0);
    CHECK(m.get<u64>(kData + 0x1008) == SimdMachine::kCode + 3);
    CHECK(m.get<u64>(kData + 0x1010) == kData + 24);
}

TEST_CASE("x87 translated: FLDCW in the middle of a block switches exceptions on and off") {
    Both both;
    both.each([](SimdMachine& m) {
        m.put(kData, u16{0x37B});  // zero divide unmasked
        m.put(kData + 2, u16{0x37F});
        m.cpu->gpr[kRdi] = kData;
    });
    // fld1; fldz; fldcw [rdi+2]; fdivp; fldcw [rdi]; nop: the flag was raised while masked, so unmasking
    // makes it pending
    REQUIRE(both.run({0xD9, 0xE8, 0xD9, 0xEE, 0xD9, 0x6F, 0x02, 0xDE, 0xF9, 0xD9, 0x2F, 0x90, 0xD9, 0xE8}) ==
            static_cast<int>(Vector::kMF));
    // fninit; fldcw [rdi]; fld1; fldz; fdivp: pending, taken by fwait
    REQUIRE(both.run({0xDB, 0xE3, 0xD9, 0x2F, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9, 0x9B}) ==
            static_cast<int>(Vector::kMF));
    CHECK((both.translated.cpu->x87.status & 0x84) == 0x84);
    // fninit; fldcw [rdi]; fldcw [rdi+2]; fld1; fldz; fdivp; fwait
    REQUIRE(both.run({0xDB, 0xE3, 0xD9, 0x2F, 0xD9, 0x6F, 0x02, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9, 0x9B}) ==
            SimdMachine::kNoFault);
    CHECK((both.translated.cpu->x87.status & 0x84) == 4);
}
