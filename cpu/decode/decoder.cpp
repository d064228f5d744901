// SPDX-License-Identifier: MIT
// Prefixes, opcode maps, ModRM/SIB, displacements and immediates: SDM 2A chapter 2.
#include "cpu/decode/decoder.h"

#include <cstring>
#include <vector>

#include "cpu/decode/absent_opcodes.h"
#include "cpu/ops/pseudo.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {

/// Row numbers by map and opcode, in table order.
struct Index {
    std::vector<u16> rows[4][256];
    Index() {
        for (unsigned i = 0; i < kOpcodeRowCount; ++i) {
            const OpcodeRow& row = kOpcodeRows[i];
            rows[static_cast<unsigned>(row.map)][row.opcode].push_back(static_cast<u16>(i));
            bool in_opcode = false;
            for (Operand operand : row.operands)
                in_opcode |= operand == Operand::Zb || operand == Operand::Zv || operand == Operand::Zd;
            if (!in_opcode) continue;
            for (unsigned n = 1; n < 8; ++n)
                rows[static_cast<unsigned>(row.map)][row.opcode + n].push_back(static_cast<u16>(i));
        }
    }
};
const Index& index() {
    static const Index table;
    return table;
}

struct Cursor {
    const u8* bytes;
    unsigned available;
    unsigned at = 0;
    bool more = false;
    u8 peek() {
        if (at >= available) {
            more = true;
            return 0;
        }
        return bytes[at];
    }
    u8 take() {
        u8 b = peek();
        ++at;
        return b;
    }
    i64 take_signed(unsigned size) {
        u64 value = 0;
        for (unsigned i = 0; i < size; ++i) value |= static_cast<u64>(take()) << (8 * i);
        unsigned shift = 64 - 8 * size;
        return static_cast<i64>(value << shift) >> shift;
    }
};

struct Prefixes {
    bool operand = false, address = false, lock = false;
    u8 last_rep = 0;  // F2 or F3
    i8 seg = -1;
    u8 rex = 0;
    bool vex = false, vex_l = false;
    u8 vvvv = 0;
};

Prefixes take_prefixes(Cursor& in, bool long64) {
    Prefixes p;
    for (;;) {
        u8 b = in.peek();
        if (in.more || in.at >= 15) return p;
        switch (b) {
            case 0x66: p.operand = true; break;
            case 0x67: p.address = true; break;
            case 0xF0: p.lock = true; break;
            case 0xF2:
            case 0xF3: p.last_rep = b; break;
            case 0x26:
                if (!long64) p.seg = kEs;
                break;  // ignored in 64-bit mode (SDM 2A 2.1.1)
            case 0x2E:
                if (!long64) p.seg = kCs;
                break;
            case 0x36:
                if (!long64) p.seg = kSs;
                break;
            case 0x3E:
                if (!long64) p.seg = kDs;
                break;
            case 0x64: p.seg = kFs; break;
            case 0x65: p.seg = kGs; break;
            default:
                if (long64 && (b & 0xF0) == 0x40) {
                    p.rex = b;
                    in.take();
                    u8 after = in.peek();
                    // A REX that is not right before the opcode has no effect.
                    bool legacy = after == 0x66 || after == 0x67 || after == 0xF0 || after == 0xF2 ||
                                  after == 0xF3 || after == 0x2E || after == 0x36 || after == 0x3E ||
                                  after == 0x26 || after == 0x64 || after == 0x65;
                    if ((after & 0xF0) == 0x40 || legacy) {
                        p.rex = 0;
                        continue;
                    }
                    return p;
                }
                return p;
        }
        in.take();
    }
}

