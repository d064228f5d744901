// SPDX-License-Identifier: MIT
// Every x87, MMX, SSE and crypto row that user code may run, on random operands (special values included),
// against the host CPU executing the same
// bytes. Exceptions are masked; flags, condition codes, tags and all registers are compared.
#if defined(__x86_64__)

#include <cpuid.h>

#include <random>
#include <string>

#include "cpu/decoder.h"
#include "cpu/opcode_row.h"
#include "native_run.h"
#include "simd_fixture.h"

using namespace shadowbox;

namespace {

struct Random {
    std::mt19937_64 engine{20240711};
    u64 operator()() { return engine(); }
    u64 below(u64 n) { return engine() % n; }

    u32 single() {
        static const u32 special[] = {0, 0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00001, 0x7F800001, 0xFFC00000,
                                      0xFF812345, 1, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x3F000000, 0x40200000, 0x4B000001, 0x4F000000, 0xDF000000};
        switch (below(4)) {
            case 0: return special[below(std::size(special))];
            case 1: return static_cast<u32>((*this)());
            default: return static_cast<u32>(((*this)() & 0x807FFFFF) | (100 + below(56)) << 23);
        }
    }
    u64 real() {
        static const u64 special[] = {0, 1ull << 63, 0x3FF0000000000000, 0xBFF0000000000000, 0x7FF0000000000000, 0xFFF0000000000000,
                                      0x7FF8000000000001, 0x7FF0000000000001, 1, 0x800FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF,
                                      0x3FE0000000000000, 0x4004000000000000, 0x41E0000000000000, 0xC3E0000000000000, 0x3690000000000001};
        switch (below(4)) {
            case 0: return special[below(std::size(special))];
            case 1: return (*this)();
            default: return ((*this)() & 0x800FFFFFFFFFFFFF) | (980 + below(100)) << 52;
        }
    }
    void extended(u8* to) {
        static const u64 significands[] = {0, 1, 0x8000000000000000, 0xC000000000000000, 0x8000000000000001, ~0ull, 0x7FFFFFFFFFFFFFFF};
        static const u16 exponents[] = {0, 1, 0x7FFF, 0x7FFE, 0x3FFF, 0x403E, 0x3FFE, 0x401E, 0x3FBE};
        u64 significand = (*this)();
        u16 sign_exponent = static_cast<u16>((*this)());
        switch (below(4)) {
            case 0:
                significand = significands[below(std::size(significands))];
                sign_exponent = static_cast<u16>(exponents[below(std::size(exponents))] | (sign_exponent & 0x8000));
                break;
            case 1: break;
            default:
                significand |= 1ull << 63;
                sign_exponent = static_cast<u16>((0x3FFF - 20 + below(84)) | (sign_exponent & 0x8000));
        }
        memcpy(to, &significand, 8);
        memcpy(to + 8, &sign_exponent, 2);
    }
    void fill(u8* to, unsigned size) {
        unsigned kind = static_cast<unsigned>(below(4));
        for (unsigned at = 0; at < size; at += 8) {
            u64 value = kind == 0 ? single() | static_cast<u64>(single()) << 32 : kind == 1 ? real() : kind == 2 ? below(70) : (*this)();
            memcpy(to + at, &value, 8);
        }
    }
};

bool names(const OpcodeRow& row, std::initializer_list<Operand> wanted) {
    for (Operand operand : row.operands) {
        for (Operand w : wanted) {
            if (operand == w) return true;
        }
    }
    return false;
}

bool family(const OpcodeRow& row) {
    switch (row.feature) {
        case OpFeature::X87: case OpFeature::Mmx: case OpFeature::Sse: case OpFeature::Sse2: case OpFeature::Sse3: case OpFeature::Ssse3:
        case OpFeature::Sse41: case OpFeature::Sse42: case OpFeature::Aes: case OpFeature::Pclmul: case OpFeature::Sha: return true;
        default: return false;
    }
}

bool host_runs(const OpcodeRow& row) {
    unsigned a, b, c = 0, d, b7 = 0, unused;
    __get_cpuid(1, &a, &b, &c, &d);
    __get_cpuid_count(7, 0, &a, &b7, &unused, &d);
    switch (row.feature) {
        case OpFeature::Ssse3: return c >> 9 & 1;
        case OpFeature::Sse41: return c >> 19 & 1;
        case OpFeature::Sse42: return c >> 20 & 1;
        case OpFeature::Aes: return c >> 25 & 1;
        case OpFeature::Pclmul: return c >> 1 & 1;
        case OpFeature::Sha: return b7 >> 29 & 1;
        default: return true;
    }
}

/// Undocumented or undefined outcomes that follow AMD's processors, with which they were compared.
bool vendor_dependent(const OpcodeRow& row) {
    for (const char* name : {"fstp1", "ffree", "ffreep", "emms", "cvtpi2ps", "fcmovb", "fcmove", "fcmovbe", "fcmovu", "fcmovnb", "fcmovne",
                             "fcmovnbe", "fcmovnu", "fcomi", "fcomip", "fucomi", "fucomip", "fprem", "fprem1", "fsin", "fcos", "fsincos",
                             "fptan", "fpatan", "f2xm1", "fyl2x", "fyl2xp1"}) {
        if (std::string(name) == row.name) return true;
    }
    return false;
}
bool host_is_amd() {
    unsigned a, b = 0, c, d;
    __get_cpuid(0, &a, &b, &c, &d);
    return b == 0x68747541;  // "Auth"
}

/// Random bytes that the row should match; the memory operand, if any, is [rdi].
std::vector<u8> encode(const OpcodeRow& row, Random& random) {
    std::vector<u8> bytes;
    if (row.prefix == OpPrefix::P66) bytes.push_back(0x66);
    if (row.prefix == OpPrefix::PF3) bytes.push_back(0xF3);
    if (row.prefix == OpPrefix::PF2) bytes.push_back(0xF2);
    unsigned kind = row.modrm >> 4;
    bool mem = row.modrm == modrm::M || kind == 2 || ((row.modrm == modrm::R || kind == 1) && random.below(2));
    u8 modrm_byte = static_cast<u8>(random());
    if (row.modrm & 0x100) modrm_byte = static_cast<u8>(row.modrm);
    else if (kind) modrm_byte = static_cast<u8>((modrm_byte & 0xC7) | (row.modrm & 7) << 3);
    if (!(row.modrm & 0x100)) modrm_byte = static_cast<u8>(mem ? (modrm_byte & 0x38) | 7 : modrm_byte | 0xC0);
    if (random.below(2)) bytes.push_back(static_cast<u8>(0x40 | random.below(16) & (mem ? 0xE : 0xF)));
    if (row.map != OpMap::M0) bytes.push_back(0x0F);
    if (row.map == OpMap::M38) bytes.push_back(0x38);
    if (row.map == OpMap::M3A) bytes.push_back(0x3A);
    bytes.push_back(row.opcode);
    if (row.modrm != modrm::NO) bytes.push_back(modrm_byte);
    if (names(row, {Operand::Ib})) bytes.push_back(static_cast<u8>(random()));
    return bytes;
}

class Comparison {
 public:
    bool ready() const { return native_.usable(); }

