// SPDX-License-Identifier: MIT
#include "comparison.h"

#include <capstone/capstone.h>
#include <fmt/format.h>

#include "cpu/state/registers.h"
#include "wild_path.h"

namespace shadowbox::compare {

namespace {

constexpr const char* kNames[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                    "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr u64 kTaskEnd = 0x7FFFFFFFF000;  // Linux reports every fault from here on as a protection fault

u32 undefined_at(const TestCase& c, u64 rip) {
    for (unsigned i = 0; i <= c.insns; ++i) {
        if (kCode + c.starts[i] == rip) return c.undefined[i];
    }
    u32 all = 0;  // a branch went elsewhere
    for (unsigned i = 0; i <= c.insns; ++i) all |= c.undefined[i];
    return all;
}

std::string fault_difference(const Outcome& n, const Outcome& e) {
    if (n.vector != e.vector) return fmt::format(" vector {} != {}", e.vector, n.vector);
    std::string text;
    u32 ignored = n.vector == 14 && n.cr2 >= kTaskEnd ? 1 : 0;
    if ((n.error ^ e.error) & ~ignored) text += fmt::format(" error code {:x} != {:x}", e.error, n.error);
    if (n.vector == 14 && n.cr2 != e.cr2) text += fmt::format(" CR2 {:x} != {:x}", e.cr2, n.cr2);
    return text;
}

std::string fx_difference(const MachineState& native, const MachineState& emulated) {
    const u8 *n = native.fx, *e = emulated.fx;
    std::string text;
    auto field = [&](const char* name, unsigned at, unsigned size) {
        if (memcmp(n + at, e + at, size) == 0) return;
        text += fmt::format(" {} ", name);
        for (unsigned i = size; i-- > 0;) text += fmt::format("{:02x}", e[at + i]);
        text += " != ";
        for (unsigned i = size; i-- > 0;) text += fmt::format("{:02x}", n[at + i]);
    };
    field("FCW", 0, 2);
    field("FSW", 2, 2);
    field("FTW", 4, 1);
    field("MXCSR", 24, 4);
    for (unsigned i = 0; i < 8; ++i) field(fmt::format("st{}", i).c_str(), 32 + 16 * i, 10);
    for (unsigned i = 0; i < 16; ++i) field(fmt::format("xmm{}", i).c_str(), 160 + 16 * i, 16);
    n = native.ymm_high, e = emulated.ymm_high;
    for (unsigned i = 0; i < 16; ++i) field(fmt::format("ymm{}h", i).c_str(), 16 * i, 16);
    return text;
}

std::string difference_but_for_rf(const TestCase& c, const Outcome& n, const Outcome& e) {
    static Outcome same;
    same = n;
    same.end.flags |= e.end.flags & rflags::kRF;
    return difference(c, same, e);
}

}  // namespace

bool excused(const TestCase& c, const Outcome& n, const Outcome& e, const HostCpu& host) {
    if (e.kind != Outcome::kException) return false;
    // INT1, reached by a wild jump: hypervisors report it at the instruction.
    if (n.vector == 1 && e.vector == 1 && !(n.end.flags & rflags::kTF) && e.end.rip - n.end.rip < 16)
        return true;
    if (!host.amd) return false;
    auto is_access = [](u8 vector) { return (vector >= 12 && vector <= 14) || vector == 17; };
    bool both_access = is_access(e.vector) && is_access(n.vector), same_place = n.end.rip == e.end.rip;
    for (unsigned i = 0; i < c.insns; ++i) {
        const OpcodeRow& row = kOpcodeRows[c.row[i]];
        // CVT*PI with an unmasked SIMD exception: AMD has entered MMX mode already.
        bool to_mmx = row.feature != OpFeature::Mmx &&
                      (has_operand(row, Operand::Pq) || has_operand(row, Operand::Qq)) &&
                      (row.attributes & aSseFp);
        if (to_mmx && n.vector == 19 && e.vector == 19) return true;
        if ((named(row, "dpps") || named(row, "dppd")) && n.vector == 19 && e.vector == 19) return true;
        // A tiny product inside VDPPS is not seen in its result.
        bool dot = named(row, "vdpps") || named(row, "vdppd");
        if (dot && n.vector == 19 && n.end.rip == kCode + c.starts[i]) return true;
        // Masked bytes of MASKMOV: AMD checks the whole operand.
        if ((named(row, "maskmovdqu") || named(row, "vmaskmovdqu") || named(row, "maskmovq")) &&
            (n.end.rip == kCode + c.starts[i] || e.end.rip == kCode + c.starts[i]))
            return true;
        // REP INS and OUTS with a count of 0: AMD checks the port first.
        if ((named(row, "ins") || named(row, "outs")) && n.end.rip == kCode + c.starts[i] && n.vector == 13)
            return true;
        if (e.end.rip != kCode + c.starts[i]) continue;
        // Gathers are not checked for alignment.
        if (has_operand(row, Operand::Mvs) && e.vector == 17) return true;
        // A trap in place of a gather's fault: the manual's image of the flags has RF, AMD's has not.
        bool rf_alone = !(n.end.flags & rflags::kRF) && e.end.flags & rflags::kRF &&
                        difference_but_for_rf(c, n, e).empty();
        if (has_operand(row, Operand::Mvs) && e.vector == 1 && rf_alone) return true;
        // SHA instructions take misaligned operands.
        if (row.feature == OpFeature::Sha && e.vector == 13 && !(n.vector == 13 && same_place)) return true;
        // MXCSR bit 17 exists.
        if ((named(row, "ldmxcsr") || named(row, "vldmxcsr")) && e.vector == 13) return true;
        // Two operands, or two pieces of one operand, fault: their order.
        bool pieces = has_operand(row, Operand::Mf80) || has_operand(row, Operand::Mbcd);
        if ((named(row, "cmps") || named(row, "movs") || pieces) && both_access && same_place) return true;
        // CALL whose push faults and whose target is no address; ENTER with a frame and a stack that fault.
        if ((named(row, "call") || named(row, "enter")) && both_access && same_place) return true;
        // A fault in the middle: AMD has written the registers popped so far, and reads environments in
        // another order.
        if (named(row, "popa") && same_place && n.vector == e.vector && both_access) return true;
        if ((named(row, "fldenv") || named(row, "frstor")) && same_place && both_access) return true;
        // ARPL reads before it asks for the right to write, of page and segment (CS); BOUND reads its limits
        // one by one.
        if (named(row, "arpl") && ((e.vector == 14 && (e.error & 2)) || (e.vector == 13 && e.error == 0)))
            return true;
        if ((named(row, "arpl") || named(row, "bound")) && same_place && both_access) return true;
        // Misaligned, and beyond the segment's end.
        if ((row.attributes & aAligned) && same_place && e.vector == 12 && n.vector == 13) return true;
    }
    // A known gap of the interpreter, not of the vendors: under an unmasked underflow or overflow MXCSR.PE is
    // that of the masked result.
    u32 n_mxcsr, e_mxcsr;
    memcpy(&n_mxcsr, n.end.fx + 24, 4);
    memcpy(&e_mxcsr, e.end.fx + 24, 4);
    if (n.vector == 19 && e.vector == 19 && (n_mxcsr ^ e_mxcsr) == 0x20 && (n_mxcsr & 0x18)) return true;
    // An unmasked Invalid or Denormal: AMD stores condition codes, and pushes before it stops. Stores check
    // memory before any.
    u16 control, before, native, emulated;
    bool clears = false, compares = false;
    memcpy(&control, e.end.fx, 2);
    memcpy(&before, c.start.fx + 2, 2);
    for (unsigned i = 0; i < c.insns; ++i) {
        const OpcodeRow& row = kOpcodeRows[c.row[i]];
        if (named(row, "fldenv") || named(row, "frstor")) before = 0;  // brings exceptions along
        clears = clears || named(row, "fnclex") || named(row, "fninit") || named(row, "fnsave");
        compares = compares || named(row, "fcomi") || named(row, "fcomip") || named(row, "fucomi") ||
                   named(row, "fucomip");
    }
    // AMD writes RFLAGS too where such a compare is Invalid, and the exception itself may have been cleared
    // since.
    u16 control_before;
    memcpy(&control_before, c.start.fx, 2);
    if (clears && compares && (~control_before & 3)) return true;
    memcpy(&native, n.end.fx + 2, 2);
    memcpy(&emulated, e.end.fx + 2, 2);
    u16 raised = static_cast<u16>(((native | emulated) & ~before) & ~control);
    return (raised & 3) || ((raised & 0x3F) && n.vector >= 12 && n.vector <= 14);
}

std::string engine_difference(const TestCase& c, const Outcome& interpreted, const Outcome& other) {
    if (interpreted.kind != other.kind)
        return fmt::format(" ended as kind {} != {}", static_cast<int>(other.kind),
                           static_cast<int>(interpreted.kind));
    if (interpreted.kind != Outcome::kException) return "";
    std::string text = difference(c, interpreted, other);
    if (interpreted.end.flags != other.end.flags)
        text += fmt::format(" all flags {:x} != {:x}", other.end.flags, interpreted.end.flags);
    return text;
}

std::string difference(const TestCase& c, const Outcome& n, const Outcome& e, u32 also_undefined) {
    if (e.kind == Outcome::kEndless) return " the emulated side does not end";
    if (e.kind != Outcome::kException) return " the emulated side ended oddly";
    std::string text = fault_difference(n, e);
    u64 width = c.mode32 ? 0xFFFFFFFF : ~u64{0};
    if ((n.end.rip ^ e.end.rip) & width) text += fmt::format(" RIP {:x} != {:x}", e.end.rip, n.end.rip);
    if (n.end.cs != e.end.cs) text += fmt::format(" CS {:x} != {:x}", e.end.cs, n.end.cs);
    u64 flags = (rflags::kArithmetic & ~u64{undefined_at(c, n.end.rip) | also_undefined}) | rflags::kDF |
                rflags::kAC | rflags::kNT | rflags::kID | rflags::kTF | rflags::kRF;
    if ((n.end.flags ^ e.end.flags) & flags)
        text += fmt::format(" flags {:x} != {:x}", e.end.flags & flags, n.end.flags & flags);
    for (unsigned i = 0; i < (c.mode32 ? 8 : 16); ++i) {
        if ((n.end.gpr[i] ^ e.end.gpr[i]) & width)
            text += fmt::format(" {} {:x} != {:x}", kNames[i], e.end.gpr[i] & width, n.end.gpr[i] & width);
    }
    text += fx_difference(n.end, e.end);
    if (memcmp(n.image, e.image, kImageSize) != 0) {
        unsigned at = 0;
        while (n.image[at] == e.image[at]) ++at;
        u64 linear = at < kLowSize               ? kLow + at
                     : at < kLowSize + kDataSize ? kData + at - kLowSize
                                                 : kStack + at - kLowSize - kDataSize;
        text += fmt::format(" memory at {:x}: {:02x} != {:02x}", linear, e.image[at], n.image[at]);
    }
    return text;
}

Judgement judge(const TestCase& c, const Outcome& native, const Outcome& emulated, EmulatedSide& reference,
                const HostCpu& host) {
    Judgement judgement{Judgement::kNone, difference(c, native, emulated)};
    if (judgement.what.empty()) return judgement;
    WildPath path = wild_path(c, reference.executed(c), emulated.end.rip, host);
    if (!path.left_sequence) return judgement;
    if (path.left_out)
        judgement.skip = Judgement::kLandedOnRowLeftOut;
    else if (path.read_undefined)
        judgement.skip = Judgement::kReadUndefined;
    else
        judgement.what = difference(c, native, emulated, path.undefined);
    return judgement;
}

std::string disassemble(const TestCase& c) {
    std::string text;
    csh handle;
    if (cs_open(CS_ARCH_X86, c.mode32 ? CS_MODE_32 : CS_MODE_64, &handle) != CS_ERR_OK) return text;
    // The end of instruction `i` of the sequence; a program has no such list, Capstone finds its way.
    unsigned at = 0;
    for (unsigned i = 0; at < c.code_size; ++i) {
        bool listed = i < c.insns;
        unsigned size = listed ? c.starts[i + 1] - c.starts[i] : c.code_size - at;
        cs_insn* insn = nullptr;
        std::size_t count = cs_disasm(handle, c.code + at, size, kCode + c.code_offset + at, 1, &insn);
        if (!listed) size = count ? insn->size : 1;
        std::string bytes;
        for (unsigned n = 0; n < size; ++n) bytes += fmt::format("{:02x} ", c.code[at + n]);
        text += fmt::format("  {:x}: {:<46}{} {}", kCode + c.code_offset + at, bytes,
                            count ? insn->mnemonic : "?", count ? insn->op_str : "");
        text += listed ? fmt::format("   (row {})\n", kOpcodeRows[c.row[i]].name) : "\n";
        if (count) cs_free(insn, count);
        at += size;
    }
    cs_close(&handle);
    return text;
}

std::string report(const TestCase& c, const Outcome& n, const Outcome& e) {
    std::string text =
        disassemble(c) + fmt::format("  {}-bit mode, start, native end, emulated end:\n", c.mode32 ? 32 : 64);
    for (unsigned i = 0; i < (c.mode32 ? 8 : 16); ++i)
        text += fmt::format("  {:<4}{:016x} {:016x} {:016x}\n", kNames[i], c.start.gpr[i], n.end.gpr[i],
                            e.end.gpr[i]);
    text += fmt::format("  rip {:016x} {:016x} {:016x}\n  rfl {:016x} {:016x} {:016x}\n", c.start.rip,
                        n.end.rip, e.end.rip, c.start.flags, n.end.flags, e.end.flags);
    text += fmt::format("  ended by vector {} error {:x} cr2 {:x}; vector {} error {:x} cr2 {:x}\n", n.vector,
                        n.error, n.cr2, e.vector, e.error, e.cr2);
    auto line = [&](const std::string& name, const u8* start, const u8* native, const u8* emulated,
                    unsigned size, bool always) {
        if (!always && memcmp(native, emulated, size) == 0 && memcmp(native, start, size) == 0) return;
        text += "  " + name;
        for (const u8* bytes : {start, native, emulated}) {
            text += " ";
            for (unsigned i = size; i-- > 0;) text += fmt::format("{:02x}", bytes[i]);
        }
        text += "\n";
    };
    auto fx = [&](const std::string& name, unsigned at, unsigned size) {
        line(name, c.start.fx + at, n.end.fx + at, e.end.fx + at, size, at < 32);
    };
    fx("FCW", 0, 2);
    fx("FSW", 2, 2);
    fx("FTW", 4, 1);
    fx("MXCSR", 24, 4);
    for (unsigned i = 0; i < 8; ++i) fx(fmt::format("st{}", i), 32 + 16 * i, 10);
    for (unsigned i = 0; i < 16; ++i) fx(fmt::format("xmm{}", i), 160 + 16 * i, 16);
    for (unsigned i = 0; i < 16; ++i)
        line(fmt::format("ymm{}h", i), c.start.ymm_high + 16 * i, n.end.ymm_high + 16 * i,
             e.end.ymm_high + 16 * i, 16, false);
    for (unsigned i = 0; i < c.patches; ++i) {
        text += fmt::format("  [{:x}] =", c.patch[i].linear);
        for (unsigned b = 0; b < c.patch[i].size; ++b) text += fmt::format(" {:02x}", c.patch[i].bytes[b]);
        text += "\n";
    }
    return text;
}

}  // namespace shadowbox::compare