/// C4 or C5 in 64-bit mode, or before a register-form ModRM elsewhere in protected mode (else LES and LDS).
/// Fills in what REX and mandatory prefixes would have said; returns the opcode map, or -1.
int take_vex(const DecodeContext& context, Cursor& in, Prefixes& p, bool& invalid) {
    u8 lead = in.peek();
    if (in.more || (lead != 0xC4 && lead != 0xC5)) return -1;
    bool long64 = context.mode & mode_bits::kLong64;
    if (in.at + 1 >= in.available) {
        in.more = true;
        return -1;
    }
    u8 first = in.bytes[in.at + 1];
    if (!long64 && ((first & 0xC0) != 0xC0 || !(context.mode & mode_bits::kProtected) ||
                    (context.mode & mode_bits::kVm86)))
        return -1;
    invalid = p.operand || p.last_rep || p.lock || p.rex;
    in.at += 2;
    int map = 1;
    u8 last = first;
    p.rex = static_cast<u8>((first & 0x80 ? 0 : 4));
    if (lead == 0xC4) {
        last = in.take();
        map = first & 31;
        if (!(first & 0x40)) p.rex |= 2;
        if (!(first & 0x20)) p.rex |= 1;
        if (last & 0x80) p.rex |= 8;
    }
    if (!long64) p.rex &= 8;
    p.vex = true;
    p.vex_l = last & 4;
    p.vvvv = static_cast<u8>(~last >> 3 & 15);
    if (!long64) p.vvvv &= 7;
    static constexpr u8 kRep[4] = {0, 0, 0xF3, 0xF2};
    p.operand = (last & 3) == 1;
    p.last_rep = kRep[last & 3];
    if (map < 1 || map > 3) invalid = true;
    return map;
}

/// L, W and vvvv as the row demands them (SDM 2A 2.3).
bool vex_fits(const OpcodeRow& row, const Prefixes& p) {
    u32 wrong = (p.vex_l ? aL0 : aL1) | (p.rex & 8 ? aW0 : aW1);
    if (p.vvvv) wrong |= aNoVvvv;
    return !(row.attributes & wrong);
}

const OpcodeRow* find_row(const DecodeContext& context, unsigned map, u8 opcode, const Prefixes& p,
                          Cursor& in, u16& number) {
    bool long64 = context.mode & mode_bits::kLong64;
    bool protected_mode = (context.mode & mode_bits::kProtected) && !(context.mode & mode_bits::kVm86);
    for (u16 i : index().rows[map][opcode]) {
        const OpcodeRow& row = kOpcodeRows[i];
        if (row.attributes & (long64 ? aI64 : aO64)) continue;
        if (static_cast<bool>(row.attributes & aVex) != p.vex) continue;
        if (p.vex && !vex_fits(row, p)) continue;
        if ((row.attributes & aProt) && !protected_mode) continue;
        if (!prefix_fits(row.prefix, p.operand, p.last_rep)) continue;
        if (!context.model->has(row.feature)) continue;
        // F3 90 is PAUSE, but with REX.B it names R8: XCHG (the row after it).
        if (map == 0 && opcode == 0x90 && row.prefix == OpPrefix::PF3 && (p.rex & 1)) continue;
        if (row.modrm != modrm::NO) {
            u8 byte = in.peek();
            if (in.more) return nullptr;
            if (!modrm::fits(row.modrm, byte)) continue;
        }
        number = i;
        return &row;
    }
    return nullptr;
}

/// 16-bit ModRM addressing, SDM 2A table 2-1.
void take_address16(Cursor& in, unsigned mod, unsigned rm, Insn& insn) {
    static constexpr u8 kBase[8] = {kRbx, kRbx, kRbp, kRbp, kRsi, kRdi, kRbp, kRbx};
    static constexpr u8 kIndex[8] = {kRsi,        kRdi,        kRsi,        kRdi,
                                     kNoRegister, kNoRegister, kNoRegister, kNoRegister};
    insn.rm = kBase[rm];
    insn.index = kIndex[rm];
    if (mod == 0 && rm == 6) {
        insn.rm = kNoRegister;
        insn.disp = in.take_signed(2);
    } else if (mod != 0) {
        insn.disp = in.take_signed(mod == 1 ? 1 : 2);
    }
    if (insn.rm == kRbp) insn.seg = kSs;
}

/// 32/64-bit addressing with SIB. Returns whether it is RIP-relative.
bool take_address(Cursor& in, unsigned mod, unsigned rm, u8 rex, bool long64, Insn& insn) {
    bool rip_relative = false;
    insn.rm = static_cast<u8>(rm | (rex & 1) << 3);
    bool no_base = false;
    if (rm == 4) {
        u8 sib = in.take();
        unsigned index = (sib >> 3 & 7) | (rex & 2) << 2;
        insn.index = index == 4 ? kNoRegister : static_cast<u8>(index);
        insn.scale = sib >> 6;
        insn.rm = static_cast<u8>((sib & 7) | (rex & 1) << 3);
        no_base = (sib & 7) == 5 && mod == 0;
    } else if (rm == 5 && mod == 0) {
        no_base = true;
        rip_relative = long64;
    }
    if (no_base) insn.rm = kNoRegister;
    if (mod == 1)
        insn.disp = in.take_signed(1);
    else if (mod == 2 || no_base)
        insn.disp = in.take_signed(4);
    if (insn.rm == kRsp || insn.rm == kRbp) insn.seg = kSs;
    return rip_relative;
}

