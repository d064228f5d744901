// SPDX-License-Identifier: MIT
// Handlers of the two-operand arithmetic and logic family (SDM 2A ADD, ADC, AND, CMP, OR, SBB, SUB, TEST,
// XOR).
#include "cpu/ops/general/alu.h"

namespace shadowbox {

namespace {

template <Alu op, class T, bool Flags, Form form>
const Insn* alu_handler(Vcpu& cpu, const Insn* insn) {
    if constexpr (form == Form::kRR || form == Form::kRI) {
        T b = form == Form::kRR ? get<T>(cpu, insn->reg) : static_cast<T>(insn->imm);
        T r = alu<op, T, Flags>(cpu, get<T>(cpu, insn->rm), b);
        if constexpr (stores_result(op)) put<T>(cpu, insn->rm, r);
    } else if constexpr (form == Form::kRM || !stores_result(op)) {
        T memory;
        if (!load_ea<T>(cpu, *insn, memory)) SB_FAILED(cpu, insn);
        if constexpr (form == Form::kRM) {
            T r = alu<op, T, Flags>(cpu, get<T>(cpu, insn->reg), memory);
            if constexpr (stores_result(op)) put<T>(cpu, insn->reg, r);
        } else {
            alu<op, T, Flags>(cpu, memory,
                              form == Form::kMR ? get<T>(cpu, insn->reg) : static_cast<T>(insn->imm));
        }
    } else {
        T b = form == Form::kMR ? get<T>(cpu, insn->reg) : static_cast<T>(insn->imm);
        if (!modify<T>(cpu, *insn, [&cpu, b](T a) { return alu<op, T, Flags>(cpu, a, b); }))
            SB_FAILED(cpu, insn);
    }
    SB_NEXT(cpu, insn);
}

template <Alu op, class T>
const Insn* alu_locked(Vcpu& cpu, const Insn* insn) {
    const OpcodeRow& row = kOpcodeRows[insn->row];
    bool register_source = row.operands[1] == Operand::Gb || row.operands[1] == Operand::Gv;
    T b = register_source ? get<T>(cpu, insn->reg) : static_cast<T>(insn->imm);
    LazyFlags before = cpu.flags;
    bool done = locked_modify<T>(cpu, *insn, [&cpu, b, before](T a) {
        cpu.flags = before;  // ADC and SBB read CF anew on each try
        return alu<op, T, true>(cpu, a, b);
    });
    if (!done) {
        cpu.flags = before;
        SB_FAILED(cpu, insn);
    }
    SB_NEXT(cpu, insn);
}

template <Alu op>
struct Make {
    template <class T>
    struct For {
        static Handler handler(Form form, bool dead, bool lock) {
            if constexpr (stores_result(op)) {
                if (lock) return alu_locked<op, T>;
            }
            if (op == Alu::kAdc || op == Alu::kSbb) dead = false;
            return dead ? pick<false>(form) : pick<true>(form);
        }
        template <bool Flags>
        static Handler pick(Form form) {
            switch (form) {
                case Form::kRR: return alu_handler<op, T, Flags, Form::kRR>;
                case Form::kRI: return alu_handler<op, T, Flags, Form::kRI>;
                case Form::kRM: return alu_handler<op, T, Flags, Form::kRM>;
                case Form::kMR: return alu_handler<op, T, Flags, Form::kMR>;
                default: return alu_handler<op, T, Flags, Form::kMI>;
            }
        }
    };
};

/// XOR or SUB of a register with itself: zero, whatever it held.
template <class T, bool Flags>
const Insn* zero_register(Vcpu& cpu, const Insn* insn) {
    put<T>(cpu, insn->rm, T{0});
    if constexpr (Flags) cpu.flags.logic<T>(0);
    SB_NEXT(cpu, insn);
}

}  // namespace

template <Alu op>
Handler select_alu(Insn& insn, bool flags_dead) {
    Form form = form_of(insn);
    if ((op == Alu::kXor || op == Alu::kSub) && form == Form::kRR && insn.reg == insn.rm &&
        operand_bytes(insn) >= 4) {
        if (operand_bytes(insn) == 4)
            return flags_dead ? zero_register<u32, false> : zero_register<u32, true>;
        return flags_dead ? zero_register<u64, false> : zero_register<u64, true>;
    }
    return by_size<Make<op>::template For>(insn, form, flags_dead, static_cast<bool>(insn.lock));
}
template Handler select_alu<Alu::kAdd>(Insn&, bool);
template Handler select_alu<Alu::kOr>(Insn&, bool);
template Handler select_alu<Alu::kAdc>(Insn&, bool);
template Handler select_alu<Alu::kSbb>(Insn&, bool);
template Handler select_alu<Alu::kAnd>(Insn&, bool);
template Handler select_alu<Alu::kSub>(Insn&, bool);
template Handler select_alu<Alu::kXor>(Insn&, bool);
template Handler select_alu<Alu::kCmp>(Insn&, bool);
template Handler select_alu<Alu::kTest>(Insn&, bool);

unsigned operand_bytes(const Insn& insn) {
    const OpcodeRow& row = kOpcodeRows[insn.row];
    for (Operand operand : row.operands) {
        switch (operand) {
            case Operand::Eb:
            case Operand::Gb:
            case Operand::Zb:
            case Operand::AL:
            case Operand::Mb:
            case Operand::Xb:
            case Operand::Yb:
            case Operand::Ob: return 1;
            case Operand::Ew:
            case Operand::Gw:
            case Operand::Mw:
            case Operand::AX: return 2;
            case Operand::Ed:
            case Operand::Gd:
            case Operand::Md:
            case Operand::Rd:
            case Operand::Zd: return 4;
            case Operand::Eq:
            case Operand::Gq:
            case Operand::Mq:
            case Operand::Rq: return 8;
            case Operand::Ey:
            case Operand::Gy:
            case Operand::Ry:
            case Operand::My: return insn.osize == 3 ? 8 : 4;
            case Operand::None:
            case Operand::DX:
            case Operand::CL: continue;
            default: return 1u << insn.osize;
        }
    }
    return 1u << insn.osize;
}

}  // namespace shadowbox
