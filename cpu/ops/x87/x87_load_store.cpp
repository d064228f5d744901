// SPDX-License-Identifier: MIT
// x87 loads, stores, constants, exchanges and conditional moves (SDM 1 8.3.2). A value is converted before
// memory is touched, so that a
// store that faults has changed nothing, the host's flags included.
#include "cpu/ops/x87/x87_stack.h"

namespace shadowbox {

using namespace x87;

namespace {

/// A push that finds ST(7) taken. True: masked, the indefinite value was pushed.
bool overflowed_push(Vcpu& cpu, const Insn& insn) {
    if (stack_overflow(cpu, insn)) push(cpu.x87) = kIndefinite;
    return true;
}
inline void clear_c1(X87State& f) { f.status = static_cast<u16>(f.status & ~kC1); }

/// Memory form of any size up to 8 bytes.
template <class T>
[[gnu::always_inline]] inline bool load_value(Vcpu& cpu, const Insn& insn, T& value, u64& gva) {
    return ready(cpu) && ea(cpu, insn, sizeof(T), MemoryAccess::kRead, gva) && load<T>(cpu, gva, value);
}

}  // namespace

// FLD m32/m64, FILD: the host converts. Integers raise nothing; reals may raise Invalid and Denormal, before
// the push.
#define SB_X87_LOAD(name, mnemonic, type)                                                 \
    static bool name##_checked(Vcpu& cpu, const Insn& insn, type value) {                 \
        HostImage image;                                                                  \
        SB_X87_CHECKED(cpu.x87.control, image, mnemonic " %[b]", [b] "m"(value));         \
        if (settle_checked(cpu, insn, image.status, kC1, kBeforeComputation))             \
            push(cpu.x87) = image.value(0);                                               \
        return true;                                                                      \
    }                                                                                     \
    SB_OP(name) {                                                                         \
        X87State& f = cpu.x87;                                                            \
        type value;                                                                       \
        u64 gva;                                                                          \
        if (!load_value(cpu, insn, value, gva)) return false;                             \
        note_memory(cpu, insn, gva);                                                      \
        if (__builtin_expect(!empty(f, 7), 0)) return overflowed_push(cpu, insn);         \
        if (__builtin_expect(!all_masked(f), 0)) return name##_checked(cpu, insn, value); \
        u16 status;                                                                       \
        asm volatile(mnemonic " %[b]\n\tfnstsw %[status]\n\tfstpt %[a]"                   \
                     : [a] "=m"(push(f)), [status] "=&a"(status)                          \
                     : [b] "m"(value)                                                     \
                     : SB_X87_CLOBBERS);                                                  \
        settle(f, status, kC1);                                                           \
        return true;                                                                      \
    }
SB_X87_LOAD(x87_fld_m32, "flds", u32)
SB_X87_LOAD(x87_fld_m64, "fldl", u64)
SB_X87_LOAD(x87_fild_m16, "filds", u16)
SB_X87_LOAD(x87_fild_m32, "fildl", u32)
SB_X87_LOAD(x87_fild_m64, "fildq", u64)

namespace {

struct [[gnu::packed]] TenBytes {
    u64 low = 0;
    u16 high = 0;
};

bool load_ten(Vcpu& cpu, const Insn& insn, TenBytes& bytes, u64& gva) {
    if (!ready(cpu) || !ea(cpu, insn, 10, MemoryAccess::kRead, gva)) return false;
    if (const u8* host = cpu.mmu.context()->probe_read(gva, 10); __builtin_expect(host != nullptr, 1)) {
        bytes.low = guest_load<u64>(host);
        bytes.high = guest_load<u16>(host + 8);
        return true;
    }
    return load_slow(cpu, gva, 10, &bytes);
}
bool store_ten(Vcpu& cpu, u64 gva, const TenBytes& bytes) {
    if (u8* host = cpu.mmu.context()->probe_write(gva, 10); __builtin_expect(host != nullptr, 1)) {
        guest_store<u64>(host, bytes.low);
        guest_store<u16>(host + 8, bytes.high);
        return true;
    }
    return store_slow(cpu, gva, 10, &bytes);
}

}  // namespace

