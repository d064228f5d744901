// SPDX-License-Identifier: MIT
// One row of opcodes.def as data. From the rows derive: decode tables, mnemonics, CPUID feature checks, the
// coverage table, and which encodings the random tester may generate.
#pragma once

#include "cpu/decode/insn.h"

namespace shadowbox {

/// Opcode maps: one byte, 0F, 0F 38, 0F 3A. (VEX maps share numbers, with attribute kVex.)
enum class OpMap : u8 { M0, M0F, M38, M3A };

/// Mandatory prefix. ANY: 66/F2/F3 do not choose the row. NP: none of them present. NFx: neither F2 nor F3.
enum class OpPrefix : u8 { ANY, NP, P66, PF3, PF2, NFx };

/// ModRM constraint: NO = none follows; R = any; M/RR = memory or register form only; D(n)/DM(n)/DR(n) with
/// /n; X(b) = exactly this byte.
namespace modrm {
constexpr u16 NO = 0, R = 1, M = 2, RR = 3;
constexpr u16 D(unsigned n) { return static_cast<u16>(0x10 | n); }
constexpr u16 DM(unsigned n) { return static_cast<u16>(0x20 | n); }
constexpr u16 DR(unsigned n) { return static_cast<u16>(0x30 | n); }
constexpr u16 X(unsigned byte) { return static_cast<u16>(0x100 | byte); }

constexpr bool fits(u16 constraint, u8 byte) {
    bool reg_form = byte >> 6 == 3;
    unsigned n = byte >> 3 & 7;
    switch (constraint) {
        case NO:
        case R: return true;
        case M: return !reg_form;
        case RR: return reg_form;
        default: break;
    }
    if (constraint & 0x100) return byte == (constraint & 0xFF);
    if ((constraint & 7) != n) return false;
    switch (constraint & 0xF0) {
        case 0x20: return !reg_form;
        case 0x30: return reg_form;
        default: return true;
    }
}
}  // namespace modrm

/// `rep`: the last of F2 and F3, or 0.
constexpr bool prefix_fits(OpPrefix wanted, bool operand, u8 rep) {
    switch (wanted) {
        case OpPrefix::NP: return !operand && !rep;
        case OpPrefix::P66: return operand && !rep;
        case OpPrefix::PF3: return rep == 0xF3;
        case OpPrefix::PF2: return rep == 0xF2;
        case OpPrefix::NFx: return !rep;
        default: return true;
    }
}

/// Operands in the SDM's letters (2A appendix A.2). Sizes: b 8, w 16, d 32, q 64, v by operand size, z 16/32,
/// y 32/64, dq 128, s pseudo-descriptor, p far pointer.
// clang-format off
enum class Operand : u8 {
    None,
    Eb, Ew, Ed, Eq, Ev, Ey,          // ModRM.rm, register or memory
    Gb, Gw, Gd, Gq, Gv, Gy,          // ModRM.reg, general register
    Rd, Rq, Rv, Ry,                  // ModRM.rm, register only
    M, Mb, Mw, Md, Mq, Mv, My, Mdq, Mp, Ms, Ma,  // memory only (M: no access or a special size)
    Mf32, Mf64, Mf80, Mi16, Mi32, Mi64, Mbcd, Menv, Mfp, Mfx, Mxs,  // x87/FXSAVE/XSAVE memory formats
    Ib, Ibs, Iw, Iz, Iv, I1,         // immediates; Ibs sign-extends to the operand size; I1 the constant 1
    Jb, Jz, Ap, Ob, Ov,              // branch displacements, direct far pointer, moffs
    Zb, Zv, Zd,                      // register in the low three opcode bits
    AL, AX, rAX, CL, DX,             // implicit registers (rAX by operand size)
    Sw, Cd, Dd,                      // segment, control, debug register in ModRM.reg
    Xb, Xv, Yb, Yv,                  // DS:rSI and ES:rDI of string instructions
    Fv,                              // the flags register
    ST0, STi,                        // x87 stack
    Pq, Pd, Qq, Qd, Nq,              // MMX: reg, rm (reg or memory), rm register only
    Vdq, Vq, Vd,                     // XMM in ModRM.reg; the size says how much is used
    Wdq, Wq, Wd, Ww, Wb, Udq, Uq,    // XMM or memory in ModRM.rm; U: register only
    XMM0,                            // implicit
    Vx, Wx, Ux, Mx,                  // the same, and memory only, of VEX.L's width: 16 or 32 bytes
    Wx2, Wx4, Wx8,                   // half, a quarter, an eighth of that width
    Hx, Hdq,                         // vector register in VEX.vvvv
    Lx,                              // vector register in imm8[7:4]; Insn::imm is the whole byte
    Mvs,                             // VSIB memory: base general, index a vector register, whose number is Insn::imm
};
// clang-format on

/// CPUID feature a row needs; #UD when the CPU model does not offer it.
enum class OpFeature : u8 {
    Base,
    X87,
    Mmx,
    Sse,
    Sse2,
    Sse3,
    Ssse3,
    Sse41,
    Sse42,
    Popcnt,
    Lzcnt,
    Bmi1,
    Bmi2,
    Adx,
    Movbe,
    Cx16,
    Cx8,
    Aes,
    Pclmul,
    Sha,
    Rdrand,
    Rdseed,
    Clflush,
    Clflushopt,
    Clwb,
    Rdtscp,
    Rdpid,
    Fxsr,
    Xsave,
    Xsaveopt,
    Xsavec,
    Xsaves,
    Fsgsbase,
    Smap,
    Invpcid,
    Syscall,
    Sysenter,
    Monitor,
    Pku,
    Cmov,
    Prefetchw,
    Lm,
    Avx,
    Avx2,
    Fma,
    F16c,
};

/// Attributes.
enum OpAttributes : u32 {
    aNone = 0,
    aLock = 1 << 0,  ///< LOCK allowed with a memory destination
    aI64 = 1 << 1,   ///< #UD in 64-bit mode
    aO64 = 1 << 2,   ///< only in 64-bit mode
    aD64 = 1 << 3,   ///< operand size defaults to 64 in 64-bit mode (16 with 66)
    aF64 = 1 << 4,   ///< operand size is 64 in 64-bit mode whatever the prefixes say
    aEnd = 1 << 5,   ///< ends a block: may change RIP, mode, translation or interruptibility
    aPriv = 1 << 6,  ///< CPL 0 only (the op itself raises #GP)
    aSys = 1 << 7,   ///< touches system state, or gives other results on the host: not for the random tester
    aBranch = 1 << 8,    ///< changes RIP
    aString = 1 << 9,    ///< REP prefixes repeat it (the row then ends its block)
    aAligned = 1 << 11,  ///< #GP unless a 16-byte (VEX.256: 32-byte) memory operand is aligned
    aVex = 1 << 12,      ///< VEX encoded
    aProt = 1 << 13,     ///< #UD in real and virtual-8086 mode
    aMemRead = 1 << 14,
    aMemWrite = 1 << 15,   ///< how a memory operand is used (the tester and the JIT want to know)
    aNative = 1 << 16,     ///< user-mode encoding that a same-ISA translator may emit again (JIT)
    aSseFp = 1 << 17,      ///< can raise SIMD floating-point exceptions (#XM)
    aCondFlags = 1 << 18,  ///< may leave the flags it writes unchanged (shift counts of 0)
    aStack = 1 << 19,      ///< implicit access through rSP: segment SS
    // VEX fields that must have one value, else #UD. Without these, L and W are ignored or choose an operand
    // size.
    aL0 = 1 << 20,
    aL1 = 1 << 21,
    aW0 = 1 << 22,
    aW1 = 1 << 23,
    aNoVvvv = 1 << 24,  ///< VEX.vvvv is not used and must be 1111B
};

struct OpcodeRow {
    OpMap map;
    OpPrefix prefix;
    u8 opcode;
    u16 modrm;
    const char* name;
    Operand operands[4];
    OpFeature feature;
    u32 attributes;
    u32 flags_read, flags_written, flags_undefined;  ///< rflags bits; written includes undefined ones
    Handler handler;                                 ///< or, if null, `select`
    Handler (*select)(Insn& insn, bool flags_dead);  ///< may reorder operands to fit the handler it picks
    const char* handler_name;
};

/// JMP, Jcc, CALL, LOOP, JRCXZ to an address relative to RIP: Insn::disp is the target.
inline bool has_relative_target(const OpcodeRow& row) {
    return row.operands[0] == Operand::Jb || row.operands[0] == Operand::Jz;
}

/// PCMPESTRM, PCMPESTRI, PCMPISTRM, PCMPISTRI, with and without VEX. Opcode bit 1: lengths are implicit; bit
/// 0: an index goes to ECX.
inline bool is_string_compare(const OpcodeRow& row) {
    return row.map == OpMap::M3A && row.opcode >= 0x60 && row.opcode <= 0x63;
}

/// All rows, in the order of opcodes.def; Insn::row indexes it.
extern const OpcodeRow kOpcodeRows[];
extern const unsigned kOpcodeRowCount;

}  // namespace shadowbox
