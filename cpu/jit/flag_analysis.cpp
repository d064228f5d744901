// SPDX-License-Identifier: MIT
// What the translator knows of each instruction before it emits any: which flags it reads and surely writes,
// who can see them, which registers it changes, whether it may leave.
#include <cstring>

#include "cpu/decode/decoder.h"
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {

bool is_general(Operand o) {
    switch (o) {
        case Operand::Eb:
        case Operand::Ew:
        case Operand::Ed:
        case Operand::Eq:
        case Operand::Ev:
        case Operand::Ey:
        case Operand::Rd:
        case Operand::Rq:
        case Operand::Rv:
        case Operand::Ry: return true;
        default: return false;
    }
}
bool is_register_only(Operand o) {
    return o == Operand::Rd || o == Operand::Rq || o == Operand::Rv || o == Operand::Ry;
}
bool is_reg_field(Operand o) {
    switch (o) {
        case Operand::Gb:
        case Operand::Gw:
        case Operand::Gd:
        case Operand::Gq:
        case Operand::Gv:
        case Operand::Gy:
        case Operand::Zb:
        case Operand::Zv:
        case Operand::Zd: return true;
        default: return false;
    }
}
unsigned number_of(unsigned reg, Operand o) {
    return o == Operand::Eb || o == Operand::Gb || o == Operand::Zb ? reg / 8 : reg & 15;
}

/// Registers that a system instruction may change; those that emitted code does not know may change all.
u32 gprs_written_by_system(const Step& s) {
    constexpr u32 kAll = 0xFFFF, kTime = 1u << kRax | 1u << kRdx;
    const OpcodeRow& row = *s.row;
    if (row.map == OpMap::M0 && (row.opcode == 0xFA || row.opcode == 0xFB)) return 0;  // CLI, STI
    if (row.map == OpMap::M0 && row.opcode == 0x8C) return s.insn.mem ? 0 : 1u << s.insn.rm;
    if (row.map != OpMap::M0F) return kAll;
    if (row.opcode == 0x31) return kTime;
    if (row.opcode != 0x01 || s.insn.mem) return kAll;
    switch ((s.insn.reg & 7) << 3 | (s.insn.rm & 7)) {
        case 0x0A:
        case 0x0B:
        case 0x38: return 0;  // CLAC, STAC, SWAPGS
        case 0x39: return kTime | 1u << kRcx;
        default: return kAll;
    }
}

/// Registers that the instruction may change: a superset.
u32 gprs_written(const Step& s) {
    const OpcodeRow& row = *s.row;
    u32 mask = 0;
    bool memory_only = s.insn.mem;
    if (is_conditional_jump(s) || (row.map == OpMap::M0 && (row.opcode == 0xE9 || row.opcode == 0xEB)))
        return 0;
    if (row.attributes & aSys) return gprs_written_by_system(s);
    if (row.attributes & (aString | aEnd)) return 0xFFFF;
    bool writes_first = !(row.map == OpMap::M0 && (row.opcode & 0xFE) == 0x84) &&
                        !(row.map == OpMap::M0 && row.opcode < 0x40 && (row.opcode & 0x38) == 0x38);
    if (is_general(row.operands[0]) && !memory_only &&
        ((row.attributes & aMemWrite) || is_register_only(row.operands[0])))
        mask |= 1u << number_of(s.insn.rm, row.operands[0]);
    if (is_reg_field(row.operands[0]) && writes_first) mask |= 1u << number_of(s.insn.reg, row.operands[0]);
    if (row.operands[0] == Operand::AL || row.operands[0] == Operand::AX || row.operands[0] == Operand::rAX)
        mask |= writes_first ? 1u : 0;
    if (row.attributes & aStack) mask |= 1u << kRsp | 1u << kRbp;
    if ((row.attributes & aVex) && !needs_state(row)) mask |= 1u << s.insn.vvvv;
    if (is_string_compare(row)) mask |= 1u << kRcx;
    if (row.map == OpMap::M0) {
        switch (row.opcode) {
            case 0x86:
            case 0x87: mask |= 1u << number_of(s.insn.reg, row.operands[1]); break;
            case 0x90:
            case 0x91:
            case 0x92:
            case 0x93:
            case 0x94:
            case 0x95:
            case 0x96:
            case 0x97: mask |= 1; break;
            case 0x98:
            case 0x9F:
            case 0xD7: mask |= 1; break;
            case 0x27:
            case 0x2F:
            case 0x37:
            case 0x3F:
            case 0xD4:
            case 0xD5:
            case 0xD6: mask |= 1; break;
            case 0x61: mask |= 0xFF; break;
            case 0x99: mask |= 1u << kRdx; break;
            case 0xF6:
            case 0xF7: mask |= 1u | 1u << kRdx; break;
            default: break;
        }
    } else if (row.map == OpMap::M0F) {
        switch (row.opcode) {
            case 0xB0:
            case 0xB1:
            case 0xC0:
            case 0xC1: mask |= 1u | 1u << number_of(s.insn.reg, row.operands[1]); break;
            case 0xC7:
            case 0xA2:
            case 0x31:
            case 0x01: mask = 0xFFFF; break;
            default: break;
        }
    }
    return mask;
}

/// A shift or rotation by an immediate that is not zero after masking: its flags change for certain.
bool shifts_by_constant(const Step& s) {
    if (s.row->map != OpMap::M0 || (s.row->opcode & 0xFE) != 0xC0) return false;
    unsigned mask = s.insn.osize == 3 && (s.row->opcode & 1) ? 63 : 31;
    return (static_cast<unsigned>(s.insn.imm) & mask) != 0;
}

}  // namespace

