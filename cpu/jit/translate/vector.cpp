// SPDX-License-Identifier: MIT
// SSE instructions run as themselves: guest XMM registers are the host's, loaded at a block's first use. The
// host's MXCSR holds the guest's controls with everything masked (host_fpu.h); where the guest unmasks an
// exception the interpreter runs the row. MMX likewise.
#include <algorithm>

#include "cpu/jit/forms.h"
#include "cpu/state/host_fpu.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
enum class Kind { kNone, kVectorReg, kVectorRm, kGeneralReg, kGeneralRm, kMmxReg, kMmxRm, kMemory, kOther };

Kind kind_of(Operand o) {
    switch (o) {
        case Operand::None:
        case Operand::Ib:
        case Operand::XMM0: return Kind::kNone;
        case Operand::Vdq:
        case Operand::Vq:
        case Operand::Vd: return Kind::kVectorReg;
        case Operand::Wdq:
        case Operand::Wq:
        case Operand::Wd:
        case Operand::Ww:
        case Operand::Wb:
        case Operand::Udq:
        case Operand::Uq: return Kind::kVectorRm;
        case Operand::Gd:
        case Operand::Gv:
        case Operand::Gy: return Kind::kGeneralReg;
        case Operand::Eb:
        case Operand::Ew:
        case Operand::Ed:
        case Operand::Eq:
        case Operand::Ey:
        case Operand::Ev:
        case Operand::Rd:
        case Operand::Ry: return Kind::kGeneralRm;
        case Operand::Pq:
        case Operand::Pd: return Kind::kMmxReg;
        case Operand::Qq:
        case Operand::Qd:
        case Operand::Nq: return Kind::kMmxRm;
        case Operand::Mb:
        case Operand::Mw:
        case Operand::Md:
        case Operand::Mq:
        case Operand::My:
        case Operand::Mdq: return Kind::kMemory;
        default: return Kind::kOther;
    }
}
/// The handlers have a portable form of these, emitted code has not.
bool host_has(OpFeature feature) {
    switch (feature) {
        case OpFeature::Ssse3: return kHostFeatures.ssse3;
        case OpFeature::Aes: return kHostFeatures.aes;
        case OpFeature::Pclmul: return kHostFeatures.pclmul;
        case OpFeature::Sha: return kHostFeatures.sha;
        default: return true;
    }
}
/// VZEROUPPER and VZEROALL: what follows starts anew.
bool ends_level(const OpcodeRow& row) {
    return (row.attributes & aVex) && row.map == OpMap::M0F && row.opcode == 0x77;
}
}  // namespace

/// The host's registers hold what `level` says, and what the steps behind want: one check a block, as a rule.
void Translator::need_vectors(unsigned i, u8 level) {
    if (vectors_known_ >= level) return;
    clobber_flags();
    for (size_t n = i; n < steps_.size() && !ends_level(*steps_[n].row); ++n)
        level = std::max(level, vector_level(steps_[n]));
    e_.op({0, 0, 0x80}, 7, in_frame(offsetof(Frame, vectors_loaded)));
    e_.byte(level);
    const Fixup missing = e_.jcc_forward(kB);
    cold_.push_back({flags_, static_cast<u16>(i), missing, ColdVectors{level > kVectorsLow}, -1, e_.cursor});
    vectors_known_ = level;
}

/// PCMPESTRx takes lengths from RAX and RDX, so its memory operand goes by RCX alone.
void Translator::before_string_compare(unsigned i, Operand2& rm) {
    if (steps_[i].row->opcode & 2) return;
    if (rm.is_memory) rm = at(single(rm.mem, hRcx));
    e_.mov(hRax, kHome[kRax]);
    e_.mov(hRdx, kHome[kRdx]);
    rdx_group_ = -1;
}

/// The index is in the host's ECX.
void Translator::after_string_compare(unsigned i) {
    if (steps_[i].row->opcode & 1) e_.mov(kHome[kRcx], hRcx);
}

