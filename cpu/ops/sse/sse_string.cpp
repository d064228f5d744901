// SPDX-License-Identifier: MIT
// SSE4.2 string comparison (PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM) and CRC32. SDM 1 12.12, SDM 2B 4.1
// for the
// meaning of the immediate.
#include <array>

#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

namespace {

/// Two strings of bytes or words, elements widened.
struct Strings {
    int a[16], b[16];
    unsigned count;  ///< elements a register holds
    unsigned a_length, b_length;
};

struct Match {
    u32 bits;  ///< IntRes2
    unsigned count;
};

template <class T>
void take_elements(Xmm v, int* to) {
    union {
        Xmm vector;
        T lane[16 / sizeof(T)];
    } source{v};
    for (unsigned i = 0; i < 16 / sizeof(T); ++i) to[i] = source.lane[i];
}
void take_elements(Xmm v, unsigned imm, int* to) {
    switch (imm & 3) {
        case 0: return take_elements<u8>(v, to);
        case 1: return take_elements<u16>(v, to);
        case 2: return take_elements<i8>(v, to);
        default: return take_elements<i16>(v, to);
    }
}
unsigned terminated_length(const int* elements, unsigned count) {
    unsigned length = 0;
    while (length < count && elements[length]) ++length;
    return length;
}
/// Explicit lengths: the absolute value, saturated.
unsigned explicit_length(const Vcpu& cpu, const Insn& insn, unsigned number, unsigned count) {
    i64 length = insn.osize == 3 ? static_cast<i64>(cpu.gpr[number]) : static_cast<i32>(cpu.gpr[number]);
    u64 magnitude = length < 0 ? ~static_cast<u64>(length) + 1 : static_cast<u64>(length);
    return magnitude > count ? count : static_cast<unsigned>(magnitude);
}

bool any_equal(const Strings& s, unsigned j) {
    if (j >= s.b_length) return false;
    for (unsigned i = 0; i < s.a_length; ++i) {
        if (s.a[i] == s.b[j]) return true;
    }
    return false;
}
bool in_ranges(const Strings& s, unsigned j) {
    if (j >= s.b_length) return false;
    for (unsigned i = 0; i + 1 < s.a_length; i += 2) {
        if (s.a[i] <= s.b[j] && s.b[j] <= s.a[i + 1]) return true;
    }
    return false;
}
bool each_equal(const Strings& s, unsigned j) {
    bool a_valid = j < s.a_length, b_valid = j < s.b_length;
    return a_valid && b_valid ? s.a[j] == s.b[j] : a_valid == b_valid;
}
bool starts_here(const Strings& s, unsigned j) {
    for (unsigned i = 0; i < s.a_length && i + j < s.count; ++i) {
        if (i + j >= s.b_length || s.a[i] != s.b[i + j]) return false;
    }
    return true;
}

Match aggregate(const Strings& s, unsigned imm) {
    u32 bits = 0;
    for (unsigned j = 0; j < s.count; ++j) {
        bool hit;
        switch (imm >> 2 & 3) {
            case 0: hit = any_equal(s, j); break;
            case 1: hit = in_ranges(s, j); break;
            case 2: hit = each_equal(s, j); break;
            default: hit = starts_here(s, j); break;
        }
        bits |= static_cast<u32>(hit) << j;
    }
    u32 all = (1u << s.count) - 1, valid = (1u << s.b_length) - 1;
    if (imm & 0x10) bits ^= imm & 0x20 ? valid : all;
    return {bits, s.count};
}

bool compare(Vcpu& cpu, const Insn& insn, bool explicit_lengths, Match& match) {
    Xmm b;
    if (!fetch128<false>(cpu, insn, b)) return false;
    unsigned imm = static_cast<u8>(insn.imm);
    Strings s;
    s.count = imm & 1 ? 8 : 16;
    take_elements(xmm(cpu, insn.reg), imm, s.a);
    take_elements(b, imm, s.b);
    s.a_length =
        explicit_lengths ? explicit_length(cpu, insn, kRax, s.count) : terminated_length(s.a, s.count);
    s.b_length =
        explicit_lengths ? explicit_length(cpu, insn, kRdx, s.count) : terminated_length(s.b, s.count);
    match = aggregate(s, imm);
    cpu.flags.set((match.bits ? rflags::kCF : 0) | (s.b_length < s.count ? rflags::kZF : 0) |
                  (s.a_length < s.count ? rflags::kSF : 0) | (match.bits & 1 ? rflags::kOF : 0));
    return true;
}
bool compare_index(Vcpu& cpu, const Insn& insn, bool explicit_lengths) {
    Match match;
    if (!compare(cpu, insn, explicit_lengths, match)) return false;
    unsigned index = match.count;
    if (match.bits)
        index = static_cast<unsigned>(insn.imm & 0x40 ? 31 - __builtin_clz(match.bits)
                                                      : __builtin_ctz(match.bits));
    cpu.gpr[kRcx] = index;
    return true;
}
/// CRC-32C, bit-reflected, in eight tables so that eight bytes go at once.
constexpr u32 kCrcPolynomial = 0x82F63B78;
using CrcTables = std::array<std::array<u32, 256>, 8>;
constexpr CrcTables make_crc_tables() {
    CrcTables tables{};
    for (u32 i = 0; i < 256; ++i) {
        u32 crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? kCrcPolynomial : 0);
        tables[0][i] = crc;
    }
    for (unsigned table = 1; table < 8; ++table) {
        for (u32 i = 0; i < 256; ++i)
            tables[table][i] = tables[table - 1][i] >> 8 ^ tables[0][tables[table - 1][i] & 0xFF];
    }
    return tables;
}
constexpr CrcTables kCrcTables = make_crc_tables();