unsigned immediate_size(Operand operand, unsigned osize) {
    switch (operand) {
        case Operand::Ib:
        case Operand::Ibs:
        case Operand::Jb:
        case Operand::Lx: return 1;
        case Operand::Iw: return 2;
        case Operand::Iz:
        case Operand::Jz: return osize == 1 ? 2 : 4;
        case Operand::Iv: return osize == 1 ? 2 : osize == 2 ? 4 : 8;
        default: return 0;
    }
}

void take_modrm(const DecodeContext& context, const OpcodeRow& row, Cursor& in, const Prefixes& p, Insn& insn,
                bool& rip_relative, bool& vsib_missing) {
    bool long64 = context.mode & mode_bits::kLong64;
    u8 byte = in.take();
    unsigned mod = byte >> 6, rm = byte & 7;
    insn.reg = static_cast<u8>((byte >> 3 & 7) | (p.rex & 4) << 1);
    bool control = row.operands[0] == Operand::Cd || row.operands[0] == Operand::Dd ||
                   row.operands[1] == Operand::Cd || row.operands[1] == Operand::Dd;
    if (mod == 3 || control) {
        insn.rm = static_cast<u8>(rm | (p.rex & 1) << 3);
        return;
    }
    insn.mem = 1;
    insn.seg = kDs;
    bool sib = insn.asize != 1 && rm == 4;
    u8 sib_byte = sib ? in.peek() : 0;
    if (insn.asize == 1)
        take_address16(in, mod, rm, insn);
    else
        rip_relative = take_address(in, mod, rm, p.rex, long64, insn);
    if (row.operands[1] == Operand::Mvs) {
        // The index is a vector register, 4 included; no SIB byte is #UD (SDM 2A 2.3.12).
        vsib_missing = !sib;
        insn.index = kNoRegister;
        insn.imm = (sib_byte >> 3 & 7) | (p.rex & 2) << 2;
    }
    if (p.seg >= 0) insn.seg = static_cast<u32>(p.seg);
}

/// Outside 64-bit mode VEX.W does not widen general registers (SDM 2C VMOVQ, VPINSRQ), nor those with string
/// lengths.
bool has_sized_general(const OpcodeRow& row) {
    if (is_string_compare(row)) return true;
    for (Operand operand : row.operands)
        if (operand == Operand::Ey || operand == Operand::Gy || operand == Operand::My) return true;
    return false;
}

/// Puts 8-bit register numbers into their byte-offset form; drops REX bits of MMX, x87 and segment registers.
void fix_registers(const OpcodeRow& row, const Prefixes& p, Insn& insn) {
    for (Operand operand : row.operands) {
        switch (operand) {
            case Operand::Eb:
                if (!insn.mem) insn.rm = byte_register(insn.rm, p.rex != 0);
                break;
            case Operand::Gb:
            case Operand::Zb: insn.reg = byte_register(insn.reg, p.rex != 0); break;
            case Operand::Pq:
            case Operand::Pd:
            case Operand::Sw: insn.reg &= 7; break;
            case Operand::Qq:
            case Operand::Qd:
            case Operand::Nq:
            case Operand::STi:
                if (!insn.mem) insn.rm &= 7;
                break;
            default: break;
        }
    }
}

}  // namespace