/// FLD m80 moves bits, whatever they mean.
SB_OP(x87_fld_m80) {
    TenBytes bytes;
    u64 gva;
    if (!load_ten(cpu, insn, bytes, gva)) return false;
    note_memory(cpu, insn, gva);
    X87State& f = cpu.x87;
    if (__builtin_expect(!empty(f, 7), 0)) return overflowed_push(cpu, insn);
    clear_c1(f);
    Float80& to = push(f);
    to.significand = bytes.low;
    to.sign_exponent = bytes.high;
    return true;
}
SB_OP(x87_fbld) {
    TenBytes bytes;
    u64 gva;
    if (!load_ten(cpu, insn, bytes, gva)) return false;
    note_memory(cpu, insn, gva);
    X87State& f = cpu.x87;
    if (!empty(f, 7)) return overflowed_push(cpu, insn);
    clear_c1(f);
    asm volatile("fbld %[b]\n\tfstpt %[a]" : [a] "=m"(push(f)) : [b] "m"(bytes) : SB_X87_CLOBBERS);
    return true;
}
SB_OP(x87_fld_sti) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    if (__builtin_expect(empty(f, insn.rm), 0)) {
        if (stack_underflow(cpu, insn)) push(f) = kIndefinite;
        return true;
    }
    if (__builtin_expect(!empty(f, 7), 0)) return overflowed_push(cpu, insn);
    clear_c1(f);
    const Float80& from = st(f, insn.rm);
    copy(push(f), from);
    return true;
}

// Constants: the host's, since they round as the control word says.
#define SB_X87_CONSTANT(op)                                                         \
    SB_OP(x87_##op) {                                                               \
        X87State& f = cpu.x87;                                                      \
        if (!ready(cpu)) return false;                                              \
        note(cpu, insn);                                                            \
        if (!empty(f, 7)) return overflowed_push(cpu, insn);                        \
        clear_c1(f);                                                                \
        asm volatile(#op "\n\tfstpt %[a]" : [a] "=m"(push(f)) : : SB_X87_CLOBBERS); \
        return true;                                                                \
    }
SB_X87_CONSTANT(fld1)
SB_X87_CONSTANT(fldl2t)
SB_X87_CONSTANT(fldl2e)
SB_X87_CONSTANT(fldpi)
SB_X87_CONSTANT(fldlg2)
SB_X87_CONSTANT(fldln2)
SB_X87_CONSTANT(fldz)

namespace {

/// What is stored when ST(0) is empty and that is masked.
template <class T, bool integer>
constexpr T indefinite_value() {
    if constexpr (integer)
        return static_cast<T>(T{1} << (sizeof(T) * 8 - 1));
    else if constexpr (sizeof(T) == 4)
        return static_cast<T>(0xFFC00000);
    else
        return static_cast<T>(0xFFF8000000000000);
}

constexpr u16 kStoreStops = kIE | kOE | kUE;  ///< unmasked, these leave memory and stack alone

}  // namespace

// FST, FSTP m32/m64, FIST, FISTP, FISTTP. `operation` converts ST(0) into %[b] and pops it.
#define SB_X87_STORE(name, operation, type, integer, popping)                                     \
    static bool name##_checked(Vcpu& cpu, const Insn& insn, u64 gva) {                            \
        X87State& f = cpu.x87;                                                                    \
        type value{};                                                                             \
        HostImage image;                                                                          \
        SB_X87_CHECKED_STORE(f.control, image, operation, st(f, 0), value);                       \
        bool stores = !(image.status & ~f.control & kStoreStops);                                 \
        if (stores && !store<type>(cpu, gva, value)) return false;                                \
        note_memory(cpu, insn, gva);                                                              \
        if (settle_checked(cpu, insn, image.status, kC1, kStoreStops) && popping) pop(f);         \
        return true;                                                                              \
    }                                                                                             \
    SB_OP(name) {                                                                                 \
        X87State& f = cpu.x87;                                                                    \
        u64 gva;                                                                                  \
        if (!ready(cpu) || !ea(cpu, insn, sizeof(type), MemoryAccess::kWrite, gva)) return false; \
        if (__builtin_expect(empty(f, 0), 0)) {                                                   \
            if ((f.control & kIE) && !store<type>(cpu, gva, indefinite_value<type, integer>()))   \
                return false;                                                                     \
            note_memory(cpu, insn, gva);                                                          \
            if (stack_underflow(cpu, insn) && popping) pop(f);                                    \
            return true;                                                                          \
        }                                                                                         \
        if (__builtin_expect(!all_masked(f), 0)) return name##_checked(cpu, insn, gva);           \
        type value;                                                                               \
        u16 status;                                                                               \
        asm volatile("fldt %[a]\n\t" operation "\n\tfnstsw %[status]"                             \
                     : [b] "=m"(value), [status] "=&a"(status)                                    \
                     : [a] "m"(st(f, 0))                                                          \
                     : SB_X87_CLOBBERS);                                                          \
        if (__builtin_expect(!store<type>(cpu, gva, value), 0)) {                                 \
            host::clear_x87_flags();                                                              \
            return false;                                                                         \
        }                                                                                         \
        note_memory(cpu, insn, gva);                                                              \
        settle(f, status, kC1);                                                                   \
        if (popping) pop(f);                                                                      \
        return true;                                                                              \
    }
