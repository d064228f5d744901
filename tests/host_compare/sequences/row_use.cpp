// SPDX-License-Identifier: MIT
#include "sequences/row_use.h"

#include <cstring>

namespace shadowbox::compare {

namespace {

enum class Host : u8 { kAny, kNotAmd, kAmd };
struct Exception {
    const char* name;
    Host host;
    const char* reason;
};

/// The one table. `name` is the row's.
constexpr Exception kExceptions[] = {
    {"sysenter", Host::kAny, "a real system call on Intel, #UD in long mode on AMD"},
    {"sysexit", Host::kAmd, "#UD in long mode on AMD"},
    {"int1", Host::kAny, "hypervisors report it at the instruction instead of behind it; unit test instead"},
    {"push es", Host::kAmd, "32-bit push writes 4 bytes, Intel 2"},
    {"push cs", Host::kAmd, "32-bit push writes 4 bytes, Intel 2"},
    {"push ss", Host::kAmd, "32-bit push writes 4 bytes, Intel 2"},
    {"push ds", Host::kAmd, "32-bit push writes 4 bytes, Intel 2"},
    {"push fs", Host::kAmd, "pushes write whole cells, Intel 2 bytes"},
    {"push gs", Host::kAmd, "pushes write whole cells, Intel 2 bytes"},
    {"ud0", Host::kAmd, "has no ModRM byte"},
    {"ud1", Host::kAmd, "#UD before its operand is fetched"},
    {"sysret", Host::kAmd, "#GP instead of #UD in compatibility mode"},
    {"fstp1", Host::kNotAmd, "undocumented alias, behaves as AMD's"},
    {"ffree", Host::kNotAmd, "x87 tags and TOP of undefined cases follow AMD"},
    {"ffreep", Host::kNotAmd, "undocumented"},
    {"emms", Host::kNotAmd, "register contents afterwards follow AMD"},
    {"cvtpi2ps", Host::kNotAmd, "x87 transition with a memory operand follows AMD"},
    {"fcmovb", Host::kNotAmd, "C1 follows AMD"},
    {"fcmove", Host::kNotAmd, "C1 follows AMD"},
    {"fcmovbe", Host::kNotAmd, "C1 follows AMD"},
    {"fcmovu", Host::kNotAmd, "C1 follows AMD"},
    {"fcmovnb", Host::kNotAmd, "C1 follows AMD"},
    {"fcmovne", Host::kNotAmd, "C1 follows AMD"},
    {"fcmovnbe", Host::kNotAmd, "C1 follows AMD"},
    {"fcmovnu", Host::kNotAmd, "C1 follows AMD"},
    {"fcomi", Host::kNotAmd, "C1 follows AMD"},
    {"fcomip", Host::kNotAmd, "C1 follows AMD"},
    {"fucomi", Host::kNotAmd, "C1 follows AMD"},
    {"fucomip", Host::kNotAmd, "C1 follows AMD"},
    {"fprem", Host::kNotAmd, "number of reduction steps is the implementation's"},
    {"fprem1", Host::kNotAmd, "number of reduction steps is the implementation's"},
    {"fsin", Host::kNotAmd, "last bits are the implementation's"},
    {"fcos", Host::kNotAmd, "last bits are the implementation's"},
    {"fsincos", Host::kNotAmd, "last bits are the implementation's"},
    {"fptan", Host::kNotAmd, "last bits are the implementation's"},
    {"fpatan", Host::kNotAmd, "last bits are the implementation's"},
    {"f2xm1", Host::kNotAmd, "last bits are the implementation's"},
    {"fyl2x", Host::kNotAmd, "last bits are the implementation's"},
    {"fyl2xp1", Host::kNotAmd, "last bits are the implementation's"},
};

/// aSys rows whose outcome in user mode is the same everywhere: traps, and privileged instructions, which
/// must #GP.
bool harmless_system(const OpcodeRow& row) {
    if (row.attributes & aPriv) return true;
    for (const char* name :
         {"int3",       "int",      "into",     "int1",        "ud2",      "ud1",      "ud0",     "cli",
          "sti",        "in",       "out",      "ins",         "outs",     "push es",  "push cs", "push ss",
          "push ds",    "push fs",  "push gs",  "arpl",        "rdfsbase", "rdgsbase", "ldmxcsr", "stmxcsr",
          "maskmovdqu", "vldmxcsr", "vstmxcsr", "vmaskmovdqu", "maskmovq", "fldenv",   "frstor"}) {
        if (named(row, name)) return true;
    }
    return named(row, "mov") && row.opcode == 0x8C;
}

}  // namespace

bool HostCpu::has(OpFeature feature) const {
    if (all) return true;
    auto bit = [](unsigned word, unsigned n) { return static_cast<bool>(word >> n & 1); };
    switch (feature) {
        case OpFeature::Sse3: return bit(leaf1_ecx, 0);
        case OpFeature::Pclmul: return bit(leaf1_ecx, 1);
        case OpFeature::Ssse3: return bit(leaf1_ecx, 9);
        case OpFeature::Cx16: return bit(leaf1_ecx, 13);
        case OpFeature::Sse41: return bit(leaf1_ecx, 19);
        case OpFeature::Sse42: return bit(leaf1_ecx, 20);
        case OpFeature::Movbe: return bit(leaf1_ecx, 22);
        case OpFeature::Popcnt: return bit(leaf1_ecx, 23);
        case OpFeature::Aes: return bit(leaf1_ecx, 25);
        case OpFeature::Fsgsbase: return bit(leaf7_ebx, 0);
        case OpFeature::Bmi1: return bit(leaf7_ebx, 3);
        case OpFeature::Bmi2: return bit(leaf7_ebx, 8);
        case OpFeature::Invpcid: return bit(leaf7_ebx, 10);
        case OpFeature::Adx: return bit(leaf7_ebx, 19);
        case OpFeature::Smap: return bit(leaf7_ebx, 20);
        case OpFeature::Clflushopt: return bit(leaf7_ebx, 23);
        case OpFeature::Clwb: return bit(leaf7_ebx, 24);
        case OpFeature::Sha: return bit(leaf7_ebx, 29);
        case OpFeature::Lzcnt: return bit(extended_ecx, 5);
        case OpFeature::Prefetchw: return bit(extended_ecx, 8);
        case OpFeature::Avx:
        case OpFeature::Avx2:
        case OpFeature::Fma:
        case OpFeature::F16c: return v3;
        default: return true;
    }
}

bool named(const OpcodeRow& row, const char* name) { return strcmp(row.name, name) == 0; }
bool has_operand(const OpcodeRow& row, Operand operand) {
    for (Operand o : row.operands)
        if (o == operand) return true;
    return false;
}
bool is_avx(const OpcodeRow& row) {
    return row.feature == OpFeature::Avx || row.feature == OpFeature::Avx2 || row.feature == OpFeature::Fma ||
           row.feature == OpFeature::F16c;
}
bool is_string(const OpcodeRow& row) { return row.attributes & aString; }
bool is_near_branch(const OpcodeRow& row) { return (row.attributes & aBranch) && !(row.attributes & aSys); }

std::string vendor_reason(const OpcodeRow& row, const HostCpu& host) {
    for (const Exception& e : kExceptions) {
        if (named(row, e.name) && (e.host == Host::kAny || (e.host == Host::kAmd) == host.amd))
            return e.reason;
    }
    return "";
}

std::string vendor_table_text() {
    std::string text;
    for (const Exception& e : kExceptions) {
        const char* where = e.host == Host::kAny   ? "every host"
                            : e.host == Host::kAmd ? "AMD hosts"
                                                   : "other than AMD hosts";
        text += std::string(e.name) + ": left out on " + where + ": " + e.reason + "\n";
    }
    return text +
           "forms: near branches with 66H in 64-bit mode; SHLD and SHRD of 16 bits by more than 16; BSWAP of "
           "16 bits; VPINSRQ and VPEXTRQ outside 64-bit mode (AMD: #UD), VPERMQ and VPERMPD with W0 (AMD: "
           "taken); F2 and F3 before LOOPE and LOOPNE\n"
           "  (AMD lets them choose the condition); on AMD LOCK MOV CR (means CR8) and PREFETCHW of a "
           "register (#UD there)\n"
           "outcomes: on AMD a misaligned operand of a SHA instruction (no #GP there),\n"
           "  CMPS with two faulting operands, CVT*PI with an unmasked SIMD exception, an unmasked x87 "
           "Invalid or Denormal,\n"
           "  DPPS, DPPD, VDPPS and VDPPD with an unmasked exception, MASKMOV with a fault, REP INS and OUTS "
           "of count 0, CALL with two faults,\n"
           "  registers after a fault in POPA, CR2 of FLDENV and FRSTOR, faults of ARPL and BOUND, MXCSR bit "
           "17, #AC of a gather,\n"
           "  RF when a trap comes in place of a gather's fault\n"
           "gap: MXCSR.PE after an unmasked SIMD underflow or overflow is that of the masked result\n";
}

RowUse row_use(const OpcodeRow& row, bool mode32, const HostCpu& host) {
    if (row.attributes & (mode32 ? aO64 : aI64)) return RowUse::kOtherMode;
    if ((row.attributes & aSys) && !harmless_system(row)) return RowUse::kSystem;
    if (!host.has(row.feature)) return RowUse::kNoFeature;
    if (!vendor_reason(row, host).empty()) return RowUse::kVendor;
    return RowUse::kCompare;
}

}  // namespace shadowbox::compare
