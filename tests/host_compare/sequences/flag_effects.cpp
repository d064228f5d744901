// SPDX-License-Identifier: MIT
#include "sequences/flag_effects.h"

#include "cpu/opcodes/opcode_letters.h"
#include "sequences/row_use.h"

namespace shadowbox::compare {

using namespace flag_letters;

namespace {

u32 condition_reads(unsigned code) {
    static constexpr u32 kReads[8] = {fO, fC, fZ, fC | fZ, fS, fP, fS | fO, fZ | fS | fO};
    return kReads[code >> 1 & 7];
}

bool by_condition(const OpcodeRow& row) {
    unsigned high = row.opcode >> 4;
    return (row.map == OpMap::M0 && high == 7) ||
           (row.map == OpMap::M0F && (high == 8 || high == 4 || high == 9));
}

bool is_shift(const OpcodeRow& row) {
    return row.map == OpMap::M0 &&
           (row.opcode == 0xC0 || row.opcode == 0xC1 || (row.opcode >= 0xD0 && row.opcode <= 0xD3));
}
bool is_double_shift(const OpcodeRow& row) { return named(row, "shld") || named(row, "shrd"); }

/// The masked count, or -1 if unknown.
int shift_count(const OpcodeRow& row, const Insn& insn, unsigned bits, int cl) {
    int count = has_operand(row, Operand::CL) ? cl : insn.imm;
    return count < 0 ? -1 : count & (bits == 64 ? 63 : 31);
}

void refine_shift(const OpcodeRow& row, const Insn& insn, int cl, FlagEffects& e) {
    bool byte = has_operand(row, Operand::Eb);
    int bits = byte ? 8 : 8 << insn.osize, count = shift_count(row, insn, static_cast<unsigned>(bits), cl);
    unsigned n = row.modrm & 7;
    bool twin = is_double_shift(row);
    if (count < 0) {
        e.undefined_result = twin && bits == 16;
        return;
    }
    if (count == 0) {
        e.undefined = e.defines = 0;
        return;
    }
    if (twin)
        e.undefined = count == 1 ? fA : fA | fO;
    else if (n < 4)
        e.undefined = count == 1 ? 0 : fO;
    else
        e.undefined = count == 1 ? fA : count < bits || n == 7 ? fA | fO : fA | fO | fC;
    if (!twin && n >= 4 && count == bits && n != 7) e.undefined |= fC;
    e.undefined_result = twin && count > bits;
    e.defines = row.flags_written & ~e.undefined;
    if (!twin && (n == 2 || n == 3)) e.defines = 0;  // a count of a multiple of the width + 1 changes nothing
}

}  // namespace

FlagEffects flag_effects(const OpcodeRow& row, const Insn& insn, int cl) {
    FlagEffects e{row.flags_read, row.flags_undefined, row.flags_written & ~row.flags_undefined, false};
    if (row.attributes & aCondFlags) e.defines = 0;
    if (by_condition(row)) e.reads = condition_reads(row.opcode & 15);
    if (is_shift(row) || is_double_shift(row)) refine_shift(row, insn, cl, e);
    if (named(row, "bswap") && insn.osize == 1) e.undefined_result = true;
    return e;
}

}  // namespace shadowbox::compare
