// SPDX-License-Identifier: MIT
// FPREM, FPREM1, FSCALE, FXTRACT and the transcendental functions (SDM 1 8.3.7, 8.3.8). All of them go
// through run_function(), the one
// place to put an implementation that does not depend on the host; today that is the host's own instruction,
// and translated code (cpu/jit/translate/x87.cpp) has it in line.
#include "cpu/ops/x87/x87_stack.h"

namespace shadowbox {

using namespace x87;

namespace {

enum class Function : u8 {
    kF2xm1 = 0xF0,
    kFyl2x = 0xF1,
    kFptan = 0xF2,
    kFpatan = 0xF3,
    kFxtract = 0xF4,
    kFprem1 = 0xF5,
    kFprem = 0xF8,
    kFyl2xp1 = 0xF9,
    kFsincos = 0xFB,
    kFscale = 0xFD,
    kFsin = 0xFE,
    kFcos = 0xFF,
};

/// FSTENV's 32-bit image without its registers.
struct [[gnu::packed]] HostEnvironment {
    u16 control, unused0 = 0, status, unused1 = 0, tags = 0xFFFF, unused2 = 0;
    u32 pointers[4] = {};
};

/// ST(0) = a, ST(1) = b; the whole state afterwards. Second opcode byte after D9. The guest's condition
/// codes go in, since
/// some outcomes leave some of them unchanged (FPREM with a NaN: C0 and C3).
template <Function function>
void run_function(const X87State& f, const Float80& a, const Float80& b, HostImage& image) {
    HostEnvironment before{.control = f.control, .status = static_cast<u16>(f.status & kConditions)};
    u16 masked = f.control | kExceptions;
    asm volatile(
        "fldenv %[before]\n\tfldt %[b]\n\tfldt %[a]\n\t.byte 0xD9, %c[code]\n\tfnsave %[out]\n\tfldcw "
        "%[masked]"
        : [out] "=m"(image)
        : [before] "m"(before), [masked] "m"(masked), [a] "m"(a), [b] "m"(b),
          [code] "i"(static_cast<unsigned>(function))
        : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory");
}

void mark_valid(X87State& f, unsigned i) { f.empty = static_cast<u8>(f.empty & ~(1u << physical(f, i))); }

/// One operand, or two of which ST(1) stays: the result replaces ST(0). `reports`: condition bits besides C1.
template <Function function>
bool replace_top(Vcpu& cpu, const Insn& insn, bool two_operands, u16 reports) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    if (empty(f, 0) || (two_operands && empty(f, 1))) {
        f.status = static_cast<u16>(f.status & ~(reports & kC2));
        if (!stack_underflow(cpu, insn)) return true;
        mark_valid(f, 0);
        st(f, 0) = kIndefinite;
        return true;
    }
    HostImage image;
    run_function<function>(f, st(f, 0), st(f, 1), image);
    if (settle_checked(cpu, insn, image.status, kC1 | reports, kBeforeComputation)) st(f, 0) = image.value(0);
    return true;
}

/// Two operands, the result in ST(1), then a pop.
template <Function function>
bool combine_and_pop(Vcpu& cpu, const Insn& insn) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    if (empty(f, 0) || empty(f, 1)) {
        if (!stack_underflow(cpu, insn)) return true;
        mark_valid(f, 1);
        st(f, 1) = kIndefinite;
        pop(f);
        return true;
    }
    HostImage image;
    run_function<function>(f, st(f, 0), st(f, 1), image);
    if (!settle_checked(cpu, insn, image.status, kC1, kBeforeComputation)) return true;
    pop(f);
    st(f, 0) = image.value(0);
    return true;
}

/// One operand, two results: ST(0) is replaced, the second result pushed. FPTAN and FSINCOS refuse large
/// angles with C2 and push nothing.
template <Function function>
bool replace_and_push(Vcpu& cpu, const Insn& insn, u16 reports) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    if (empty(f, 0) || !empty(f, 7)) {
        f.status = static_cast<u16>(f.status & ~reports);
        bool masked = empty(f, 0) ? stack_underflow(cpu, insn) : stack_overflow(cpu, insn);
        if (!masked) return true;
        mark_valid(f, 0);
        st(f, 0) = kIndefinite;
        push(f) = kIndefinite;
        return true;
    }
    HostImage image;
    run_function<function>(f, st(f, 0), kIndefinite, image);
    if (!settle_checked(cpu, insn, image.status, kC1 | reports, kBeforeComputation)) return true;
    if (image.top() == 6) return true;  // nothing was pushed
    st(f, 0) = image.value(1);
    push(f) = image.value(0);
    return true;
}

}  // namespace

SB_OP(x87_f2xm1) { return replace_top<Function::kF2xm1>(cpu, insn, false, 0); }
SB_OP(x87_fsin) { return replace_top<Function::kFsin>(cpu, insn, false, kC2); }
SB_OP(x87_fcos) { return replace_top<Function::kFcos>(cpu, insn, false, kC2); }
SB_OP(x87_fprem) { return replace_top<Function::kFprem>(cpu, insn, true, kC0 | kC2 | kC3); }
SB_OP(x87_fprem1) { return replace_top<Function::kFprem1>(cpu, insn, true, kC0 | kC2 | kC3); }
SB_OP(x87_fscale) { return replace_top<Function::kFscale>(cpu, insn, true, 0); }
SB_OP(x87_fyl2x) { return combine_and_pop<Function::kFyl2x>(cpu, insn); }
SB_OP(x87_fyl2xp1) { return combine_and_pop<Function::kFyl2xp1>(cpu, insn); }
SB_OP(x87_fpatan) { return combine_and_pop<Function::kFpatan>(cpu, insn); }
SB_OP(x87_fptan) { return replace_and_push<Function::kFptan>(cpu, insn, kC2); }
SB_OP(x87_fsincos) { return replace_and_push<Function::kFsincos>(cpu, insn, kC2); }
SB_OP(x87_fxtract) { return replace_and_push<Function::kFxtract>(cpu, insn, 0); }

}  // namespace shadowbox
