// SPDX-License-Identifier: MIT
// x87 addition, subtraction, multiplication and division in all forms (SDM 1 8.3.3): ST(0) with memory,
// ST(0) with ST(i), ST(i) with ST(0), the
// last also popping;
// and FSQRT, FRNDINT, FABS, FCHS.
#include "cpu/ops/x87/x87_stack.h"

namespace shadowbox {

namespace x87 {

void note_opcode(Vcpu& cpu, const Insn& insn) {
    unsigned byte = 0xC0u | (insn.rm & 7u);
    if (insn.mem) {
        unsigned mod = insn.disp == 0 ? 0 : insn.disp == static_cast<i8>(insn.disp) ? 0x40 : 0x80;
        unsigned rm = insn.index != kNoRegister ? 4 : insn.rm == kNoRegister ? 5 : insn.rm & 7u;
        byte = mod | rm;
    }
    cpu.x87.opcode = static_cast<u16>((insn.opcode & 7) << 8 | byte | (insn.reg & 7u) << 3);
}

bool settle_checked(Vcpu& cpu, const Insn& insn, u16 host_status, u16 conditions, u16 stopping) {
    X87State& f = cpu.x87;
    settle(f, host_status, conditions);
    update_summary(f);
    u16 unmasked = host_status & ~f.control & kExceptions;
    if (unmasked) note_opcode(cpu, insn);
    return !(unmasked & stopping);
}

namespace {

/// The operations as /n of D8; a is the destination: a+b, a*b, a-b, b-a, a/b, b/a.
enum Operation : unsigned { kAdd = 0, kMul = 1, kSub = 4, kSubr = 5, kDiv = 6, kDivr = 7 };

/// a = a op b; the host's status. `D8 C1+8n` is ST(0) = ST(0) op ST(1).
template <Operation operation>
[[gnu::always_inline]] inline u16 run(Float80& a, const Float80& b) {
    u16 status;
    asm volatile(
        "fldt %[b]\n\tfldt %[a]\n\t.byte 0xD8, %c[code]\n\tfnstsw %[status]\n\tfstpt %[a]\n\tfstp %%st(0)"
        : [a] "+m"(a), [status] "=&a"(status)
        : [b] "m"(b), [code] "i"(0xC1 + 8 * operation)
        : SB_X87_CLOBBERS);
    return status;
}
template <Operation operation>
[[gnu::noinline]] bool run_checked(Vcpu& cpu, const Insn& insn, Float80& a, const Float80& b) {
    HostImage image;
    SB_X87_CHECKED(cpu.x87.control, image, "fldt %[b]\n\tfldt %[a]\n\t.byte 0xD8, %c[code]", [a] "m"(a),
                   [b] "m"(b), [code] "i"(0xC1 + 8 * operation));
    if (!settle_checked(cpu, insn, image.status, kC1, kBeforeComputation)) return false;
    a = image.value(0);
    return true;
}

/// Registers ST(d) and ST(s), 0 being one of them.
template <Operation operation, bool popping>
[[gnu::always_inline]] inline bool registers(Vcpu& cpu, const Insn& insn, unsigned d, unsigned s) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    unsigned to = physical(f, d), from = physical(f, s);
    if (__builtin_expect(f.empty & (1u << to | 1u << from), 0)) {
        if (!stack_underflow(cpu, insn)) return true;
        f.st[to] = kIndefinite;
        f.empty = static_cast<u8>(f.empty & ~(1u << to));
    } else if (__builtin_expect(all_masked(f), 1)) {
        settle(f, run<operation>(f.st[to], f.st[from]), kC1);
    } else if (!run_checked<operation>(cpu, insn, f.st[to], f.st[from])) {
        return true;
    }
    if (popping) pop(f);
    return true;
}

}  // namespace
}  // namespace x87

using namespace x87;

// Memory forms run as themselves on the host: conversion of the operand and operation are one (SNaN and
// denormal rules).
#define SB_X87_MEMORY(name, mnemonic, type)                                                  \
    static bool name##_checked(Vcpu& cpu, const Insn& insn, Float80& a, type value) {        \
        HostImage image;                                                                     \
        SB_X87_CHECKED(cpu.x87.control, image,                                               \
                       "fldt %[a]\n\t" mnemonic " %[b]", [a] "m"(a), [b] "m"(value));        \
        if (!settle_checked(cpu, insn, image.status, kC1, kBeforeComputation)) return false; \
        a = image.value(0);                                                                  \
        return true;                                                                         \
    }                                                                                        \
    SB_OP(name) {                                                                            \
        X87State& f = cpu.x87;                                                               \
        u64 gva;                                                                             \
        type value;                                                                          \
        if (!ready(cpu) || !ea(cpu, insn, sizeof(type), MemoryAccess::kRead, gva) ||         \
            !load<type>(cpu, gva, value))                                                    \
            return false;                                                                    \
        note_memory(cpu, insn, gva);                                                         \
        unsigned to = physical(f, 0);                                                        \
        if (__builtin_expect(f.empty >> to & 1, 0)) {                                        \
            if (!stack_underflow(cpu, insn)) return true;                                    \
            f.st[to] = kIndefinite;                                                          \
            f.empty = static_cast<u8>(f.empty & ~(1u << to));                                \
        } else if (__builtin_expect(all_masked(f), 1)) {                                     \
            u16 status;                                                                      \
            asm volatile("fldt %[a]\n\t" mnemonic " %[b]\n\tfnstsw %[status]\n\tfstpt %[a]"  \
                         : [a] "+m"(f.st[to]), [status] "=&a"(status)                        \
                         : [b] "m"(value)                                                    \
                         : SB_X87_CLOBBERS);                                                 \
            settle(f, status, kC1);                                                          \
        } else {                                                                             \
            name##_checked(cpu, insn, f.st[to], value);                                      \
        }                                                                                    \
        return true;                                                                         \
    }