/// Adds the block's instructions to the steps. False: its bytes are not those that it was made from.
bool Translator::decode(Block& block) {
    u8 bytes[kMaxBlockInsns * 15 + 15] = {};
    if (!jit_.read_code(block, bytes)) return false;
    DecodeContext context{block.mode, block.rip, &cpu_.model};
    unsigned offset = 0;
    u16 number = 0;
    for (unsigned cell = 0; cell < block.cells && offset < block.byte_count; ++cell) {
        const Insn& made = block.insns[cell];
        if (made.row == kNoRow || made.rip_offset != offset) return false;
        for (unsigned part = 0; part <= made.fused; ++part) {
            Step s{};
            context.rip = block.rip + offset;
            unsigned room = std::min(16u, static_cast<unsigned>(block.byte_count) - offset);
            if (decode_insn(context, bytes + offset, 15, s.insn) != DecodeStatus::kOk || s.insn.length > room)
                return false;
            s.row = &kOpcodeRows[s.insn.row];
            s.block = &block;
            s.rip = context.rip;
            s.cell = static_cast<u16>(cell);
            s.number = number++;
            if ((s.row->attributes & aBranch))
                s.insn.same_page =
                    ((linear(context.rip) ^ linear(static_cast<u64>(s.insn.disp))) & ~kPageOffsetMask) == 0;
            if (!long64()) rewrite(s);
            offset += s.insn.length;
            steps_.push_back(s);
        }
    }
    return offset == block.byte_count && number;
}

void Translator::analyse() {
    constexpr u32 kAll = static_cast<u32>(rflags::kArithmetic);
    u32 live = kAll;
    size_t part = parts_.size() - 1;
    for (unsigned i = static_cast<unsigned>(steps_.size()); i-- > 0;) {
        Step& s = steps_[i];
        if (i + 1 == parts_[part].first) --part;
        const bool inner = part + 1 < parts_.size() && i + 1 == parts_[part].end;  // goes on in the next part
        const OpcodeRow& row = *s.row;
        s.reads = row.flags_read & kAll;
        bool certain = !(row.attributes & aCondFlags) || shifts_by_constant(s);
        s.writes = certain ? row.flags_written & kAll : 0;
        s.gprs_written = gprs_written(s);
        // Everything that is not a plain register instruction of the general families can leave, or runs in
        // C++.
        bool plain = (row.attributes & aNative) && !s.insn.mem;
        bool divides = row.map == OpMap::M0 && (((row.opcode & 0xFE) == 0xF6 && (s.insn.reg & 7) >= 6) ||
                                                row.opcode == 0xD4);  // D4: AAM
        bool xlat =
            row.map == OpMap::M0 && row.opcode == 0xD7;  // reads memory without an operand that says so
        bool register_only = row.map == OpMap::M0 && !s.insn.mem && !xlat &&
                             !(row.attributes & (aStack | aEnd | aString | aSys)) && !divides && !is_pause(s);
        bool nop = row.map == OpMap::M0F && row.opcode >= 0x18 && row.opcode <= 0x1F &&
                   row.feature == OpFeature::Base;
        s.may_exit = !(plain || register_only || nop) || (row.attributes & (aEnd | aString | aSys));
        if (row.feature != OpFeature::Base && !(row.attributes & aVex) && row.feature != OpFeature::Cmov &&
            row.feature != OpFeature::Popcnt)
            s.may_exit = true;
        if (is_avx(row) && (s.insn.mem || !vex_native(s))) s.may_exit = true;
        if (inner && cpu_.exact_time) live = kAll;  // the next part debits the budget and may leave
        if (inner && is_direct_jump(s) && !is_conditional_jump(s)) s.may_exit = false;
        s.live_after = live;
        live = (live & ~s.writes) | s.reads;
        if (!certain) live |= row.flags_written & s.live_after;
        if (s.may_exit) live = kAll;
        s.live_before = live;
    }
}

}  // namespace shadowbox::jit
