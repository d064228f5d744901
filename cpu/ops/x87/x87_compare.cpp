// SPDX-License-Identifier: MIT
// x87 comparison and classification: FCOM, FUCOM, FICOM, FTST, FCOMI, FUCOMI, FXAM (SDM 1 8.3.6).
// Comparisons raise only before
// they compare; an unmasked Invalid or Denormal leaves condition codes and stack alone.
#include "cpu/ops/x87/x87_stack.h"

namespace shadowbox {

using namespace x87;

namespace {

constexpr u16 kResult = kC0 | kC1 | kC2 | kC3, kUnordered = kC0 | kC2 | kC3, kStops = kIE | kDE;

void pop_times(X87State& f, unsigned pops) {
    for (; pops; --pops) pop(f);
}
/// An operand is missing. Masked: unordered, and the pops happen.
bool missing(Vcpu& cpu, const Insn& insn, unsigned pops) {
    if (!stack_underflow(cpu, insn)) return true;
    cpu.x87.status = static_cast<u16>((cpu.x87.status & ~kResult) | kUnordered);
    pop_times(cpu.x87, pops);
    return true;
}

// The instruction is chosen by its bytes: D8 D1 FCOM ST(1), DD E1 FUCOM ST(1).
template <unsigned first, unsigned second>
[[gnu::always_inline]] inline bool compare_registers(Vcpu& cpu, const Insn& insn, unsigned other,
                                                     unsigned pops) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    if (__builtin_expect(empty(f, 0) || empty(f, other), 0)) return missing(cpu, insn, pops);
    u16 status;
    if (__builtin_expect(all_masked(f), 1)) {
        asm volatile(
            "fldt %[b]\n\tfldt %[a]\n\t.byte %c[first], %c[second]\n\tfnstsw %[status]\n\tfstp "
            "%%st(0)\n\tfstp %%st(0)"
            : [status] "=&a"(status)
            : [a] "m"(st(f, 0)), [b] "m"(st(f, other)), [first] "i"(first), [second] "i"(second)
            : SB_X87_CLOBBERS);
        settle(f, status, kResult);
    } else {
        HostImage image;
        SB_X87_CHECKED(f.control, image, "fldt %[b]\n\tfldt %[a]\n\t.byte %c[first], %c[second]",
                       [a] "m"(st(f, 0)), [b] "m"(st(f, other)), [first] "i"(first), [second] "i"(second));
        bool done = !(image.status & ~f.control & kStops);
        settle_checked(cpu, insn, image.status, done ? kResult : kC1, kStops);
        if (!done) return true;
    }
    pop_times(f, pops);
    return true;
}

/// FCOMI and FUCOMI: the same comparison, its result in RFLAGS; OF, SF and AF become 0.
template <unsigned first, unsigned second>
[[gnu::always_inline]] inline bool compare_to_flags(Vcpu& cpu, const Insn& insn, unsigned pops) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    u16 status;
    if (empty(f, 0) || empty(f, insn.rm)) {
        if (!stack_underflow(cpu, insn)) return true;
        status = kUnordered;
    } else {
        HostImage image;
        if (__builtin_expect(all_masked(f), 1)) {
            asm volatile(
                "fldt %[b]\n\tfldt %[a]\n\t.byte %c[first], %c[second]\n\tfnstsw %[status]\n\tfstp "
                "%%st(0)\n\tfstp %%st(0)"
                : [status] "=&a"(status)
                : [a] "m"(st(f, 0)), [b] "m"(st(f, insn.rm)), [first] "i"(first), [second] "i"(second)
                : SB_X87_CLOBBERS);
            settle(f, status, 0);  // C1 stays
        } else {
            SB_X87_CHECKED(f.control, image,
                           "fldt %[b]\n\tfldt %[a]\n\t.byte %c[first], %c[second]", [a] "m"(st(f, 0)),
                           [b] "m"(st(f, insn.rm)), [first] "i"(first), [second] "i"(second));
            status = image.status;
            if (!settle_checked(cpu, insn, status, 0, kStops)) return true;
        }
    }
    cpu.flags.set((status & kC3 ? rflags::kZF : 0) | (status & kC2 ? rflags::kPF : 0) |
                  (status & kC0 ? rflags::kCF : 0));
    pop_times(f, pops);
    return true;
}

}  // namespace