SB_X87_STORE(x87_fst_m32, "fstps %[b]", u32, false, false)
SB_X87_STORE(x87_fst_m64, "fstpl %[b]", u64, false, false)
SB_X87_STORE(x87_fstp_m32, "fstps %[b]", u32, false, true)
SB_X87_STORE(x87_fstp_m64, "fstpl %[b]", u64, false, true)
SB_X87_STORE(x87_fist_m16, "fistps %[b]", u16, true, false)
SB_X87_STORE(x87_fist_m32, "fistpl %[b]", u32, true, false)
SB_X87_STORE(x87_fistp_m16, "fistps %[b]", u16, true, true)
SB_X87_STORE(x87_fistp_m32, "fistpl %[b]", u32, true, true)
SB_X87_STORE(x87_fistp_m64, "fistpq %[b]", u64, true, true)
SB_X87_STORE(x87_fisttp_m16, "fisttps %[b]", u16, true, true)
SB_X87_STORE(x87_fisttp_m32, "fisttpl %[b]", u32, true, true)
SB_X87_STORE(x87_fisttp_m64, "fisttpll %[b]", u64, true, true)

SB_OP(x87_fstp_m80) {
    X87State& f = cpu.x87;
    u64 gva;
    if (!ready(cpu) || !ea(cpu, insn, 10, MemoryAccess::kWrite, gva)) return false;
    bool underflow = empty(f, 0);
    const Float80& value = underflow ? kIndefinite : st(f, 0);
    if ((!underflow || (f.control & kIE)) && !store_ten(cpu, gva, {value.significand, value.sign_exponent}))
        return false;
    note_memory(cpu, insn, gva);
    clear_c1(f);
    if (!underflow || stack_underflow(cpu, insn)) pop(f);
    return true;
}
SB_OP(x87_fbstp) {
    X87State& f = cpu.x87;
    u64 gva;
    if (!ready(cpu) || !ea(cpu, insn, 10, MemoryAccess::kWrite, gva)) return false;
    TenBytes bytes{0xC000000000000000, 0xFFFF};
    if (empty(f, 0)) {
        if ((f.control & kIE) && !store_ten(cpu, gva, bytes)) return false;
        note_memory(cpu, insn, gva);
        if (stack_underflow(cpu, insn)) pop(f);
        return true;
    }
    HostImage image;
    SB_X87_CHECKED_STORE(f.control, image, "fbstp %[b]", st(f, 0), bytes);
    if (!(image.status & ~f.control & kIE) && !store_ten(cpu, gva, bytes)) return false;
    note_memory(cpu, insn, gva);
    if (settle_checked(cpu, insn, image.status, kC1, kIE)) pop(f);
    return true;
}

