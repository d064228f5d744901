// SPDX-License-Identifier: MIT
// MOV, MOVZX, MOVSX(D), LEA, XCHG, CMOVcc, SETcc, BSWAP, MOVBE, XLAT, XADD, CMPXCHG.
#include "cpu/ops/general/alu.h"

namespace shadowbox {

namespace {

template <class T, Form form>
const Insn* mov_handler(Vcpu& cpu, const Insn* insn) {
    if constexpr (form == Form::kRR) {
        put<T>(cpu, insn->rm, get<T>(cpu, insn->reg));
    } else if constexpr (form == Form::kRI) {
        put<T>(cpu, insn->rm, static_cast<T>(static_cast<i64>(insn->imm)));
    } else if constexpr (form == Form::kRM) {
        T value;
        if (!load_ea<T>(cpu, *insn, value)) SB_FAILED(cpu, insn);
        put<T>(cpu, insn->reg, value);
    } else {
        T value = form == Form::kMR ? get<T>(cpu, insn->reg) : static_cast<T>(static_cast<i64>(insn->imm));
        if (!store_ea<T>(cpu, *insn, value)) SB_FAILED(cpu, insn);
    }
    SB_NEXT(cpu, insn);
}
const Insn* mov_imm64(Vcpu& cpu, const Insn* insn) {
    cpu.gpr[insn->rm] = static_cast<u64>(insn->disp);
    SB_NEXT(cpu, insn);
}

template <class T>
struct MakeMov {
    static Handler handler(Form form) {
        switch (form) {
            case Form::kRR: return mov_handler<T, Form::kRR>;
            case Form::kRI: return mov_handler<T, Form::kRI>;
            case Form::kRM: return mov_handler<T, Form::kRM>;
            case Form::kMR: return mov_handler<T, Form::kMR>;
            default: return mov_handler<T, Form::kMI>;
        }
    }
};

/// MOVZX and MOVSX: From is the source's type (signed for MOVSX), To the destination's register type.
template <class From, class To, bool Memory>
const Insn* extend_handler(Vcpu& cpu, const Insn* insn) {
    using Raw = std::make_unsigned_t<From>;
    Raw value;
    if constexpr (Memory) {
        if (!load_ea<Raw>(cpu, *insn, value)) SB_FAILED(cpu, insn);
    } else {
        value = get<Raw>(cpu, insn->rm);
    }
    put<To>(cpu, insn->reg, static_cast<To>(static_cast<From>(value)));
    SB_NEXT(cpu, insn);
}
template <class From>
Handler extend_by_size(const Insn& insn) {
    switch (insn.osize) {
        case 1: return insn.mem ? extend_handler<From, u16, true> : extend_handler<From, u16, false>;
        case 2: return insn.mem ? extend_handler<From, u32, true> : extend_handler<From, u32, false>;
        default: return insn.mem ? extend_handler<From, u64, true> : extend_handler<From, u64, false>;
    }
}

template <class T>
const Insn* lea_flat(Vcpu& cpu, const Insn* insn) {
    put<T>(cpu, insn->reg,
           static_cast<T>(cpu.gpr[insn->rm] + (cpu.gpr[insn->index] << insn->scale) +
                          static_cast<u64>(insn->disp)));
    SB_NEXT(cpu, insn);
}
template <class T>
const Insn* lea_any(Vcpu& cpu, const Insn* insn) {
    put<T>(cpu, insn->reg, static_cast<T>(effective_address(cpu, *insn)));
    SB_NEXT(cpu, insn);
}

template <class T, bool Memory>
const Insn* xchg_handler(Vcpu& cpu, const Insn* insn) {
    T value = get<T>(cpu, insn->reg);
    if constexpr (Memory) {  // always locked
        T old = 0;
        if (!locked_modify<T>(cpu, *insn, [&old, value](T a) {
                old = a;
                return value;
            }))
            SB_FAILED(cpu, insn);
        put<T>(cpu, insn->reg, old);
    } else {
        put<T>(cpu, insn->reg, get<T>(cpu, insn->rm));
        put<T>(cpu, insn->rm, value);
    }
    SB_NEXT(cpu, insn);
}
template <class T>
struct MakeXchg {
    static Handler handler(bool mem) { return mem ? xchg_handler<T, true> : xchg_handler<T, false>; }
};

template <class T, bool Memory>
const Insn* cmov_handler(Vcpu& cpu, const Insn* insn) {
    T value;
    if constexpr (Memory) {  // the load happens whatever the condition
        if (!load_ea<T>(cpu, *insn, value)) SB_FAILED(cpu, insn);
    } else {
        value = get<T>(cpu, insn->rm);
    }
    if (!cpu.flags.condition(insn->opcode & 15)) value = get<T>(cpu, insn->reg);
    put<T>(cpu, insn->reg, value);  // a 32-bit destination is zero-extended either way
    SB_NEXT(cpu, insn);
}
template <class T>
struct MakeCmov {
    static Handler handler(bool mem) { return mem ? cmov_handler<T, true> : cmov_handler<T, false>; }
};

template <bool Memory>
const Insn* setcc_handler(Vcpu& cpu, const Insn* insn) {
    u8 value = cpu.flags.condition(insn->opcode & 15);
    if constexpr (Memory) {
        if (!store_ea<u8>(cpu, *insn, value)) SB_FAILED(cpu, insn);
    } else {
        cpu.set_reg8(insn->rm, value);
    }
    SB_NEXT(cpu, insn);
}

template <class T>
bool cmpxchg(Vcpu& cpu, const Insn& insn) {
    T accumulator = get<T>(cpu, 0), source = get<T>(cpu, insn.reg), seen = 0;
    auto exchange = [&seen, accumulator, source](T a) {
        seen = a;
        return a == accumulator ? source : a;
    };
    if (insn.mem) {  // the destination is written in any case, so it must be writable (SDM 2A CMPXCHG)
        if (!(insn.lock ? locked_modify<T>(cpu, insn, exchange) : modify<T>(cpu, insn, exchange)))
            return false;
    } else {
        T result = exchange(get<T>(cpu, insn.rm));
        if (seen == accumulator) put<T>(cpu, insn.rm, result);
    }
    alu<Alu::kCmp, T, true>(cpu, accumulator, seen);
    if (seen != accumulator) put<T>(cpu, 0, seen);
    return true;
}

template <class T>
bool xadd(Vcpu& cpu, const Insn& insn) {
    T addend = get<T>(cpu, insn.reg), old = 0;
    auto add = [&old, addend](T a) {
        old = a;
        return static_cast<T>(a + addend);
    };
    if (insn.mem) {
        if (!(insn.lock ? locked_modify<T>(cpu, insn, add) : modify<T>(cpu, insn, add))) return false;
        put<T>(cpu, insn.reg, old);
    } else {
        T sum = add(get<T>(cpu, insn.rm));
        put<T>(cpu, insn.reg, old);
        put<T>(cpu, insn.rm, sum);
    }
    alu<Alu::kAdd, T, true>(cpu, old, addend);
    return true;
}

template <class T>
T swap_bytes(T value) {
    if constexpr (sizeof(T) == 2)
        return __builtin_bswap16(value);
    else if constexpr (sizeof(T) == 4)
        return __builtin_bswap32(value);
    else
        return __builtin_bswap64(value);
}
template <class T>
bool movbe(Vcpu& cpu, const Insn& insn) {
    T value;
    if (kOpcodeRows[insn.row].operands[0] == Operand::Mv)
        return store_ea<T>(cpu, insn, swap_bytes(get<T>(cpu, insn.reg)));
    if (!load_ea<T>(cpu, insn, value)) return false;
    put<T>(cpu, insn.reg, swap_bytes(value));
    return true;
}

}  // namespace

Handler select_mov(Insn& insn, bool) {
    const OpcodeRow& row = kOpcodeRows[insn.row];
    if (row.operands[0] == Operand::Zb || row.operands[0] == Operand::Zv) insn.rm = insn.reg;
    if (row.operands[1] == Operand::Iv && insn.osize == 3) return mov_imm64;
    if (row.operands[0] == Operand::Zb || row.operands[0] == Operand::Zv)
        return by_size<MakeMov>(insn, Form::kRI);
    if (row.operands[1] == Operand::Ob || row.operands[1] == Operand::Ov) {
        insn.reg = 0;
        return by_size<MakeMov>(insn, Form::kRM);
    }
    if (row.operands[0] == Operand::Ob || row.operands[0] == Operand::Ov) {
        insn.reg = 0;
        return by_size<MakeMov>(insn, Form::kMR);
    }
    Form form = form_of(insn);
    return by_size<MakeMov>(insn, form);
}

Handler select_movzx(Insn& insn, bool) {
    if (kOpcodeRows[insn.row].operands[1] == Operand::Eb) return extend_by_size<u8>(insn);
    return extend_by_size<u16>(insn);
}
Handler select_movsx(Insn& insn, bool) {
    switch (kOpcodeRows[insn.row].operands[1]) {
        case Operand::Eb: return extend_by_size<i8>(insn);
        case Operand::Ew: return extend_by_size<i16>(insn);
        default: return extend_by_size<i32>(insn);
    }
}
Handler select_lea(Insn& insn, bool) {
    if (insn.asize == 3)
        return insn.osize == 1 ? lea_flat<u16> : insn.osize == 2 ? lea_flat<u32> : lea_flat<u64>;
    return insn.osize == 1 ? lea_any<u16> : insn.osize == 2 ? lea_any<u32> : lea_any<u64>;
}
Handler select_xchg(Insn& insn, bool) { return by_size<MakeXchg>(insn, static_cast<bool>(insn.mem)); }
Handler select_xchg_accumulator(Insn& insn, bool) {
    insn.rm = 0;
    if (insn.reg == 0) return op_nop;  // 90 is NOP: no zero extension (SDM 2B NOP)
    return by_size<MakeXchg>(insn, false);
}
Handler select_cmpxchg8b(Insn& insn, bool) {
    if (insn.osize != 3) return op_cmpxchg8b;
    return op_cmpxchg16b;
}
Handler select_cmov(Insn& insn, bool) { return by_size<MakeCmov>(insn, static_cast<bool>(insn.mem)); }
Handler select_setcc(Insn& insn, bool) { return insn.mem ? setcc_handler<true> : setcc_handler<false>; }

SB_OP(op_cmpxchg_b) { return cmpxchg<u8>(cpu, insn); }
SB_OP(op_cmpxchg) {
    return insn.osize == 1   ? cmpxchg<u16>(cpu, insn)
           : insn.osize == 2 ? cmpxchg<u32>(cpu, insn)
                             : cmpxchg<u64>(cpu, insn);
}
SB_OP(op_xadd_b) { return xadd<u8>(cpu, insn); }
SB_OP(op_xadd) {
    return insn.osize == 1   ? xadd<u16>(cpu, insn)
           : insn.osize == 2 ? xadd<u32>(cpu, insn)
                             : xadd<u64>(cpu, insn);
}
SB_OP(op_movbe) {
    return insn.osize == 1   ? movbe<u16>(cpu, insn)
           : insn.osize == 2 ? movbe<u32>(cpu, insn)
                             : movbe<u64>(cpu, insn);
}
SB_OP(op_bswap) {
    if (insn.osize == 3)
        cpu.gpr[insn.reg] = __builtin_bswap64(cpu.gpr[insn.reg]);
    else if (insn.osize == 2)
        cpu.gpr[insn.reg] = __builtin_bswap32(static_cast<u32>(cpu.gpr[insn.reg]));
    else
        cpu.set_reg<u16>(insn.reg, 0);  // undefined by the manual; processors give 0
    return true;
}
SB_OP(op_xlat) {
    u64 offset = cpu.gpr[kRbx] + cpu.reg8(0), gva;
    offset &= insn.asize == 3 ? ~u64{0} : insn.asize == 2 ? 0xFFFFFFFF : 0xFFFF;
    u8 value;
    if (!segment_address(cpu, static_cast<Seg>(insn.seg), offset, 1, MemoryAccess::kRead, gva) ||
        !load<u8>(cpu, gva, value))
        return false;
    cpu.set_reg8(0, value);
    return true;
}
SB_OP(op_cmpxchg8b) {
    u64 expected = (cpu.gpr[kRdx] & 0xFFFFFFFF) << 32 | (cpu.gpr[kRax] & 0xFFFFFFFF), seen = 0;
    u64 desired = (cpu.gpr[kRcx] & 0xFFFFFFFF) << 32 | (cpu.gpr[kRbx] & 0xFFFFFFFF);
    auto exchange = [&seen, expected, desired](u64 a) {
        seen = a;
        return a == expected ? desired : a;
    };
    if (!(insn.lock ? locked_modify<u64>(cpu, insn, exchange) : modify<u64>(cpu, insn, exchange)))
        return false;
    bool equal = seen == expected;
    if (!equal) {
        cpu.gpr[kRax] = static_cast<u32>(seen);
        cpu.gpr[kRdx] = seen >> 32;
    }
    cpu.flags.update(rflags::kZF, equal ? rflags::kZF : 0);
    return true;
}

}  // namespace shadowbox