// One operation: `reverse` is what the ST(i), ST(0) encodings of the other direction mean.
#define SB_X87_ARITH(op, operation)                                                           \
    SB_X87_MEMORY(x87_f##op##_m32, "f" #op "s", u32)                                          \
    SB_X87_MEMORY(x87_f##op##_m64, "f" #op "l", u64)                                          \
    SB_X87_MEMORY(x87_fi##op##_m16, "fi" #op "s", u16)                                        \
    SB_X87_MEMORY(x87_fi##op##_m32, "fi" #op "l", u32)                                        \
    SB_OP(x87_f##op##_st0_sti) { return registers<operation, false>(cpu, insn, 0, insn.rm); } \
    SB_OP(x87_f##op##_sti_st0) { return registers<operation, false>(cpu, insn, insn.rm, 0); } \
    SB_OP(x87_f##op##p) { return registers<operation, true>(cpu, insn, insn.rm, 0); }

SB_X87_ARITH(add, kAdd)
SB_X87_ARITH(mul, kMul)
SB_X87_ARITH(sub, kSub)
SB_X87_ARITH(subr, kSubr)
SB_X87_ARITH(div, kDiv)
SB_X87_ARITH(divr, kDivr)

// FSQRT, FRNDINT.
#define SB_X87_UNARY(op)                                                                          \
    static void x87_##op##_checked(Vcpu& cpu, const Insn& insn, Float80& a) {                     \
        HostImage image;                                                                          \
        SB_X87_CHECKED(cpu.x87.control, image, "fldt %[a]\n\t" #op, [a] "m"(a));                  \
        if (settle_checked(cpu, insn, image.status, kC1, kBeforeComputation)) a = image.value(0); \
    }                                                                                             \
    SB_OP(x87_##op) {                                                                             \
        X87State& f = cpu.x87;                                                                    \
        if (!ready(cpu)) return false;                                                            \
        note(cpu, insn);                                                                          \
        if (empty(f, 0)) {                                                                        \
            if (!stack_underflow(cpu, insn)) return true;                                         \
            f.empty = static_cast<u8>(f.empty & ~(1u << physical(f, 0)));                         \
            st(f, 0) = kIndefinite;                                                               \
        } else if (__builtin_expect(all_masked(f), 1)) {                                          \
            u16 status;                                                                           \
            asm volatile("fldt %[a]\n\t" #op "\n\tfnstsw %[status]\n\tfstpt %[a]"                 \
                         : [a] "+m"(st(f, 0)), [status] "=&a"(status)                             \
                         :                                                                        \
                         : SB_X87_CLOBBERS);                                                      \
            settle(f, status, kC1);                                                               \
        } else {                                                                                  \
            x87_##op##_checked(cpu, insn, st(f, 0));                                              \
        }                                                                                         \
        return true;                                                                              \
    }
SB_X87_UNARY(fsqrt)
SB_X87_UNARY(frndint)

namespace {

/// FABS and FCHS touch only the sign, of any bit pattern, and raise nothing but stack underflow.
template <class Change>
inline bool change_sign(Vcpu& cpu, const Insn& insn, Change change) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    if (empty(f, 0)) {
        if (!stack_underflow(cpu, insn)) return true;
        f.empty = static_cast<u8>(f.empty & ~(1u << physical(f, 0)));
        st(f, 0) = kIndefinite;
        return true;
    }
    f.status = static_cast<u16>(f.status & ~kC1);
    st(f, 0).sign_exponent = change(st(f, 0).sign_exponent);
    return true;
}

}  // namespace

SB_OP(x87_fabs) {
    return change_sign(cpu, insn, [](u16 x) { return static_cast<u16>(x & 0x7FFF); });
}
SB_OP(x87_fchs) {
    return change_sign(cpu, insn, [](u16 x) { return static_cast<u16>(x ^ 0x8000); });
}

}  // namespace shadowbox
