// SPDX-License-Identifier: MIT
#include "sequences/sequence.h"

#include <algorithm>
#include <cstring>

#include "cpu/decode/decoder.h"
#include "cpu/state/vcpu.h"
#include "sequences/flag_effects.h"
#include "sequences/row_use.h"

namespace shadowbox::compare {

u64 sequence_mode(bool mode32) {
    return mode_bits::kProtected | mode_bits::kLongMode | mode_bits::kStack32 |
           (mode32 ? mode_bits::kCode32 : mode_bits::kLong64);
}

bool annotate_sequence(TestCase& c, const CpuModel& model) {
    u32 tainted = 0;
    unsigned at = 0;
    bool branched = false;
    for (unsigned i = 0; i < c.insns; ++i) {
        c.starts[i] = c.code_offset + at;
        c.undefined[i] = tainted;
        u8 padded[16];
        memset(padded, 0x90, sizeof padded);
        memcpy(padded, c.code + at, std::min<std::size_t>(16, sizeof c.code - at));
        DecodeContext context{sequence_mode(c.mode32), kCode + c.starts[i], &model};
        Insn insn;
        DecodeStatus status = decode_insn(context, padded, 16, insn);
        if (status == DecodeStatus::kTooLong || status == DecodeStatus::kNeedMore) return false;
        const OpcodeRow& row = kOpcodeRows[c.row[i]];
        FlagEffects effects =
            flag_effects(row, insn, i == 0 ? static_cast<int>(c.start.gpr[kRcx] & 0xFF) : -1);
        if (effects.undefined_result || (effects.reads & tainted)) return false;
        if (!branched) tainted &= ~effects.defines;
        tainted |= effects.undefined;
        if (is_near_branch(row)) branched = true;
        bool undefined = status == DecodeStatus::kUndefined && (row.attributes & aVex) && i + 1 == c.insns;
        at = undefined ? c.code_size : at + insn.length;
    }
    c.starts[c.insns] = c.code_offset + at;
    c.undefined[c.insns] = tainted;
    return at == c.code_size;
}

namespace {

/// The first VEX row of the opcode map, prefix and opcode that the bytes name: what an encoding nearly is
/// whose W, L or vvvv the row forbids.
int nearest_vex_row(const u8* bytes, unsigned size) {
    static constexpr OpPrefix kPrefixes[4] = {OpPrefix::NP, OpPrefix::P66, OpPrefix::PF3, OpPrefix::PF2};
    unsigned at = 0;
    while (at < size && bytes[at] != 0xC4 && bytes[at] != 0xC5) ++at;
    unsigned length = at < size && bytes[at] == 0xC4 ? 3 : 2;
    if (at + length >= size) return -1;
    unsigned map = length == 3 ? bytes[at + 1] & 31 : 1, prefix = bytes[at + length - 1] & 3;
    for (unsigned i = 0; i < kOpcodeRowCount; ++i) {
        const OpcodeRow& row = kOpcodeRows[i];
        bool fits = row.attributes & aVex && static_cast<unsigned>(row.map) == map &&
                    row.opcode == bytes[at + length] &&
                    (row.prefix == kPrefixes[prefix] || (!prefix && row.prefix == OpPrefix::ANY));
        if (fits) return static_cast<int>(i);
    }
    return -1;
}

}  // namespace

bool find_rows(TestCase& c, unsigned insns, const CpuModel& model) {
    unsigned at = 0;
    for (c.insns = 0; c.insns < insns; ++c.insns) {
        u8 padded[16];
        memset(padded, 0x90, sizeof padded);
        memcpy(padded, c.code + at, std::min<std::size_t>(16, sizeof c.code - at));
        Insn insn;
        DecodeStatus status =
            decode_insn({sequence_mode(c.mode32), kCode + c.code_offset + at, &model}, padded, 16, insn);
        bool bad_lock = status == DecodeStatus::kUndefined && insn.lock;
        if (status == DecodeStatus::kOk || bad_lock) {
            c.row[c.insns] = insn.row;
            at += insn.length;
        } else {
            int row = nearest_vex_row(c.code + at, c.code_size - at);
            if (status != DecodeStatus::kUndefined || row < 0 || c.insns + 1 != insns) return false;
            c.row[c.insns] = static_cast<u16>(row);
            at = c.code_size;
        }
        if (at > c.code_size) return false;
    }
    return at == c.code_size;
}

}  // namespace shadowbox::compare
