// SPDX-License-Identifier: MIT
// What all x87 ops share: status bits, the register stack, pending exceptions, and the bookkeeping after an
// operation ran on
// the host's x87. SDM 1 8. The host does the arithmetic on operands loaded for one operation; the stack, its
// faults and
// the exception summary are done here.
#pragma once

#include "cpu/access/effective_address.h"
#include "cpu/blocks/dispatch.h"
#include "cpu/events/x87_error.h"
#include "cpu/state/host_fpu.h"

namespace shadowbox::x87 {

constexpr u16 kIE = 1, kDE = 2, kZE = 4, kOE = 8, kUE = 0x10, kPE = 0x20, kSF = 0x40, kES = 0x80, kC0 = 0x100,
              kC1 = 0x200, kC2 = 0x400, kTop = 0x3800, kC3 = 0x4000, kBusy = 0x8000;
constexpr u16 kExceptions = 0x3F, kBeforeComputation = kIE | kDE | kZE, kConditions = kC0 | kC1 | kC2 | kC3;

constexpr Float80 kIndefinite{0xC000000000000000, 0xFFFF};

inline unsigned physical(const X87State& f, unsigned i) { return ((f.status >> 11) + i) & 7; }
inline bool empty(const X87State& f, unsigned i) { return f.empty >> physical(f, i) & 1; }
inline Float80& st(X87State& f, unsigned i) { return f.st[physical(f, i)]; }

inline void pop(X87State& f) {
    f.empty = static_cast<u8>(f.empty | 1u << physical(f, 0));
    f.status = static_cast<u16>((f.status & ~kTop) | ((f.status + 0x800) & kTop));
}
/// Makes room; the new ST(0) is valid and the caller fills it.
inline Float80& push(X87State& f) {
    f.status = static_cast<u16>((f.status & ~kTop) | ((f.status - 0x800) & kTop));
    f.empty = static_cast<u8>(f.empty & ~(1u << physical(f, 0)));
    return st(f, 0);
}
/// Copies as FLD and FSTP do, 8 and 2 bytes, so that the next host load can forward from the stores.
inline void copy(Float80& to, const Float80& from) {
    u64 significand = from.significand;
    u16 sign_exponent = from.sign_exponent;
    asm volatile("" : "+r"(significand), "+r"(sign_exponent));
    to.significand = significand;
    to.sign_exponent = sign_exponent;
}

/// All exceptions masked: the usual case, in which nothing but the sticky flags can come of an operation.
inline bool all_masked(const X87State& f) { return (f.control & kExceptions) == kExceptions; }

/// ES and B follow from the flags and masks.
inline void update_summary(X87State& f) {
    f.status = static_cast<u16>(f.status & ~(kES | kBusy));
    if (f.status & ~f.control & kExceptions) f.status |= kES | kBusy;
}

/// FOP after an unmasked exception (with IA32_MISC_ENABLE bit 2 clear, SDM 1 8.1.9). Of a memory form's
/// ModRM byte the
/// decoded instruction keeps only part; mod and rm are rebuilt from the address.
void note_opcode(Vcpu& cpu, const Insn& insn);

/// A waiting instruction begins: pending exceptions are reported first.
[[gnu::always_inline]] inline bool ready(Vcpu& cpu) {
    return __builtin_expect(cpu.x87.status & kES, 0) ? pass_x87_error(cpu) : true;
}
/// Records where the last non-control instruction was. The selectors are not kept: CPUID.7.0:EBX[13] says
/// FCS and FDS are
/// deprecated and read as 0.
[[gnu::always_inline]] inline void note(Vcpu& cpu, const Insn& insn) {
    cpu.x87.instruction_pointer = rip_of(cpu, &insn);
}
[[gnu::always_inline]] inline void note_memory(Vcpu& cpu, const Insn& insn, u64 gva) {
    note(cpu, insn);
    cpu.x87.data_pointer = insn.flat ? gva : gva - cpu.seg[insn.seg].base;
    if (!cpu.long64()) cpu.x87.data_pointer = static_cast<u32>(cpu.x87.data_pointer);
}

/// An exception found here, not by the host. True: masked, the masked response is to be carried out.
inline bool signal(Vcpu& cpu, const Insn& insn, u16 flags) {
    X87State& f = cpu.x87;
    f.status |= flags;
    update_summary(f);
    if (!(flags & ~f.control & kExceptions)) return true;
    note_opcode(cpu, insn);
    return false;
}
inline bool stack_underflow(Vcpu& cpu, const Insn& insn) {
    cpu.x87.status = static_cast<u16>(cpu.x87.status & ~kC1);
    return signal(cpu, insn, kIE | kSF);
}
inline bool stack_overflow(Vcpu& cpu, const Insn& insn) {
    cpu.x87.status |= kC1;
    return signal(cpu, insn, kIE | kSF);
}

/// Takes over the host's status after an operation: exception flags and the condition bits in `conditions`.
[[gnu::always_inline]] inline void settle(X87State& f, u16 host_status, u16 conditions) {
    f.status = static_cast<u16>((f.status & ~conditions) | (host_status & (kExceptions | conditions)));
}
/// The same for an operation run with the guest's own masks. False if an unmasked exception from `stopping`
/// came up, so that
/// the operation did not happen.
bool settle_checked(Vcpu& cpu, const Insn& insn, u16 host_status, u16 conditions, u16 stopping);

/// FNSAVE's 32-bit image: how the host's whole state is read after an operation under unmasked exceptions.
struct [[gnu::packed]] HostImage {
    u16 control, unused0, status, unused1, tags, unused2;
    u32 ip, cs_opcode, dp, ds;
    struct [[gnu::packed]] {
        u64 significand;
        u16 sign_exponent;
    } st[8];

    Float80 value(unsigned i) const { return Float80{st[i].significand, st[i].sign_exponent}; }
    unsigned top() const { return status >> 11 & 7; }
};
static_assert(sizeof(HostImage) == 108);

}  // namespace shadowbox::x87

// Runs `operation` (with its operand loads) under the guest's control word and reads the whole state without
// ever waiting, so
// that unmasked exceptions leave flags and the right result but never reach the host process.
#define SB_X87_CHECKED(guest_control, image, operation, ...)                                           \
    do {                                                                                               \
        u16 control_ = (guest_control), masked_ = control_ | 0x3F;                                     \
        asm volatile("fnclex\n\tfldcw %[control]\n\t" operation "\n\tfnsave %[out]\n\tfldcw %[masked]" \
                     : [out] "=m"(image)                                                               \
                     : [control] "m"(control_), [masked] "m"(masked_), ##__VA_ARGS__                   \
                     : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory"); \
    } while (0)
// The same for an operation that stores `source` into `target`.
#define SB_X87_CHECKED_STORE(guest_control, image, operation, source, target)                          \
    do {                                                                                               \
        u16 control_ = (guest_control), masked_ = control_ | 0x3F;                                     \
        asm volatile("fnclex\n\tfldcw %[control]\n\tfldt %[a]\n\t" operation                           \
                     "\n\tfnsave %[out]\n\tfldcw %[masked]"                                            \
                     : [out] "=m"(image), [b] "+m"(target)                                             \
                     : [control] "m"(control_), [masked] "m"(masked_), [a] "m"(source)                 \
                     : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory"); \
    } while (0)
#define SB_X87_CLOBBERS "st", "st(1)"