namespace {

inline bool store_register(Vcpu& cpu, const Insn& insn, bool popping) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    Float80& to = st(f, insn.rm);
    if (__builtin_expect(empty(f, 0), 0)) {
        if (!stack_underflow(cpu, insn)) return true;
        to = kIndefinite;
    } else {
        clear_c1(f);
        copy(to, st(f, 0));
    }
    f.empty = static_cast<u8>(f.empty & ~(1u << physical(f, insn.rm)));
    if (popping) pop(f);
    return true;
}

}  // namespace

SB_OP(x87_fst_sti) { return store_register(cpu, insn, false); }
SB_OP(x87_fstp_sti) { return store_register(cpu, insn, true); }

/// D9 D8+i, which no manual lists: FSTP that finds nothing wrong with an empty ST(0), but then only pops.
SB_OP(x87_fstp_unchecked) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    if (!empty(f, 0)) return store_register(cpu, insn, true);
    note(cpu, insn);
    clear_c1(f);
    pop(f);
    return true;
}

SB_OP(x87_fxch) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    unsigned first = physical(f, 0), other = physical(f, insn.rm);
    if (__builtin_expect(f.empty & (1u << first | 1u << other), 0)) {
        u8 empties = f.empty;
        if (!stack_underflow(cpu, insn)) return true;
        for (unsigned n : {first, other}) {
            if (empties >> n & 1) f.st[n] = kIndefinite;
        }
        f.empty = static_cast<u8>(f.empty & ~(1u << first | 1u << other));
    }
    f.status = static_cast<u16>(f.status & ~kC1);
    Float80 held;
    copy(held, f.st[first]);
    copy(f.st[first], f.st[other]);
    copy(f.st[other], held);
    return true;
}

// FCMOVcc: condition from opcode (DA or DB) and /n.
namespace {

inline bool conditional_move(Vcpu& cpu, const Insn& insn, bool condition) {
    X87State& f = cpu.x87;
    if (!ready(cpu)) return false;
    note(cpu, insn);
    unsigned to = physical(f, 0), from = physical(f, insn.rm);
    if (f.empty & (1u << to | 1u << from)) {
        if (!stack_underflow(cpu, insn)) return true;
        f.st[to] = kIndefinite;
        f.empty = static_cast<u8>(f.empty & ~(1u << to));
        return true;
    }
    if (condition) copy(f.st[to], f.st[from]);  // C1 stays
    return true;
}

}  // namespace

SB_OP(x87_fcmovb) { return conditional_move(cpu, insn, cpu.flags.cf()); }
SB_OP(x87_fcmove) { return conditional_move(cpu, insn, cpu.flags.zf()); }
SB_OP(x87_fcmovbe) { return conditional_move(cpu, insn, cpu.flags.cf() || cpu.flags.zf()); }
SB_OP(x87_fcmovu) { return conditional_move(cpu, insn, cpu.flags.pf()); }
SB_OP(x87_fcmovnb) { return conditional_move(cpu, insn, !cpu.flags.cf()); }
SB_OP(x87_fcmovne) { return conditional_move(cpu, insn, !cpu.flags.zf()); }
SB_OP(x87_fcmovnbe) { return conditional_move(cpu, insn, !cpu.flags.cf() && !cpu.flags.zf()); }
SB_OP(x87_fcmovnu) { return conditional_move(cpu, insn, !cpu.flags.pf()); }

}  // namespace shadowbox
