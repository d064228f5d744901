// SPDX-License-Identifier: MIT
#include "sequences/generator.h"

#include <cstring>

#include "cpu/state/vcpu.h"
#include "sequences/flag_effects.h"
#include "sequences/sequence.h"
#include "sequences/start_state.h"

namespace shadowbox::compare {

namespace {
constexpr unsigned kRspNumber = kRsp;
}  // namespace

Generator::Generator(const CpuModel& model, const HostCpu& host, bool low_page, Modes modes,
                     const char* only_name, bool only_avx, u16 selector32)
    : model_(model), host_(host), low_page_(low_page), modes_(modes), selector32_(selector32) {
    for (unsigned mode32 = 0; mode32 < 2; ++mode32) {
        for (u16 i = 0; i < kOpcodeRowCount; ++i) {
            const OpcodeRow& row = kOpcodeRows[i];
            if (row_use(row, mode32, host) != RowUse::kCompare || !model.has(row.feature)) continue;
            if (only_name && !named(row, only_name)) continue;
            if (only_avx && !is_avx(row)) continue;
            all_[mode32].push_back(i);
            bool general = row.feature == OpFeature::Base || row.feature == OpFeature::Cmov;
            if (general && !(row.attributes & aSys)) general_[mode32].push_back(i);
        }
        if (general_[mode32].empty()) general_[mode32] = all_[mode32];
    }
}

void Generator::restrict_to(u16 row) {
    for (auto* rows : {&all_[0], &all_[1], &general_[0], &general_[1]}) *rows = {row};
}

void Generator::set(TestCase& c, unsigned reg, u64 value) {
    if (claimed_ >> reg & 1) return;
    c.start.gpr[reg] = mode32_ ? static_cast<u32>(value) : value;
    claimed_ |= 1u << reg;
}

void Generator::patch(TestCase& c, u64 linear, const void* bytes, u8 size) {
    if (c.patches == kMaxPatches || image_offset(linear) < 0) return;
    Patch& p = c.patch[c.patches++];
    p.linear = linear;
    p.size = size;
    memcpy(p.bytes, bytes, size);
}

u64 Generator::code_target() { return kCode + random_.below(kCodeSize); }

u64 Generator::memory_target(bool aligned, bool address16) {
    return data_address(random_, mode32_, avx_, aligned, address16 && low_page_);
}

void Generator::settle_memory(TestCase& c, const OpcodeRow& row, const Insn& insn, Encoded& e, u64 target) {
    bool base = insn.rm != kNoRegister, index = insn.index != kNoRegister;
    if (index && !(base && insn.index == insn.rm)) {
        u64 value = random_.chance(85) ? random_.below(64) - 16 : random_.integer();
        if (insn.asize == 2 && !mode32_) value = static_cast<u32>(value) | random_() << 32;
        if (!base) value = (target - static_cast<u64>(insn.disp)) >> insn.scale;
        set(c, insn.index, value);
    }
    if (base) {
        u64 value = target - static_cast<u64>(insn.disp) -
                    (index && insn.index != insn.rm ? c.start.gpr[insn.index] << insn.scale : 0);
        if (insn.asize == 2 && !mode32_)
            value = static_cast<u32>(value) | (random_.chance(50) ? random_() << 32 : 0);
        if (insn.asize == 1) value = static_cast<u16>(value) | (random_() << 16);
        if (insn.rm == kRspNumber && random_.chance(80)) return;
        set(c, insn.rm, value);
    } else if (!index && e.disp_at >= 0) {
        bool relative = !mode32_ && (e.bytes[e.disp_at - 1] & 0xC7) == 5 && insn.disp != 0;
        u32 disp = static_cast<u32>(target);
        if (relative && !has_operand(row, Operand::Ob) && !has_operand(row, Operand::Ov))
            disp = static_cast<u32>(target - (kCode + c.code_offset + c.code_size + e.size));
        memcpy(e.bytes + e.disp_at, &disp, 4);
    }
}

void Generator::fill_target(TestCase& c, const OpcodeRow& row, u64 target) {
    u8 bytes[32] = {};
    auto hit = [&](Operand operand) { return has_operand(row, operand); };
    if (hit(Operand::Mf80)) {
        random_.extended(bytes);
        patch(c, target, bytes, 10);
    } else if (hit(Operand::Mbcd)) {
        for (int i = 0; i < 9; ++i) bytes[i] = static_cast<u8>(random_.below(10) | random_.below(10) << 4);
        bytes[9] = static_cast<u8>(random_() & 0x80);
        patch(c, target, bytes, 10);
    } else if (named(row, "fldcw")) {
        u16 control = static_cast<u16>((random_() & 0xF40) | (random_.chance(90) ? 0x3F : random_() & 0x3F));
        patch(c, target, &control, 2);
    } else if (named(row, "ldmxcsr")) {
        u32 value = static_cast<u32>(random_() & 0xFFFF) | (random_.chance(90) ? 0x1F80 : 0) |
                    (random_.chance(5) ? 1u << (16 + random_.below(16)) : 0);
        patch(c, target, &value, 4);
    } else if (named(row, "cmpxchg8b") || named(row, "cmpxchg16b") || named(row, "cmpxchg")) {
        if (random_.chance(50)) {
            memcpy(bytes, &c.start.gpr[kRax], 8);
            if (row.opcode == 0xC7) memcpy(bytes + 4, &c.start.gpr[kRdx], 8);
            if (row.opcode == 0xC7 && !mode32_ && random_.chance(50))
                memcpy(bytes + 8, &c.start.gpr[kRdx], 8);
            patch(c, target, bytes, 16);
        }
    } else if (is_avx(row)) {
        random_.vector(bytes, 32);
        patch(c, target, bytes, 32);
    } else if (hit(Operand::Wdq) || hit(Operand::Wq) || hit(Operand::Wd) || hit(Operand::Mf32) ||
               hit(Operand::Mf64)) {
        random_.vector(bytes, 16);
        patch(c, target, bytes, 16);
    }
}

/// Masks with some elements off; indices of gathers near the base, most of them.
void Generator::settle_lanes(TestCase& c, const OpcodeRow& row, const Insn& insn) {
    bool is_gather = has_operand(row, Operand::Mvs), masked = is_gather || has_operand(row, Operand::Mx);
    if (!masked || !has_operand(row, Operand::Hx)) return;
    auto lane = [&c](unsigned reg, unsigned n) {
        return (n < 4 ? c.start.fx + 160 : c.start.ymm_high - 16) + 16 * reg + 4 * n;
    };
    unsigned kept = static_cast<unsigned>(random_.below(101));
    for (unsigned n = 0; n < 8; ++n) {
        u8* top = lane(insn.vvvv, n) + 3;
        *top = static_cast<u8>((*top & 0x7F) | (random_.chance(kept) ? 0x80 : 0));
    }
    if (!is_gather) return;
    bool wide_index = row.opcode & 1;
    for (unsigned n = 0; n < 8; ++n) {
        i32 index = static_cast<i32>(random_.below(200)) - 60;
        if (random_.chance(3)) index = static_cast<i32>(random_());
        if (wide_index && (n & 1)) {
            memcpy(&index, lane(static_cast<unsigned>(insn.imm), n - 1), 4);
            index = random_.chance(98) ? (index < 0 ? -1 : 0) : static_cast<i32>(random_());
        }
        memcpy(lane(static_cast<unsigned>(insn.imm), n), &index, 4);
    }
}

void Generator::settle_implicit(TestCase& c, const OpcodeRow& row, const Insn& insn, u64 target) {
    // What a narrower address or count must ignore.
    auto widen = [&](u64 value) {
        if (insn.asize == 1) return static_cast<u16>(value) | random_() << 16;
        return insn.asize == 2 && !mode32_ && random_.chance(30) ? static_cast<u32>(value) | random_() << 32
                                                                 : value;
    };
    if (is_string(row)) {
        set(c, kRcx,
            widen(random_.chance(85)   ? random_.below(40)
                  : random_.chance(50) ? random_.below(5000)
                                       : random_.integer()));
        set(c, kRsi, widen(target));
        set(c, kRdi,
            widen(random_.chance(30) ? target + random_.below(40) - 20
                                     : memory_target(false, insn.asize == 1)));
        if (random_.chance(30) && (row.opcode | 1) == 0xAF) {
            u64 value = c.start.gpr[kRax];
            patch(c, c.start.gpr[kRdi] + 4 * random_.below(4), &value, 8);
        }
    } else if (named(row, "xlat")) {
        set(c, kRbx, target);
    } else if (named(row, "maskmovdqu") || named(row, "maskmovq")) {
        set(c, kRdi, target);
    } else if (named(row, "leave")) {
        set(c, kRbp, random_.chance(80) ? kStack + 0x100 + random_.below(0xE00) : target);
    } else if (named(row, "enter")) {
        set(c, kRbp, random_.chance(80) ? kStack + 0x200 + random_.below(0xD00) : target);
    } else if (named(row, "div") || named(row, "idiv")) {
        if (random_.chance(70))
            set(c, kRdx, random_.chance(60) ? random_.below(8) : ~u64{0} << random_.below(8));
        if (random_.chance(30)) set(c, kRax, random_.below(0x1000));
    } else if (has_operand(row, Operand::CL) && random_.chance(60)) {
        set(c, kRcx, random_.chance(60) ? random_.below(34) : random_());
    } else if (named(row, "popf") || named(row, "ret")) {
        u64 value =
            named(row, "ret") ? code_target() : (random_() & (rflags::kArithmetic | rflags::kDF)) | 0x202;
        if (named(row, "popf") && random_.chance(30))
            value = random_() & 0x7FFFFF & ~(random_.chance(80) ? rflags::kTF | rflags::kAC : 0);
        if (named(row, "ret") && random_.chance(8)) value = memory_target(false, false);
        patch(c, c.start.gpr[kRspNumber], &value, 8);
    } else if (has_operand(row, Operand::Gv) && row.map == OpMap::M0F && (row.opcode & 0xC7) == 0x83) {
        set(c, insn.reg, random_.below(4000) - 2000);  // BT and its kin: a bit string near by
    } else if (named(row, "loop") || named(row, "loope") || named(row, "loopne") || named(row, "jrcxz")) {
        set(c, kRcx, widen(random_.below(3)));
    }
}

void Generator::settle_branch(TestCase& c, const OpcodeRow& row, const Insn& insn, Encoded& e) {
    unsigned end = c.code_offset + c.code_size + e.size;
    if (e.branch_at >= 0) {
        i64 disp;
        if (random_.chance(40)) {  // to the end of the sequence: set in finish()
            skip_mark_ |= 1u << c.insns;
            branch_place_[c.insns] = static_cast<int>(c.code_size) + e.branch_at;
            disp = 0;
        } else if (random_.chance(25)) {
            disp = 0;
        } else if (e.branch_size == 1) {  // outside the sequence, into HLT
            disp = random_.chance(50) ? 70 + static_cast<i64>(random_.below(57))
                                      : -128 + static_cast<i64>(random_.below(40));
        } else {
            disp = static_cast<i64>(random_.below(kCodeSize)) - static_cast<i64>(end);
            if (disp > -60 - 16 && disp < 90) disp = 100;
        }
        memcpy(e.bytes + e.branch_at, &disp, e.branch_size);
        no_more_defines_ = true;
        return;
    }
    u64 target = random_.chance(90) ? code_target() : memory_target(false, false);
    if (target - kCode < kCodeSize && target - kCode + 40 > c.code_offset &&
        target - kCode < c.code_offset + 100)
        target = kCode + (target + 0x400) % kCodeSize;
    if (row.opcode == 0xFF && !insn.mem && insn.rm != kRspNumber) set(c, insn.rm, target);
}

bool Generator::append(TestCase& c, const OpcodeRow& row, u16 number) {
    Encoded e;
    encode(row, e);
    if (e.size > 15) return false;
    u8 padded[16];
    memset(padded, 0x90, sizeof padded);
    memcpy(padded, e.bytes, e.size);
    DecodeContext context{sequence_mode(mode32_), kCode + c.code_offset + c.code_size, &model_};
    Insn insn;
    DecodeStatus status = decode_insn(context, padded, 16, insn);
    bool bad_lock = status == DecodeStatus::kUndefined && insn.lock;
    if (closed_) return false;
    if (status == DecodeStatus::kUndefined && (e.bad_vex || has_operand(row, Operand::Mvs))) {
        if (c.code_offset + c.code_size + e.size > kCodeSize)
            return false;  // fetched whole before #UD, or not
        closed_ = true;
        return add(c, e, number);
    }
    if ((status != DecodeStatus::kOk && !bad_lock) || insn.row != number || insn.length != e.size)
        return false;
    if (named(row, "int") && (insn.imm & 0xFF) == 0x80) return false;
    bool control = has_operand(row, Operand::Cd);
    if (bad_lock && control && host_.amd) return false;  // LOCK MOV CR0 is CR8 there
    if (named(row, "prefetchw") && !insn.mem && host_.amd) return false;
    if (is_near_branch(row) && !mode32_ && insn.osize == 1) return false;
    if (is_near_branch(row) && !mode32_)
        for (unsigned i = 0; i + 1 < e.size && e.bytes[i] != row.opcode; ++i)
            if (e.bytes[i] == 0x66) return false;

    if (c.insns == 0 || is_near_branch(row) || random_.chance(80)) settle(c, row, insn, e);
    FlagEffects effects =
        flag_effects(row, insn, c.insns == 0 ? static_cast<int>(c.start.gpr[kRcx] & 0xFF) : -1);
    if (effects.undefined_result || (effects.reads & tainted_)) return false;
    return add(c, e, number);
}

bool Generator::add(TestCase& c, const Encoded& e, u16 number) {
    c.row[c.insns] = number;
    c.starts[c.insns] = c.code_offset + c.code_size;
    memcpy(c.code + c.code_size, e.bytes, e.size);
    c.code_size += e.size;
    ++c.insns;
    return true;
}

void Generator::settle(TestCase& c, const OpcodeRow& row, const Insn& insn, Encoded& e) {
    avx_ = is_avx(row);
    bool aligned = (row.attributes & aAligned) || (named(row, "cmpxchg8b") && insn.rex_w);
    u64 target = memory_target(aligned, insn.asize == 1);
    settle_implicit(c, row, insn, target);
    settle_lanes(c, row, insn);
    if (insn.mem) {
        if (row.opcode == 0xFF && is_near_branch(row)) {
            u64 to = random_.chance(90) ? code_target() : memory_target(false, false);
            patch(c, target, &to, 8);
        }
        settle_memory(c, row, insn, e, target);
        fill_target(c, row, target);
    }
    if (is_near_branch(row)) settle_branch(c, row, insn, e);
}

/// Points the marked branches to the end and computes which flags are undefined where.
bool Generator::finish(TestCase& c) {
    for (unsigned i = 0; i < c.insns; ++i) {
        if (!(skip_mark_ >> i & 1)) continue;
        unsigned next = i + 1 < c.insns ? c.starts[i + 1] - c.code_offset : c.code_size;
        i64 disp = static_cast<i64>(c.code_size) - static_cast<i64>(next);
        const OpcodeRow& row = kOpcodeRows[c.row[i]];
        unsigned size = has_operand(row, Operand::Jb) ? 1 : next - static_cast<unsigned>(branch_place_[i]);
        memcpy(c.code + branch_place_[i], &disp, size);
    }
    return annotate_sequence(c, model_);
}

TestCase Generator::make(u64 seed, u64 number) {
    random_ = RandomSource(seed, number);
    TestCase c;
    for (;;) {
        mode32_ = modes_ == Modes::kOnly32 || (modes_ == Modes::kBoth && random_.chance(40));
        claimed_ = tainted_ = skip_mark_ = 0;
        no_more_defines_ = closed_ = false;
        c = derive_start_state(random_, mode32_, host_.has(OpFeature::Avx), selector32_);
        unsigned wanted = 1 + static_cast<unsigned>(random_.chance(50) ? 0 : random_.below(kMaxInsns));
        bool general = random_.chance(50);
        for (unsigned tries = 0; c.insns < wanted && tries < 40; ++tries) {
            const auto& rows = general || random_.chance(20) ? general_[mode32_] : all_[mode32_];
            u16 row = rows[random_.below(rows.size())];
            if ((kOpcodeRows[row].attributes & aSys) && random_.chance(60)) continue;
            TestCase before = c;
            u32 claimed = claimed_, marks = skip_mark_;
            bool closed = closed_;
            if (append(c, kOpcodeRows[row], row) && annotate_sequence(c, model_)) continue;
            c = before;
            claimed_ = claimed;
            skip_mark_ = marks;
            closed_ = closed;
        }
        if (c.insns > 0 && finish(c)) return c;
    }
}

}  // namespace shadowbox::compare
