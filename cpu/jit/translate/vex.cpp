// SPDX-License-Identifier: MIT
// VEX-encoded vector instructions (AVX, AVX2, FMA, F16C) run as themselves, as SSE ones do
// (translate_vector.cpp); BMI is in translate_bmi.cpp. Gathers, masked moves and reciprocals are the
// interpreter's.
//
// How much of the vector registers the host holds is a level (layout.h): VEX.128 instructions clear bits
// 255:128, so they too need all 32 bytes loaded; VZEROUPPER makes the upper halves known to be zero, which
// the host's SSE instructions like (no merging).
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {

enum class Place : u8 {
    kNone,
    kVectorReg,
    kVectorThird,
    kVectorRm,
    kGeneralReg,
    kGeneralRm,
    kMemory,
    kImmediate,
    kOther
};

Place place_of(Operand o) {
    switch (o) {
        case Operand::None: return Place::kNone;
        case Operand::Ib:
        case Operand::Lx: return Place::kImmediate;
        case Operand::Vdq:
        case Operand::Vx: return Place::kVectorReg;
        case Operand::Hdq:
        case Operand::Hx: return Place::kVectorThird;
        case Operand::Wb:
        case Operand::Ww:
        case Operand::Wd:
        case Operand::Wq:
        case Operand::Wdq:
        case Operand::Wx:
        case Operand::Wx2:
        case Operand::Wx4:
        case Operand::Wx8:
        case Operand::Udq:
        case Operand::Uq:
        case Operand::Ux: return Place::kVectorRm;
        case Operand::Gd:
        case Operand::Gy: return Place::kGeneralReg;
        case Operand::Ed:
        case Operand::Ey:
        case Operand::Rd:
        case Operand::Ry: return Place::kGeneralRm;
        case Operand::Mb:
        case Operand::Mw:
        case Operand::Md:
        case Operand::Mq:
        case Operand::My:
        case Operand::Mdq:
        case Operand::Mx: return Place::kMemory;
        default: return Place::kOther;
    }
}
bool follows_length(Operand o) {
    switch (o) {
        case Operand::Vx:
        case Operand::Wx:
        case Operand::Ux:
        case Operand::Mx:
        case Operand::Hx:
        case Operand::Wx2:
        case Operand::Wx4:
        case Operand::Wx8: return true;
        default: return false;
    }
}
/// Scalars ignore VEX.L; the host gets 0 then.
bool is_256(const Step& s) {
    for (Operand o : s.row->operands) {
        if (follows_length(o)) return s.insn.vex_l;
    }
    return false;
}
bool is_zero_upper(const OpcodeRow& row) { return row.map == OpMap::M0F && row.opcode == 0x77; }

}  // namespace

bool Translator::vex_native(const Step& s) const {
    const OpcodeRow& row = *s.row;
    if (!jit_.wide_vectors_ || !is_avx(row) || (row.attributes & aSys)) return false;
    if (block_.mode & (mode_bits::kAvxOff | mode_bits::kFpuNm)) return false;
    if ((row.attributes & aSseFp) && (block_.mode & mode_bits::kSseUnmasked)) return false;
    if (is_zero_upper(row))
        return block_.mode & mode_bits::kLong64;  // elsewhere they leave registers 8 to 15 alone
    if (!(row.attributes & aNative)) return false;
    for (Operand o : row.operands) {
        if (place_of(o) == Place::kOther) return false;
    }
    return true;
}

u8 Translator::vector_level(const Step& s) const {
    const OpcodeRow& row = *s.row;
    if (!needs_state(row) || row.feature == OpFeature::X87 || row.feature == OpFeature::Mmx)
        return kVectorsNone;
    if (!is_avx(row)) return kVectorsLow;
    if (!vex_native(s)) return kVectorsNone;
    return is_256(s) ? kVectorsAll : kVectorsZeroUpper;
}

bool Translator::zero_upper(unsigned i) {
    const bool all = steps_[i].insn.vex_l;
    if (!all) need_vectors(i, kVectorsZeroUpper);
    e_.byte(0xC5);
    e_.byte(all ? 0xFC : 0xF8);
    e_.byte(0x77);
    e_.store_imm8(in_frame(offsetof(Frame, vectors_loaded)), kVectorsZeroUpper);
    vectors_known_ = kVectorsZeroUpper;
    return true;
}

bool Translator::vex(unsigned i) {
    const Step& s = steps_[i];
    const OpcodeRow& row = *s.row;
    if (!vex_native(s)) return false;
    if (is_zero_upper(row)) return zero_upper(i);
    bool reg_used = false, reg_general = false, rm_general = false, immediate = false;
    unsigned size = 0;
    const Place first = place_of(row.operands[0]);
    const bool rm_written =
        (first == Place::kVectorRm || first == Place::kGeneralRm || first == Place::kMemory) &&
        (!s.insn.mem || (row.attributes & aMemWrite));
    for (Operand o : row.operands) {
        switch (place_of(o)) {
            case Place::kVectorReg: reg_used = true; break;
            case Place::kGeneralReg: reg_used = reg_general = true; break;
            case Place::kGeneralRm:
                rm_general = !s.insn.mem;
                size = operand_size(s, o);
                break;
            case Place::kVectorRm:
            case Place::kMemory: size = operand_size(s, o); break;
            case Place::kImmediate: immediate = true; break;
            default: break;
        }
    }
    rdx_group_ = carried_rdx_group_;
    rdx_kept_ = true;
    need_vectors(i, vector_level(s));
    Operand2 rm(s.insn.rm);
    const bool rm_scratch = rm_general && kHome[s.insn.rm] == kInFrame;
    if (s.insn.mem) {
        rm = probe(i, size, rm_written, row.attributes & aAligned);
    } else if (rm_general) {
        if (rm_scratch && !rm_written) e_.load(hRcx, in_frame(frame_gpr(s.insn.rm)));
        rm = Operand2(rm_scratch ? static_cast<u8>(hRcx) : kHome[s.insn.rm]);
    }
    if (row.flags_written) need_flags_for(i);
    if (is_string_compare(row)) before_string_compare(i, rm);
    u8 reg = reg_used ? s.insn.reg : s.insn.reg & 7;  // else it is a part of the opcode
    const bool reg_scratch = reg_general && kHome[s.insn.reg] == kInFrame;
    if (reg_general) reg = reg_scratch ? static_cast<u8>(hRax) : kHome[s.insn.reg];  // written, never read
    const u8 prefix = row.prefix == OpPrefix::P66   ? 0x66
                      : row.prefix == OpPrefix::PF3 ? 0xF3
                      : row.prefix == OpPrefix::PF2 ? 0xF2
                                                    : 0;
    e_.vex({prefix, static_cast<u8>(row.map), static_cast<u8>(s.insn.opcode), s.insn.rex_w != 0}, is_256(s),
           reg, s.insn.vvvv, rm);
    if (immediate) e_.byte(static_cast<u8>(s.insn.imm));
    if (is_string_compare(row)) after_string_compare(i);
    if (reg_scratch) e_.store(in_frame(frame_gpr(s.insn.reg)), hRax);
    if (rm_scratch && rm_written) e_.store(in_frame(frame_gpr(s.insn.rm)), hRcx);
    if (row.flags_written) made_flags(i);
    return true;
}

}  // namespace shadowbox::jit
