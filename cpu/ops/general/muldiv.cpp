// SPDX-License-Identifier: MIT
// MUL, IMUL, DIV, IDIV (SDM 2A). Flags the manual leaves undefined are set as recent processors do where
// known, else kept.
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

template <class T>
struct Wide;
template <>
struct Wide<u8> {
    using U = u16;
    using S = i16;
};
template <>
struct Wide<u16> {
    using U = u32;
    using S = i32;
};
template <>
struct Wide<u32> {
    using U = u64;
    using S = i64;
};
template <>
struct Wide<u64> {
    using U = u128;
    using S = i128;
};

template <class T>
bool read_rm(Vcpu& cpu, const Insn& insn, T& value) {
    if (insn.mem) return load_ea<T>(cpu, insn, value);
    value = get<T>(cpu, insn.rm);
    return true;
}

template <class T, bool Signed>
bool multiply(Vcpu& cpu, const Insn& insn) {
    T operand;
    if (!read_rm<T>(cpu, insn, operand)) return false;
    using U = typename Wide<T>::U;
    using S = typename Wide<T>::S;
    T a = get<T>(cpu, 0);
    U product;
    if constexpr (Signed)
        product = static_cast<U>(static_cast<S>(static_cast<std::make_signed_t<T>>(a)) *
                                 static_cast<std::make_signed_t<T>>(operand));
    else
        product = static_cast<U>(static_cast<U>(a) * operand);
    T low = static_cast<T>(product), high = static_cast<T>(product >> (sizeof(T) * 8));
    if constexpr (sizeof(T) == 1) {
        cpu.set_reg<u16>(kRax, product);
    } else {
        put<T>(cpu, kRax, low);
        put<T>(cpu, kRdx, high);
    }
    bool overflow =
        Signed ? high != static_cast<T>(static_cast<std::make_signed_t<T>>(low) >> (sizeof(T) * 8 - 1))
               : high != 0;
    cpu.flags.result = LazyFlags::extend(low);
    cpu.flags.aux = overflow ? u64{1} << 31 : 0;  // CF = OF = 1: carry out without carry in
    return true;
}

template <class T, bool Signed>
bool divide(Vcpu& cpu, const Insn& insn) {
    T divisor;
    if (!read_rm<T>(cpu, insn, divisor)) return false;
    if (divisor == 0) return cpu.raise(Vector::kDE);
    using U = typename Wide<T>::U;
    using S = typename Wide<T>::S;
    constexpr unsigned bits = sizeof(T) * 8;
    U dividend;
    if constexpr (sizeof(T) == 1)
        dividend = get<u16>(cpu, kRax);
    else
        dividend = static_cast<U>(static_cast<U>(get<T>(cpu, kRdx)) << bits | get<T>(cpu, kRax));
    T quotient, remainder;
    if constexpr (Signed) {
        using St = std::make_signed_t<T>;
        S d = static_cast<S>(dividend), v = static_cast<St>(divisor);
        S lowest = static_cast<S>(static_cast<U>(1) << (2 * bits - 1));
        if (v == -1 && d == lowest) return cpu.raise(Vector::kDE);
        S q, r;
        if constexpr (sizeof(T) == 8) {  // most dividends are sign extensions: 64-bit division is much faster
            if (d == static_cast<i64>(d) && !(v == -1)) {
                q = static_cast<i64>(d) / static_cast<i64>(v);
                r = static_cast<i64>(d) % static_cast<i64>(v);
            } else {
                q = d / v;
                r = d % v;
            }
        } else {
            q = static_cast<S>(d / v);
            r = static_cast<S>(d % v);
        }
        if (q != static_cast<St>(q)) return cpu.raise(Vector::kDE);
        quotient = static_cast<T>(q);
        remainder = static_cast<T>(r);
    } else {
        if constexpr (sizeof(T) == 8) {
            u64 high = static_cast<u64>(dividend >> 64);
            if (high >= divisor) return cpu.raise(Vector::kDE);
            if (high == 0) {
                quotient = static_cast<u64>(dividend) / divisor;
                remainder = static_cast<u64>(dividend) % divisor;
            } else {
                quotient = static_cast<u64>(dividend / divisor);
                remainder = static_cast<u64>(dividend % divisor);
            }
        } else {
            U q = static_cast<U>(dividend / divisor);
            if (q >> bits) return cpu.raise(Vector::kDE);
            quotient = static_cast<T>(q);
            remainder = static_cast<T>(dividend % divisor);
        }
    }
    if constexpr (sizeof(T) == 1) {
        cpu.set_reg<u16>(kRax, static_cast<u16>(remainder << 8 | quotient));
    } else {
        put<T>(cpu, kRax, quotient);
        put<T>(cpu, kRdx, remainder);
    }
    return true;
}

template <class T>
bool imul_two(Vcpu& cpu, const Insn& insn, T b) {
    T a;
    if (!read_rm<T>(cpu, insn, a)) return false;
    using S = typename Wide<T>::S;
    using St = std::make_signed_t<T>;
    S product = static_cast<S>(static_cast<S>(static_cast<St>(a)) * static_cast<St>(b));
    T low = static_cast<T>(product);
    put<T>(cpu, insn.reg, low);
    cpu.flags.result = static_cast<St>(low);
    cpu.flags.aux = product != static_cast<St>(low) ? u64{1} << 31 : 0;
    return true;
}
template <class T, bool Immediate>
const Insn* imul_handler(Vcpu& cpu, const Insn* insn) {
    if (!imul_two<T>(cpu, *insn,
                     Immediate ? static_cast<T>(static_cast<i64>(insn->imm)) : get<T>(cpu, insn->reg)))
        SB_FAILED(cpu, insn);
    SB_NEXT(cpu, insn);
}
template <class T>
struct MakeImul {
    static Handler handler(bool immediate) {
        return immediate ? imul_handler<T, true> : imul_handler<T, false>;
    }
};

}  // namespace

Handler select_imul(Insn& insn, bool) {
    bool immediate = kOpcodeRows[insn.row].operands[2] != Operand::None;
    switch (insn.osize) {
        case 1: return MakeImul<u16>::handler(immediate);
        case 2: return MakeImul<u32>::handler(immediate);
        default: return MakeImul<u64>::handler(immediate);
    }
}

#define SB_SIZED(name, function, ...)                                     \
    SB_OP(name##_b) { return function<u8, __VA_ARGS__>(cpu, insn); }      \
    SB_OP(name) {                                                         \
        return insn.osize == 1   ? function<u16, __VA_ARGS__>(cpu, insn)  \
               : insn.osize == 2 ? function<u32, __VA_ARGS__>(cpu, insn)  \
                                 : function<u64, __VA_ARGS__>(cpu, insn); \
    }
SB_SIZED(op_mul, multiply, false)
SB_SIZED(op_imul, multiply, true)
SB_SIZED(op_div, divide, false)
SB_SIZED(op_idiv, divide, true)

}  // namespace shadowbox