    /// Empty if both agree, else what differs.
    std::string once(unsigned number) {
        const OpcodeRow& row = kOpcodeRows[number];
        std::vector<u8> bytes = encode(row, random_);
        DecodeContext context{mode_bits::kLong64 | mode_bits::kProtected | mode_bits::kLongMode, SimdMachine::kCode, &machine_.model};
        Insn insn;
        std::vector<u8> padded = bytes;
        padded.resize(16, 0x90);
        if (decode_insn(context, padded.data(), 16, insn) != DecodeStatus::kOk || insn.row != number) return "";
        bool general = names(row, {Operand::Gd, Operand::Gy, Operand::Ey, Operand::Ed, Operand::Rd, Operand::Eb, Operand::Ev});
        if (general && insn.mem && insn.reg == kRdi) return "";  // the pointers differ
        if (general && (insn.reg == 4 || (!insn.mem && (insn.rm == 4 || insn.rm == 32)))) return "";  // RSP
        make_state(row);
        NativeState state = start_;
        u8* memory = host_memory_ + ((row.attributes & aAligned) ? 0 : random_.below(16));
        random_.fill(host_memory_, sizeof host_memory_);
        if (names(row, {Operand::Mf80})) random_.extended(memory);
        if (names(row, {Operand::Mbcd})) make_decimal(memory);
        if (std::string(row.name) == "fldcw") memory[0] |= 0x3F;
        u64 guest_place = SimdMachine::kData + static_cast<u64>(memory - host_memory_);
        machine_.memory.write(Gpa(SimdMachine::kData), host_memory_);
        if (insn.mem) state.gpr[kRdi] = reinterpret_cast<u64>(memory);
        else guest_place = state.gpr[kRdi];
        native_.run(state, bytes);
        load_guest(guest_place);
        int fault = machine_.run(bytes);
        if (fault != SimdMachine::kNoFault) return "guest fault " + std::to_string(fault);
        return compare(row, state, memory, guest_place, insn.mem);
    }

