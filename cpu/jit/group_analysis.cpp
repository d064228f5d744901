// SPDX-License-Identifier: MIT
// Which memory accesses of a block share one TLB check: those at constant distances from the same value of a
// register. A value is followed through ADD, SUB, LEA, MOV, PUSH and POP; any other write makes a new one.
#include <algorithm>
#include <array>

#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {

constexpr i64 kMaxSpan = 256;  ///< wider groups would cross pages too often

struct Value {
    unsigned number = 0;  ///< of the value the register was made from
    i64 delta = 0;        ///< register minus that value
};

struct Tracker {
    std::array<Value, 16> registers;
    std::vector<bool> is_stack;

    Tracker() {
        for (unsigned g = 0; g < 16; ++g) fresh(g);
    }
    void fresh(unsigned g) {
        registers[g] = {static_cast<unsigned>(is_stack.size()), 0};
        is_stack.push_back(g == kRsp);
    }
};

i64 stack_step(const Step& s) {
    if (s.row->map != OpMap::M0) return 0;
    switch (s.row->opcode) {
        case 0x50:
        case 0x68:
        case 0x6A: return -8;
        case 0x58: return 8;
        case 0xFF: return (s.insn.reg & 7) == 6 ? -8 : 0;
        default: return 0;
    }
}

/// Follows what the step does to registers' values.
void follow(Tracker& t, const Step& s) {
    const Insn& n = s.insn;
    const OpcodeRow& row = *s.row;
    u32 written = s.gprs_written;
    if (i64 step = stack_step(s); step && n.osize == 3) {
        t.registers[kRsp].delta += step;
        if (row.opcode == 0x58) t.fresh(n.reg);
        return;
    }
    if (row.map == OpMap::M0 && n.osize == 3) {
        bool add = (row.opcode == 0x81 || row.opcode == 0x83) && (n.reg & 7) == 0,
             sub = (row.opcode == 0x81 || row.opcode == 0x83) && (n.reg & 7) == 5;
        if ((add || sub) && !n.mem) {
            t.registers[n.rm].delta += add ? n.imm : -static_cast<i64>(n.imm);
            return;
        }
        if (row.opcode == 0x8D && n.asize == 3 && n.rm != kNoRegister && n.index == kNoRegister) {
            Value from = t.registers[n.rm];
            t.registers[n.reg] = {from.number, from.delta + n.disp};
            return;
        }
        if ((row.opcode == 0x89 || row.opcode == 0x8B) && !n.mem) {
            unsigned to = row.opcode == 0x89 ? n.rm : n.reg, from = row.opcode == 0x89 ? n.reg : n.rm;
            t.registers[to] = t.registers[from];
            return;
        }
    }
    for (unsigned g = 0; g < 16; ++g) {
        if (written >> g & 1) t.fresh(g);
    }
}

}  // namespace

void Translator::find_groups() {
    Tracker t;
    std::vector<int> group_of_value;  // the open group of each value, or -1
    size_t part = 0;
    const auto at_entry = t.registers;
    auto join = [&](Access& access, unsigned base, i64 disp, unsigned size, bool write) {
        Value value = t.registers[base];
        if (group_of_value.size() <= value.number) group_of_value.resize(t.is_stack.size(), -1);
        i64 low = value.delta + disp, high = low + size;
        int& open = group_of_value[value.number];
        if (open >= 0) {
            Group& group = groups_[static_cast<unsigned>(open)];
            if (std::max(group.high, high) - std::min(group.low, low) > kMaxSpan) open = -1;
            // A block that may not run must not ask for a right that the ones before do without.
            if (group.part != part && write && !group.write && !group.is_stack) open = -1;
        }
        if (open < 0) {
            open = static_cast<int>(groups_.size());
            groups_.push_back(Group{low, high, t.is_stack[value.number]});
        }
        Group& group = groups_[static_cast<unsigned>(open)];
        group.low = std::min(group.low, low);
        group.high = std::max(group.high, high);
        group.part = part;
        group.write = group.write || write;
        ++group.members;
        access.group = open;
        access.base = static_cast<u8>(base);
        access.disp = static_cast<i32>(disp);
        access.base_delta = value.delta;
    };
    for (unsigned i = 0; i < steps_.size(); ++i) {
        Step& s = steps_[i];
        if (i == parts_[part].end) ++part;
        if (loop_part_ && i == parts_[loop_part_].first) {
            // What the loop changes is another value in each round.
            for (unsigned g = 0; g < 16; ++g) {
                if (t.registers[g].number != at_entry[g].number || t.registers[g].delta != at_entry[g].delta)
                    t.fresh(g);
            }
        }
        const Insn& n = s.insn;
        unsigned size = 0;
        bool write = false;
        if (n.mem && n.asize == 3 && n.seg < kFs && n.rm != kNoRegister && n.index == kNoRegister &&
            explicit_access(s, size, write)) {
            join(s.operand, n.rm, n.disp, size, write);
        }
        if (n.osize == 3 && s.row->map == OpMap::M0) {
            bool pushes =
                stack_step(s) < 0 || s.row->opcode == 0xE8 || (s.row->opcode == 0xFF && (n.reg & 7) == 2);
            bool pops = s.row->opcode == 0x58 || s.row->opcode == 0xC2 || s.row->opcode == 0xC3;
            if (pushes || pops) join(s.stack, kRsp, pushes ? -8 : 0, 8, pushes);
            if (s.row->opcode == 0xC9) join(s.stack, kRbp, 0, 8, false);
        }
        follow(t, s);
    }
}

/// Size and direction of the ModRM operand's access, for the forms that the emitters probe once.
bool Translator::explicit_access(const Step& s, unsigned& size, bool& write) const {
    const OpcodeRow& row = *s.row;
    if (is_bit_string(s)) return false;
    if (row.attributes & (aSys | aString) ||
        (row.feature != OpFeature::Base && row.feature != OpFeature::X87 && !(row.attributes & aNative)))
        return false;
    for (unsigned n = 0; n < 4; ++n) {
        switch (row.operands[n]) {
            case Operand::Eb:
            case Operand::Ew:
            case Operand::Ed:
            case Operand::Eq:
            case Operand::Ev:
            case Operand::Ey:
            case Operand::Mb:
            case Operand::Mw:
            case Operand::Md:
            case Operand::Mq:
            case Operand::My:
            case Operand::Mv:
            case Operand::Mdq:
            case Operand::Wb:
            case Operand::Ww:
            case Operand::Wd:
            case Operand::Wq:
            case Operand::Wdq:
            case Operand::Mf32:
            case Operand::Mf64:
            case Operand::Mf80:
            case Operand::Mi16:
            case Operand::Mi32:
            case Operand::Mi64:
            case Operand::Mbcd:
            case Operand::Qq:
            case Operand::Qd:
            case Operand::Wx:
            case Operand::Wx2:
            case Operand::Wx4:
            case Operand::Wx8:
            case Operand::Mx:
                size = operand_size(s, row.operands[n]);
                write = (row.attributes & aMemWrite) && (n == 0);
                return true;
            default: break;
        }
    }
    return false;
}

}  // namespace shadowbox::jit