u32 crc_step(u32 crc, u64 value, unsigned bytes) {
    u64 mixed = value ^ crc;
    u32 result = bytes < 4 ? crc >> (8 * bytes) : 0;
    for (unsigned i = 0; i < bytes; ++i) result ^= kCrcTables[bytes - 1 - i][mixed >> (8 * i) & 0xFF];
    return result;
}

}  // namespace

bool compare_strings_to_mask(Vcpu& cpu, const Insn& insn, bool explicit_lengths) {
    Match match;
    if (!compare(cpu, insn, explicit_lengths, match)) return false;
    union {
        Xmm vector;
        u8 byte[16];
    } mask{_mm_setzero_si128()};
    unsigned width = 16 / match.count;
    if (!(insn.imm & 0x40)) {
        mask.vector = from_u64(match.bits);
    } else {
        for (unsigned i = 0; i < 16; ++i) mask.byte[i] = match.bits >> (i / width) & 1 ? 0xFF : 0;
    }
    set_xmm(cpu, 0, mask.vector);
    return true;
}

SB_OP(sse_pcmpestri) { return compare_index(cpu, insn, true); }
SB_OP(sse_pcmpestrm) { return compare_strings_to_mask(cpu, insn, true); }
SB_OP(sse_pcmpistri) { return compare_index(cpu, insn, false); }
SB_OP(sse_pcmpistrm) { return compare_strings_to_mask(cpu, insn, false); }

SB_OP(sse_crc32_byte) {
    u8 value;
    if (!insn.mem)
        value = cpu.reg8(insn.rm);
    else if (!load_memory<u8>(cpu, insn, value))
        return false;
    cpu.gpr[insn.reg] = crc_step(cpu.reg<u32>(insn.reg), value, 1);
    return true;
}
SB_OP(sse_crc32) {
    u64 value;
    unsigned bytes = 1u << insn.osize;
    if (bytes == 2) {
        u16 word = cpu.reg<u16>(insn.rm & 15);
        if (insn.mem && !load_memory<u16>(cpu, insn, word)) return false;
        value = word;
    } else if (!fetch_integer(cpu, insn, value)) {
        return false;
    }
    cpu.gpr[insn.reg] = crc_step(cpu.reg<u32>(insn.reg), value, bytes);
    return true;
}

}  // namespace shadowbox