DecodeStatus decode_insn(const DecodeContext& context, const u8* bytes, unsigned available, Insn& insn) {
    bool long64 = context.mode & mode_bits::kLong64;
    bool code32 = context.mode & mode_bits::kCode32;
    memset(&insn, 0, sizeof insn);
    insn.rm = insn.index = kNoRegister;
    insn.seg = kDs;
    Cursor in{bytes, std::min(available, 16u)};
    bool page_end = available < 16;
    auto incomplete = [&] {
        return in.at > 15 || !page_end ? DecodeStatus::kTooLong : DecodeStatus::kNeedMore;
    };

    Prefixes p = take_prefixes(in, long64);
    unsigned map = 0;
    bool invalid_vex = false;
    int vex_map = take_vex(context, in, p, invalid_vex);
    u8 opcode = in.take();
    if (vex_map >= 0) {
        if (invalid_vex) {
            insn.length = in.at;
            return DecodeStatus::kUndefined;
        }
        map = static_cast<unsigned>(vex_map);
    } else if (opcode == 0x0F) {
        opcode = in.take();
        map = 1;
        if (opcode == 0x38) {
            map = 2;
            opcode = in.take();
        } else if (opcode == 0x3A) {
            map = 3;
            opcode = in.take();
        }
    }
    if (in.more || in.at > 15) return incomplete();
    u16 number = 0;
    const OpcodeRow* row = find_row(context, map, opcode, p, in, number);
    if (in.more) return incomplete();
    insn.length = std::min(in.at, 15u);
    if (!row) {
        int next = in.at < in.available ? in.bytes[in.at] : -1;
        insn.imm = find_absent({map, opcode, p.operand, p.last_rep, p.vex, next});
        return DecodeStatus::kUndefined;
    }

    insn.row = number;
    insn.vex_l = p.vex_l;
    insn.vvvv = p.vvvv;
    insn.opcode = opcode;
    insn.rex_w = (p.rex & 8) != 0 && (long64 || !has_sized_general(*row));
    insn.lock = p.lock;
    insn.rep = static_cast<u32>(p.last_rep == 0xF3   ? RepPrefix::kRep
                                : p.last_rep == 0xF2 ? RepPrefix::kRepne
                                                     : RepPrefix::kNone);
    bool operand_prefix = p.operand && row->prefix != OpPrefix::P66;
    if (long64) {
        if ((p.rex & 8) || (row->attributes & aF64))
            insn.osize = 3;
        else if (operand_prefix)
            insn.osize = 1;
        else
            insn.osize = row->attributes & aD64 ? 3 : 2;
        insn.asize = p.address ? 2 : 3;
    } else {
        insn.osize = code32 != operand_prefix ? 2 : 1;
        insn.asize = code32 != p.address ? 2 : 1;
    }
    if (row->attributes & aStack) insn.seg = kSs;
    if ((row->attributes & aString) || row->operands[0] == Operand::Ob || row->operands[1] == Operand::Ob ||
        row->operands[0] == Operand::Ov || row->operands[1] == Operand::Ov) {
        insn.seg = p.seg >= 0 ? static_cast<u32>(p.seg) : static_cast<u32>(kDs);
    } else if (p.seg >= 0 && !(row->attributes & aStack)) {
        insn.seg = static_cast<u32>(p.seg);  // implicit memory operands (XLAT, MASKMOV)
    }
    bool rip_relative = false, vsib_missing = false;
    if (row->modrm != modrm::NO)
        take_modrm(context, *row, in, p, insn, rip_relative, vsib_missing);
    else
        insn.reg = static_cast<u8>((opcode & 7) | (p.rex & 1) << 3);
    fix_registers(*row, p, insn);

    bool first_immediate = true;
    for (Operand operand : row->operands) {
        if (unsigned size = immediate_size(operand, insn.osize)) {
            i64 value = in.take_signed(size);
            if (operand == Operand::Ib) value &= 0xFF;
            if (operand == Operand::Lx)
                value &= long64 ? 0xFF : 0x7F;  // 8 registers outside 64-bit mode: the top bit is ignored
            if (operand == Operand::Iw) value &= 0xFFFF;
            if (size == 8)
                insn.disp = value;
            else if (first_immediate || operand == Operand::Jz)
                insn.imm = static_cast<i32>(value);
            else
                insn.imm =
                    static_cast<i32>((insn.imm & 0xFFFF) | value << 16);  // ENTER: level above the size
            first_immediate = false;
        } else if (operand == Operand::I1) {
            insn.imm = 1;
        } else if (operand == Operand::Ob || operand == Operand::Ov) {
            insn.disp = in.take_signed(insn.asize == 3 ? 8 : insn.asize == 2 ? 4 : 2);
            insn.mem = 1;
        } else if (operand == Operand::Ap) {
            insn.imm = static_cast<i32>(in.take_signed(insn.osize == 1 ? 2 : 4));
            if (insn.osize == 1) insn.imm &= 0xFFFF;
            insn.disp = in.take_signed(2) & 0xFFFF;
        }
    }
    if (in.at > 15) return DecodeStatus::kTooLong;
    if (in.more) return incomplete();
    insn.length = in.at;
    u64 next = context.rip + insn.length;
    if (rip_relative) {
        insn.disp = static_cast<i64>(next + static_cast<u64>(insn.disp));
        insn.scale = kRipRelative;
        if (insn.asize == 2) insn.disp = static_cast<i64>(static_cast<u32>(insn.disp));
    }
    for (Operand operand : row->operands) {
        if (operand != Operand::Jb && operand != Operand::Jz) continue;
        u64 target = next + static_cast<u64>(static_cast<i64>(insn.imm));
        if (!long64)
            target &=
                insn.osize == 1 ? 0xFFFF : 0xFFFFFFFF;  // in 64-bit mode the operand size is forced (aF64)
        insn.disp = static_cast<i64>(target);
    }
    insn.flat = insn.mem && insn.asize == 3 && insn.seg < kFs;
    if (vsib_missing || (insn.lock && !((row->attributes & aLock) && insn.mem))) {
        insn.imm = 0;
        return DecodeStatus::kUndefined;
    }
    return DecodeStatus::kOk;
}