bool Translator::vector(unsigned i) {
    const Step& s = steps_[i];
    const OpcodeRow& row = *s.row;
    if (row.map == OpMap::M0F && row.opcode == 0x18) return true;  // prefetch
    if (row.map == OpMap::M0F && row.opcode == 0xAE && !s.insn.mem && row.prefix == OpPrefix::NP &&
        (s.insn.reg & 7) >= 5) {
        e_.byte(0x0F);
        e_.byte(0xAE);
        e_.byte(static_cast<u8>(0xC0 | (s.insn.reg & 7) << 3));
        return true;
    }
    if (!(row.attributes & aNative) || !host_has(row.feature)) return false;
    if ((row.attributes & aSseFp) && (block_.mode & mode_bits::kSseUnmasked)) return false;
    bool reg_is_vector = false, reg_is_general = false, reg_written = false, rm_general = false,
         rm_written = false, any_vector = false, any_mmx = row.feature == OpFeature::Mmx;
    unsigned size = 0;
    for (unsigned n = 0; n < 4; ++n) {
        Operand o = row.operands[n];
        switch (kind_of(o)) {
            case Kind::kNone: break;
            case Kind::kOther: return false;
            case Kind::kVectorReg: reg_is_vector = any_vector = true; break;
            case Kind::kGeneralReg:
                reg_is_general = true;
                reg_written = n == 0;
                break;
            case Kind::kVectorRm:
                any_vector = true;
                rm_written = n == 0;
                size = o == Operand::Udq ? 16 : o == Operand::Uq ? 8 : operand_size(s, o);
                break;
            case Kind::kMmxReg: any_mmx = true; break;
            case Kind::kMmxRm:
                any_mmx = true;
                rm_written = n == 0;
                size = operand_size(s, o);
                break;
            case Kind::kGeneralRm:
                rm_general = true;
                rm_written = n == 0;
                size = operand_size(s, o);
                break;
            case Kind::kMemory:
                rm_written = n == 0;
                size = operand_size(s, o);
                break;
        }
    }
    if (has_high_byte(s)) return false;
    rdx_group_ = carried_rdx_group_;
    rdx_kept_ = true;
    if (any_vector) need_vectors(i, kVectorsLow);
    if (any_mmx) need_x87(i);  // MMX registers are the x87 stack's
    rm_written = rm_written && (!s.insn.mem || (row.attributes & aMemWrite));
    Operand2 rm(s.insn.rm);
    bool rm_scratch = false;
    if (s.insn.mem) {
        rm = probe(i, size, rm_written, (row.attributes & aAligned) && size == 16);
    } else if (rm_general) {
        unsigned g = size == 1 ? s.insn.rm / 8u : s.insn.rm;
        if (kHome[g] == kInFrame) {
            rm_scratch = true;
            if (!rm_written) e_.load(hRcx, in_frame(frame_gpr(g)));
        }
        rm = Operand2(kHome[g] == kInFrame ? static_cast<u8>(hRcx) : kHome[g]);
    }
    if (row.flags_written) need_flags_for(i);
    u8 reg = s.insn.reg & (reg_is_vector || reg_is_general ? 15 : 7);
    bool reg_scratch = false;
    if (reg_is_general) {
        reg_scratch = kHome[reg] == kInFrame;
        if (reg_scratch) e_.load(hRax, in_frame(frame_gpr(reg)));
        reg = reg_scratch ? static_cast<u8>(hRax) : kHome[reg];
    }
    u8 prefix = row.prefix == OpPrefix::P66   ? 0x66
                : row.prefix == OpPrefix::PF3 ? 0xF3
                : row.prefix == OpPrefix::PF2 ? 0xF2
                                              : 0;
    if (s.insn.osize == 1 && prefix == 0xF2 && row.map == OpMap::M38)
        e_.byte(0x66);  // CRC32 with a 16-bit source
    if (is_string_compare(row)) before_string_compare(i, rm);
    if (row.modrm == modrm::NO) {  // EMMS
        e_.byte(0x0F);
        e_.byte(row.opcode);
        return true;
    }
    e_.op({prefix, static_cast<u8>(row.map), static_cast<u8>(s.insn.opcode), s.insn.rex_w != 0, size == 1},
          reg, rm);
    emit_immediate(s);
    if (is_string_compare(row)) after_string_compare(i);
    if (reg_scratch && reg_written) e_.store(in_frame(frame_gpr(s.insn.reg)), hRax);
    if (rm_scratch && rm_written) e_.store(in_frame(frame_gpr(s.insn.rm)), hRcx);
    if (row.flags_written) made_flags(i);
    return true;
}

}  // namespace shadowbox::jit
