// SPDX-License-Identifier: MIT
// ROL ROR RCL RCR SHL SHR SAR, and SHLD SHRD. Counts are masked to 5 (6 for 64-bit) bits; a masked count of 0
// changes no flag (SDM 2B "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR"). OF is computed for every count as processors
// do, though defined for 1 only.
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

/// Sets CF and OF and leaves the others.
void set_cf_of(Vcpu& cpu, bool carry, bool overflow) {
    cpu.flags.aux = (cpu.flags.aux & ~u64{0xC0000000}) | static_cast<u64>(carry) << 31 |
                    static_cast<u64>(carry != overflow) << 30;
}

template <Shift op, class T>
[[gnu::always_inline]] inline T rotate(Vcpu& cpu, T a, unsigned count) {
    constexpr unsigned bits = sizeof(T) * 8;
    if constexpr (op == Shift::kRol || op == Shift::kRor) {
        unsigned n = count % bits;
        T r = a;
        if (n)
            r = op == Shift::kRol ? static_cast<T>(a << n | a >> (bits - n))
                                  : static_cast<T>(a >> n | a << (bits - n));
        bool top = r >> (bits - 1) & 1;
        if constexpr (op == Shift::kRol)
            set_cf_of(cpu, r & 1, top != (r & 1));
        else
            set_cf_of(cpu, top, top != static_cast<bool>(r >> (bits - 2) & 1));
        return r;
    } else {
        unsigned n = count % (bits + 1);
        if (n == 0) return a;
        bool carry = cpu.flags.cf();
        u128 wide = static_cast<u128>(carry) << bits | a;  // bits+1 wide, rotated as one
        u128 mask = (static_cast<u128>(1) << (bits + 1)) - 1;
        u128 turned = op == Shift::kRcl ? (wide << n | wide >> (bits + 1 - n)) & mask
                                        : (wide >> n | wide << (bits + 1 - n)) & mask;
        T r = static_cast<T>(turned);
        bool out = turned >> bits & 1, top = r >> (bits - 1) & 1;
        if constexpr (op == Shift::kRcl)
            set_cf_of(cpu, out, top != out);
        else
            set_cf_of(cpu, out, top != static_cast<bool>(r >> (bits - 2) & 1));
        return r;
    }
}

/// `count` is masked and not 0.
template <Shift op, class T, bool Flags>
[[gnu::always_inline]] inline T shift(Vcpu& cpu, T a, unsigned count) {
    constexpr unsigned bits = sizeof(T) * 8;
    if constexpr (op != Shift::kShl && op != Shift::kShr && op != Shift::kSar) {
        return rotate<op, T>(cpu, a, count);
    } else {
        T r;
        bool carry, overflow;
        using Signed = std::make_signed_t<T>;
        if constexpr (op == Shift::kShl) {
            r = count < bits ? static_cast<T>(a << count) : 0;
            carry = count <= bits && (a >> (bits - count) & 1);
            overflow = static_cast<bool>(r >> (bits - 1)) != carry;
        } else if constexpr (op == Shift::kShr) {
            r = count < bits ? static_cast<T>(a >> count) : 0;
            carry = count <= bits && (a >> (count - 1) & 1);
            overflow = (static_cast<T>(r << 1) ^ r) >> (bits - 1) & 1;
        } else {
            unsigned n = count < bits ? count : bits - 1;
            r = static_cast<T>(static_cast<Signed>(a) >> n);
            carry = count < bits ? static_cast<Signed>(a) >> (count - 1) & 1 : a >> (bits - 1) & 1;
            overflow = false;
        }
        if constexpr (Flags) {
            cpu.flags.result = LazyFlags::extend(r);
            cpu.flags.aux = static_cast<u64>(carry) << 31 | static_cast<u64>(carry != overflow) << 30;
        }
        return r;
    }
}

enum class Count : u8 { kImmediate, kCl };

template <Shift op, class T, bool Flags, Count source>
const Insn* shift_register(Vcpu& cpu, const Insn* insn) {
    constexpr unsigned mask = sizeof(T) == 8 ? 63 : 31;
    unsigned count =
        (source == Count::kCl ? static_cast<unsigned>(cpu.gpr[kRcx]) : static_cast<unsigned>(insn->imm)) &
        mask;
    T a = get<T>(cpu, insn->rm);
    if (source == Count::kImmediate || count != 0) a = shift<op, T, Flags>(cpu, a, count);
    put<T>(cpu, insn->rm, a);  // also with count 0: a 32-bit destination is zero-extended
    SB_NEXT(cpu, insn);
}
template <Shift op, class T>
const Insn* shift_memory(Vcpu& cpu, const Insn* insn) {
    constexpr unsigned mask = sizeof(T) == 8 ? 63 : 31;
    bool by_cl = kOpcodeRows[insn->row].operands[1] == Operand::CL;
    unsigned count = (by_cl ? static_cast<unsigned>(cpu.gpr[kRcx]) : static_cast<unsigned>(insn->imm)) & mask;
    if (!modify<T>(cpu, *insn, [&cpu, count](T a) { return count ? shift<op, T, true>(cpu, a, count) : a; }))
        SB_FAILED(cpu, insn);
    SB_NEXT(cpu, insn);
}
template <class T>
const Insn* shift_nothing(Vcpu& cpu, const Insn* insn) {
    if constexpr (sizeof(T) == 4) cpu.gpr[insn->rm] = static_cast<u32>(cpu.gpr[insn->rm]);
    SB_NEXT(cpu, insn);
}

