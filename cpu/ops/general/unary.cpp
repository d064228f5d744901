// SPDX-License-Identifier: MIT
// INC, DEC, NOT, NEG.
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

template <Unary op, class T, bool Flags>
[[gnu::always_inline]] inline T unary(Vcpu& cpu, T a) {
    if constexpr (op == Unary::kNot) return static_cast<T>(~a);
    if constexpr (op == Unary::kNeg) {
        T r = static_cast<T>(0 - a);
        if constexpr (Flags) cpu.flags.sub<T>(0, a, r);
        return r;
    }
    bool carry = Flags && cpu.flags.cf();  // INC and DEC leave CF alone
    T r = static_cast<T>(op == Unary::kInc ? a + 1 : a - 1);
    if constexpr (Flags) {
        if constexpr (op == Unary::kInc)
            cpu.flags.add<T>(a, 1, r);
        else
            cpu.flags.sub<T>(a, 1, r);
        cpu.flags.set_cf(carry);
    }
    return r;
}

template <Unary op, class T, bool Flags>
const Insn* unary_register(Vcpu& cpu, const Insn* insn) {
    put<T>(cpu, insn->rm, unary<op, T, Flags>(cpu, get<T>(cpu, insn->rm)));
    SB_NEXT(cpu, insn);
}
template <Unary op, class T>
const Insn* unary_memory(Vcpu& cpu, const Insn* insn) {
    if (!modify<T>(cpu, *insn, [&cpu](T a) { return unary<op, T, true>(cpu, a); })) SB_FAILED(cpu, insn);
    SB_NEXT(cpu, insn);
}
template <Unary op, class T>
const Insn* unary_locked(Vcpu& cpu, const Insn* insn) {
    LazyFlags before = cpu.flags;
    bool done = locked_modify<T>(cpu, *insn, [&cpu, before](T a) {
        cpu.flags = before;
        return unary<op, T, true>(cpu, a);
    });
    if (!done) {
        cpu.flags = before;
        SB_FAILED(cpu, insn);
    }
    SB_NEXT(cpu, insn);
}

template <Unary op>
struct Make {
    template <class T>
    struct For {
        static Handler handler(bool mem, bool lock, bool dead) {
            if (mem) return lock ? unary_locked<op, T> : unary_memory<op, T>;
            return dead ? unary_register<op, T, false> : unary_register<op, T, true>;
        }
    };
};

}  // namespace

template <Unary op>
Handler select_unary(Insn& insn, bool flags_dead) {
    if (kOpcodeRows[insn.row].operands[0] == Operand::Zv)
        insn.rm = insn.reg;  // 40+r, 48+r outside 64-bit mode
    return by_size<Make<op>::template For>(insn, static_cast<bool>(insn.mem), static_cast<bool>(insn.lock),
                                           flags_dead);
}
template Handler select_unary<Unary::kInc>(Insn&, bool);
template Handler select_unary<Unary::kDec>(Insn&, bool);
template Handler select_unary<Unary::kNot>(Insn&, bool);
template Handler select_unary<Unary::kNeg>(Insn&, bool);

}  // namespace shadowbox