 private:
    void make_state(const OpcodeRow& row) {
        start_ = NativeState{};
        u16 control = static_cast<u16>((random_() & 0xF00) | 0x7F), status = static_cast<u16>(random_() & 0x7F3F);
        u8 tags = static_cast<u8>(random_());
        if (random_.below(3)) tags = static_cast<u8>(~(1u << (((status >> 11) - 1) & 7)));
        u32 mxcsr = 0x1F80 | static_cast<u32>(random_() & 0x603F) | (random_.below(4) ? 0 : static_cast<u32>(random_() & 0x8040));
        memcpy(start_.fx, &control, 2);
        memcpy(start_.fx + 2, &status, 2);
        start_.fx[4] = tags;
        memcpy(start_.fx + 24, &mxcsr, 4);
        for (unsigned i = 0; i < 8; ++i) {
            if (row.feature == OpFeature::X87) random_.extended(start_.fx + 32 + 16 * i);
            else random_.fill(start_.fx + 32 + 16 * i, 8);
        }
        for (unsigned i = 0; i < 16; ++i) random_.fill(start_.fx + 160 + 16 * i, 16);
        for (u64& r : start_.gpr) r = random_.below(2) ? random_() : random_.below(40) - 20;
        start_.flags = 0x202 | (random_() & rflags::kArithmetic);
    }
    void make_decimal(u8* to) {
        for (int i = 0; i < 9; ++i) to[i] = static_cast<u8>(random_.below(10) | random_.below(10) << 4);
        to[9] = static_cast<u8>(random_() & 0x80);
    }
    void load_guest(u64 place) {
        Vcpu& cpu = *machine_.cpu;
        memcpy(cpu.gpr, start_.gpr, sizeof start_.gpr);
        cpu.gpr[kRdi] = place;
        cpu.flags.set(start_.flags);
        memcpy(&cpu.x87.control, start_.fx, 2);
        memcpy(&cpu.x87.status, start_.fx + 2, 2);
        cpu.x87.empty = static_cast<u8>(~start_.fx[4]);
        memcpy(&cpu.mxcsr, start_.fx + 24, 4);
        for (unsigned i = 0; i < 8; ++i) {
            Float80& value = cpu.x87.st[(cpu.x87.top() + i) & 7];
            memcpy(&value.significand, start_.fx + 32 + 16 * i, 8);
            memcpy(&value.sign_exponent, start_.fx + 40 + 16 * i, 2);
        }
        for (unsigned i = 0; i < 16; ++i) memcpy(cpu.vec[i].byte, start_.fx + 160 + 16 * i, 16);
    }
    std::string compare(const OpcodeRow& row, const NativeState& native, const u8* memory, u64 place, bool mem) {
        Vcpu& cpu = *machine_.cpu;
        std::string differs;
        for (unsigned i = 0; i < 16; ++i) {
            bool pointer = i == kRsp || (mem && i == kRdi && native.gpr[i] == reinterpret_cast<u64>(memory) && cpu.gpr[i] == place);
            if (!pointer && cpu.gpr[i] != native.gpr[i]) differs += " gpr" + std::to_string(i);
        }
        if ((cpu.flags.value() ^ native.flags) & rflags::kArithmetic & ~u64{row.flags_undefined}) differs += " flags";
        if (memcmp(&cpu.x87.control, native.fx, 2) || memcmp(&cpu.x87.status, native.fx + 2, 2)) differs += " x87 status";
        if (static_cast<u8>(~cpu.x87.empty) != native.fx[4]) differs += " tags";
        if (memcmp(&cpu.mxcsr, native.fx + 24, 4)) differs += " mxcsr";
        for (unsigned i = 0; i < 8; ++i) {
            const Float80& value = cpu.x87.st[(cpu.x87.top() + i) & 7];
            if (memcmp(&value.significand, native.fx + 32 + 16 * i, 8) || memcmp(&value.sign_exponent, native.fx + 40 + 16 * i, 2))
                differs += " st" + std::to_string(i);
        }
        for (unsigned i = 0; i < 16; ++i) {
            if (memcmp(cpu.vec[i].byte, native.fx + 160 + 16 * i, 16)) differs += " xmm" + std::to_string(i);
        }
        u8 after[sizeof host_memory_];
        machine_.memory.read(Gpa(SimdMachine::kData), after);
        if (mem && memcmp(after, host_memory_, sizeof after)) differs += " memory";
        return differs;
    }

    SimdMachine machine_;
    NativeRunner native_;
    Random random_;
    NativeState start_;
    alignas(64) u8 host_memory_[128];
};

}  // namespace

TEST_CASE("simd: every comparable row gives what the host CPU gives") {
    Comparison comparison;
    if (!comparison.ready()) {
        WARN("no executable memory: nothing compared");
        return;
    }
    bool amd = host_is_amd();
    unsigned rows = 0;
    for (unsigned number = 0; number < kOpcodeRowCount; ++number) {
        const OpcodeRow& row = kOpcodeRows[number];
        if (!family(row) || (row.attributes & (aSys | aEnd)) || !host_runs(row) || (!amd && vendor_dependent(row))) continue;
        ++rows;
        for (int i = 0; i < 60; ++i) {
            std::string differs = comparison.once(number);
            INFO(row.name << " map " << static_cast<int>(row.map) << " opcode " << std::hex << static_cast<int>(row.opcode) << ":" << differs);
            REQUIRE(differs.empty());
        }
    }
    CHECK(rows > 400);
}

#endif