SB_OP(x87_fcom) { return compare_registers<0xD8, 0xD1>(cpu, insn, insn.rm, 0); }
SB_OP(x87_fcomp) { return compare_registers<0xD8, 0xD1>(cpu, insn, insn.rm, 1); }
SB_OP(x87_fcompp) { return compare_registers<0xD8, 0xD1>(cpu, insn, 1, 2); }
SB_OP(x87_fucom) { return compare_registers<0xDD, 0xE1>(cpu, insn, insn.rm, 0); }
SB_OP(x87_fucomp) { return compare_registers<0xDD, 0xE1>(cpu, insn, insn.rm, 1); }
SB_OP(x87_fucompp) { return compare_registers<0xDD, 0xE1>(cpu, insn, 1, 2); }
SB_OP(x87_fcomi) { return compare_to_flags<0xD8, 0xD1>(cpu, insn, 0); }
SB_OP(x87_fcomip) { return compare_to_flags<0xD8, 0xD1>(cpu, insn, 1); }
SB_OP(x87_fucomi) { return compare_to_flags<0xDD, 0xE1>(cpu, insn, 0); }
SB_OP(x87_fucomip) { return compare_to_flags<0xDD, 0xE1>(cpu, insn, 1); }

#define SB_X87_COMPARE_MEMORY(name, mnemonic, type, pops)                                        \
    SB_OP(name) {                                                                                \
        X87State& f = cpu.x87;                                                                   \
        u64 gva;                                                                                 \
        type value;                                                                              \
        if (!ready(cpu) || !ea(cpu, insn, sizeof(type), MemoryAccess::kRead, gva) ||             \
            !load<type>(cpu, gva, value))                                                        \
            return false;                                                                        \
        note_memory(cpu, insn, gva);                                                             \
        if (__builtin_expect(empty(f, 0), 0)) return missing(cpu, insn, pops);                   \
        if (__builtin_expect(all_masked(f), 1)) {                                                \
            u16 status;                                                                          \
            asm volatile("fldt %[a]\n\t" mnemonic " %[b]\n\tfnstsw %[status]\n\tfstp %%st(0)"    \
                         : [status] "=&a"(status)                                                \
                         : [a] "m"(st(f, 0)), [b] "m"(value)                                     \
                         : SB_X87_CLOBBERS);                                                     \
            settle(f, status, kResult);                                                          \
        } else {                                                                                 \
            HostImage image;                                                                     \
            SB_X87_CHECKED(f.control, image,                                                     \
                           "fldt %[a]\n\t" mnemonic " %[b]", [a] "m"(st(f, 0)), [b] "m"(value)); \
            bool done = !(image.status & ~f.control & kStops);                                   \
            settle_checked(cpu, insn, image.status, done ? kResult : kC1, kStops);               \
            if (!done) return true;                                                              \
        }                                                                                        \
        pop_times(f, pops);                                                                      \
        return true;                                                                             \
    }
SB_X87_COMPARE_MEMORY(x87_fcom_m32, "fcoms", u32, 0)
SB_X87_COMPARE_MEMORY(x87_fcom_m64, "fcoml", u64, 0)
SB_X87_COMPARE_MEMORY(x87_fcomp_m32, "fcoms", u32, 1)
SB_X87_COMPARE_MEMORY(x87_fcomp_m64, "fcoml", u64, 1)
SB_X87_COMPARE_MEMORY(x87_ficom_m16, "ficoms", u16, 0)
SB_X87_COMPARE_MEMORY(x87_ficom_m32, "ficoml", u32, 0)
SB_X87_COMPARE_MEMORY(x87_ficomp_m16, "ficoms", u16, 1)
SB_X87_COMPARE_MEMORY(x87_ficomp_m32, "ficoml", u32, 1)

SB_OP(x87_ftst) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    if (empty(f, 0)) return missing(cpu, insn, 0);
    HostImage image;
    SB_X87_CHECKED(f.control, image, "fldt %[a]\n\tftst", [a] "m"(st(f, 0)));
    bool done = !(image.status & ~f.control & kStops);
    settle_checked(cpu, insn, image.status, done ? kResult : kC1, kStops);
    return true;
}

/// FXAM looks at empty registers too: class 101B, C1 still the sign of what the register holds.
SB_OP(x87_fxam) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    if (empty(f, 0)) {
        f.status =
            static_cast<u16>((f.status & ~kResult) | kC3 | kC0 | (st(f, 0).sign_exponent & 0x8000 ? kC1 : 0));
        return true;
    }
    u16 status;
    asm volatile("fldt %[a]\n\tfxam\n\tfnstsw %[status]\n\tfstp %%st(0)"
                 : [status] "=&a"(status)
                 : [a] "m"(st(f, 0))
                 : SB_X87_CLOBBERS);
    settle(f, status, kResult);
    return true;
}

}  // namespace shadowbox