template <Shift op>
struct Make {
    template <class T>
    struct For {
        static Handler handler(const Insn& insn, bool dead) {
            if (insn.mem) return shift_memory<op, T>;
            bool by_cl = kOpcodeRows[insn.row].operands[1] == Operand::CL;
            if (!by_cl && !(insn.imm & (sizeof(T) == 8 ? 63 : 31))) return shift_nothing<T>;
            if (by_cl)
                return dead ? shift_register<op, T, false, Count::kCl>
                            : shift_register<op, T, true, Count::kCl>;
            return dead ? shift_register<op, T, false, Count::kImmediate>
                        : shift_register<op, T, true, Count::kImmediate>;
        }
    };
};

/// SHLD and SHRD: r of a:b shifted as one double-width value.
template <class T>
T double_shift(Vcpu& cpu, T a, T b, unsigned count, bool left) {
    constexpr unsigned bits = sizeof(T) * 8;
    if (count == 0) return a;
    T r;
    bool carry;
    if (sizeof(T) == 2 && count > 16) {  // undefined by the manual; processors go on with the destination's
                                         // bits behind the source's
        u64 wide = left ? static_cast<u64>(a) << 32 | static_cast<u64>(b) << 16 | a
                        : static_cast<u64>(a) << 32 | static_cast<u64>(b) << 16 | a;
        r = left ? static_cast<T>(wide << count >> 32) : static_cast<T>(wide >> count);
        carry = left ? wide >> (48 - count) & 1 : wide >> (count - 1) & 1;
    } else if (left) {
        r = count == bits ? b : static_cast<T>(a << count | static_cast<u64>(b) >> (bits - count));
        carry = a >> (bits - count) & 1;
    } else {
        r = count == bits ? b : static_cast<T>(static_cast<u64>(a) >> count | b << (bits - count));
        carry = a >> (count - 1) & 1;
    }
    bool overflow = (r ^ a) >> (bits - 1) & 1;
    cpu.flags.result = LazyFlags::extend(r);
    cpu.flags.aux = static_cast<u64>(carry) << 31 | static_cast<u64>(carry != overflow) << 30;
    return r;
}

template <class T>
bool double_shift_op(Vcpu& cpu, const Insn& insn, bool left) {
    bool by_cl = kOpcodeRows[insn.row].operands[2] == Operand::CL;
    unsigned count = (by_cl ? static_cast<unsigned>(cpu.gpr[kRcx]) : static_cast<unsigned>(insn.imm)) &
                     (sizeof(T) == 8 ? 63 : 31);
    T b = get<T>(cpu, insn.reg);
    if (insn.mem)
        return modify<T>(cpu, insn,
                         [&cpu, b, count, left](T a) { return double_shift<T>(cpu, a, b, count, left); });
    put<T>(cpu, insn.rm, double_shift<T>(cpu, get<T>(cpu, insn.rm), b, count, left));
    return true;
}
bool double_shift_sized(Vcpu& cpu, const Insn& insn, bool left) {
    switch (insn.osize) {
        case 1: return double_shift_op<u16>(cpu, insn, left);
        case 2: return double_shift_op<u32>(cpu, insn, left);
        default: return double_shift_op<u64>(cpu, insn, left);
    }
}

}  // namespace

template <Shift op>
Handler select_shift(Insn& insn, bool flags_dead) {
    return by_size<Make<op>::template For>(insn, insn, flags_dead);
}
template Handler select_shift<Shift::kRol>(Insn&, bool);
template Handler select_shift<Shift::kRor>(Insn&, bool);
template Handler select_shift<Shift::kRcl>(Insn&, bool);
template Handler select_shift<Shift::kRcr>(Insn&, bool);
template Handler select_shift<Shift::kShl>(Insn&, bool);
template Handler select_shift<Shift::kShr>(Insn&, bool);
template Handler select_shift<Shift::kSar>(Insn&, bool);

SB_OP(op_shld) { return double_shift_sized(cpu, insn, true); }
SB_OP(op_shrd) { return double_shift_sized(cpu, insn, false); }

}  // namespace shadowbox
