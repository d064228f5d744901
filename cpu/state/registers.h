// SPDX-License-Identifier: MIT
// Architectural register layouts: flag and control-register bits, segment registers, x87 and vector state.
#pragma once

#include "core/integers.h"

namespace shadowbox {

enum Gpr : u8 {
    kRax,
    kRcx,
    kRdx,
    kRbx,
    kRsp,
    kRbp,
    kRsi,
    kRdi,
    kR8,
    kR9,
    kR10,
    kR11,
    kR12,
    kR13,
    kR14,
    kR15
};

/// RFLAGS, SDM 1 3.4.3.
/// DR6 (SDM 3B 18.2.3): breakpoints 0 to 3, access to a debug register, single step, task switch.
namespace dr6 {
constexpr u64 kBreakpoints = 15, kBD = 1 << 13, kBS = 1 << 14, kBT = 1 << 15;
}
namespace dr7 {
constexpr u64 kGD = 1 << 13;
}
namespace debugctl {
constexpr u64 kLBR = 1, kBTF = 2;  ///< BTF: TF traps branches only
}
namespace rflags {
constexpr u64 kCF = 1, kFixed = 2, kPF = 4, kAF = 0x10, kZF = 0x40, kSF = 0x80, kTF = 0x100, kIF = 0x200,
              kDF = 0x400, kOF = 0x800, kIOPL = 0x3000, kNT = 0x4000, kRF = 0x10000, kVM = 0x20000,
              kAC = 0x40000, kVIF = 0x80000, kVIP = 0x100000, kID = 0x200000;
constexpr u64 kArithmetic = kCF | kPF | kAF | kZF | kSF | kOF;
constexpr u64 kAll = kArithmetic | kTF | kIF | kDF | kIOPL | kNT | kRF | kVM | kAC | kVIF | kVIP | kID;
}  // namespace rflags

/// SDM 3A 2.5.
namespace cr0 {
constexpr u64 kPE = 1, kMP = 2, kEM = 4, kTS = 8, kET = 16, kNE = 32, kWP = 1 << 16, kAM = 1 << 18,
              kNW = 1 << 29, kCD = 1 << 30, kPG = 1u << 31;
}
namespace cr4 {
constexpr u64 kVME = 1, kPVI = 2, kTSD = 4, kDE = 8, kPSE = 16, kPAE = 32, kMCE = 64, kPGE = 128, kPCE = 256,
              kOSFXSR = 512, kOSXMMEXCPT = 1024, kUMIP = 1 << 11, kLA57 = 1 << 12, kVMXE = 1 << 13,
              kFSGSBASE = 1 << 16, kPCIDE = 1 << 17, kOSXSAVE = 1 << 18, kSMEP = 1 << 20, kSMAP = 1 << 21,
              kPKE = 1 << 22;
}
namespace efer {
constexpr u64 kSCE = 1, kLME = 1 << 8, kLMA = 1 << 10, kNXE = 1 << 11;
}

/// A segment register with its hidden part. `attributes` are bits 8-15 and 20-23 of the descriptor's high
/// word, shifted right by 8: type(0-3) S(4) DPL(5-6) P(7) AVL(12) L(13) D/B(14) G(15). `limit` is in bytes,
/// inclusive.
struct SegmentRegister {
    u16 selector = 0;
    u16 attributes = 0;
    u32 limit = 0;
    u64 base = 0;

    unsigned type() const { return attributes & 15; }
    bool code_or_data() const { return attributes & 0x10; }
    unsigned dpl() const { return attributes >> 5 & 3; }
    bool present() const { return attributes & 0x80; }
    bool is_code() const { return (attributes & 0x18) == 0x18; }
    bool readable() const { return !is_code() || (attributes & 2); }
    bool writable() const { return !is_code() && (attributes & 2); }
    bool expand_down() const { return !is_code() && (attributes & 4); }
    bool long_mode() const { return attributes & 0x2000; }
    bool big() const { return attributes & 0x4000; }
};

struct TableRegister {
    u64 base = 0;
    u16 limit = 0;
};

/// One x87 register as stored by FSTP m80.
struct Float80 {
    u64 significand = 0;
    u16 sign_exponent = 0;
};

/// x87 state, SDM 1 8.1. `st` is indexed by PHYSICAL register number; ST(i) is st[(top + i) & 7].
/// MMX registers are the significands of the physical registers 0 to 7.
struct X87State {
    Float80 st[8];
    u16 control = 0x37F;
    u16 status = 0;   ///< TOP lives here in bits 11-13
    u8 empty = 0xFF;  ///< bit n set: physical register n is empty (tag 11B)
    u16 opcode = 0;   ///< FOP, 11 bits
    u16 code_segment = 0, data_segment = 0;
    u64 instruction_pointer = 0, data_pointer = 0;

    static constexpr u16 kErrorSummary = 0x80;  ///< FSW.ES: an unmasked exception is pending
    unsigned top() const { return status >> 11 & 7; }
    void set_top(unsigned top) { status = static_cast<u16>((status & ~0x3800) | (top & 7) << 11); }
};

/// One vector register, wide enough for AVX; SSE uses the first 16 bytes.
union alignas(32) VectorRegister {
    u8 byte[32];
    u16 word[16];
    u32 dword[8];
    u64 qword[4];
};

}  // namespace shadowbox