void choose_handler(const DecodeContext& context, Insn& insn, bool flags_dead) {
    const OpcodeRow& row = kOpcodeRows[insn.row];
    switch (row.feature) {
        case OpFeature::X87: {
            bool wait = row.map == OpMap::M0 && row.opcode == 0x9B;
            if (!wait && (context.mode & (mode_bits::kFpuEm | mode_bits::kFpuNm))) {
                insn.handler = op_no_fpu;
                return;
            }
            break;
        }
        case OpFeature::Mmx:
            if (context.mode & mode_bits::kFpuEm) {
                insn.handler = op_undefined;
                return;
            }
            if (context.mode & mode_bits::kFpuNm) {
                insn.handler = op_no_fpu;
                return;
            }
            break;
        case OpFeature::Sse:
        case OpFeature::Sse2:
        case OpFeature::Sse3:
        case OpFeature::Ssse3:
        case OpFeature::Sse41:
        case OpFeature::Sse42:
        case OpFeature::Aes:
        case OpFeature::Pclmul:
        case OpFeature::Sha: {
            bool no_state = row.operands[0] == Operand::Gy || row.operands[0] == Operand::None ||
                            row.operands[0] == Operand::Mb ||
                            (row.operands[0] == Operand::My &&
                             row.operands[1] == Operand::Gy);  // CRC32, fences, prefetches, MOVNTI
            bool general = no_state && row.operands[1] != Operand::Wd && row.operands[1] != Operand::Wq &&
                           row.operands[1] != Operand::Udq && row.operands[1] != Operand::Nq &&
                           row.operands[1] != Operand::Uq && row.operands[1] != Operand::Wdq &&
                           row.operands[1] != Operand::Vdq;
            if (!general && (context.mode & mode_bits::kSseUd)) {
                insn.handler = op_undefined;
                return;
            }
            if (!general && (context.mode & mode_bits::kFpuNm)) {
                insn.handler = op_no_fpu;
                return;
            }
            if ((row.attributes & aSseFp) && (context.mode & mode_bits::kSseUnmasked)) {
                insn.handler = sse_checked;
                return;
            }
            break;
        }
        case OpFeature::Avx:
        case OpFeature::Avx2:
        case OpFeature::Fma:
        case OpFeature::F16c:  // SDM 2A 2.4: no CR0.EM, no CR4.OSFXSR
            if (context.mode & mode_bits::kAvxOff) {
                insn.handler = op_undefined;
                return;
            }
            if (context.mode & mode_bits::kFpuNm) {
                insn.handler = op_no_fpu;
                return;
            }
            if ((row.attributes & aSseFp) && (context.mode & mode_bits::kSseUnmasked)) {
                insn.handler = sse_checked;
                return;
            }
            break;
        default: break;
    }
    insn.handler = row.handler ? row.handler : row.select(insn, flags_dead);
}

}  // namespace shadowbox
