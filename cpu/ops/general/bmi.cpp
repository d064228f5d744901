// SPDX-License-Identifier: MIT
// BMI1 and BMI2: ANDN BEXTR BLSI BLSMSK BLSR BZHI MULX PDEP PEXT RORX SARX SHLX SHRX (SDM 2A/2D).
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

template <class T>
bool source(Vcpu& cpu, const Insn& insn, T& value) {
    if (insn.mem) return load_ea<T>(cpu, insn, value);
    value = get<T>(cpu, insn.rm);
    return true;
}

/// SF and ZF of the result, CF as given, OF cleared; AF and PF are undefined.
template <class T>
void set_flags(Vcpu& cpu, T result, bool carry) {
    cpu.flags.result = LazyFlags::extend(result);
    cpu.flags.aux = carry ? u64{0xC0000000} : 0;
}

template <class T>
struct Andn {
    static bool run(Vcpu& cpu, const Insn& insn) {
        T b;
        if (!source<T>(cpu, insn, b)) return false;
        T r = static_cast<T>(~get<T>(cpu, insn.vvvv) & b);
        put<T>(cpu, insn.reg, r);
        set_flags<T>(cpu, r, false);
        return true;
    }
};
template <class T>
struct Bextr {
    static bool run(Vcpu& cpu, const Insn& insn) {
        T a;
        if (!source<T>(cpu, insn, a)) return false;
        unsigned start = cpu.gpr[insn.vvvv] & 0xFF, length = cpu.gpr[insn.vvvv] >> 8 & 0xFF;
        constexpr unsigned bits = sizeof(T) * 8;
        T r = start < bits ? static_cast<T>(a >> start) : 0;
        if (length < bits) r &= static_cast<T>((T{1} << length) - 1);
        put<T>(cpu, insn.reg, r);
        set_flags<T>(cpu, r, false);
        return true;
    }
};
template <class T>
struct Bls {  // group 17: /1 BLSR, /2 BLSMSK, /3 BLSI; the destination is vvvv
    static bool run(Vcpu& cpu, const Insn& insn) {
        T a;
        if (!source<T>(cpu, insn, a)) return false;
        T r;
        bool carry = a == 0;
        switch (insn.reg & 7) {
            case 1: r = a & (a - 1); break;
            case 2: r = a ^ (a - 1); break;
            default:
                r = a & (0 - a);
                carry = a != 0;
                break;
        }
        put<T>(cpu, insn.vvvv, r);
        set_flags<T>(cpu, r, carry);
        return true;
    }
};
template <class T>
struct Bzhi {
    static bool run(Vcpu& cpu, const Insn& insn) {
        T a;
        if (!source<T>(cpu, insn, a)) return false;
        unsigned n = cpu.gpr[insn.vvvv] & 0xFF;
        constexpr unsigned bits = sizeof(T) * 8;
        T r = n < bits ? a & static_cast<T>((T{1} << n) - 1) : a;
        put<T>(cpu, insn.reg, r);
        set_flags<T>(cpu, r, n >= bits);
        return true;
    }
};
template <class T>
struct Mulx {
    static bool run(Vcpu& cpu, const Insn& insn) {
        T a;
        if (!source<T>(cpu, insn, a)) return false;
        u128 product = static_cast<u128>(a) * get<T>(cpu, kRdx);
        put<T>(cpu, insn.vvvv, static_cast<T>(product));
        put<T>(cpu, insn.reg, static_cast<T>(product >> (sizeof(T) * 8)));
        return true;
    }
};
template <class T>
struct Pdep {
    static bool run(Vcpu& cpu, const Insn& insn) {
        T mask, bits = get<T>(cpu, insn.vvvv), r = 0;
        if (!source<T>(cpu, insn, mask)) return false;
        for (; mask; mask &= mask - 1, bits >>= 1)
            if (bits & 1) r |= mask & (0 - mask);
        put<T>(cpu, insn.reg, r);
        return true;
    }
};
template <class T>
struct Pext {
    static bool run(Vcpu& cpu, const Insn& insn) {
        T mask, bits = get<T>(cpu, insn.vvvv), r = 0, at = 1;
        if (!source<T>(cpu, insn, mask)) return false;
        for (; mask; mask &= mask - 1, at <<= 1)
            if (bits & mask & (0 - mask)) r |= at;
        put<T>(cpu, insn.reg, r);
        return true;
    }
};
template <class T>
struct Rorx {
    static bool run(Vcpu& cpu, const Insn& insn) {
        T a;
        if (!source<T>(cpu, insn, a)) return false;
        constexpr unsigned bits = sizeof(T) * 8;
        unsigned n = static_cast<unsigned>(insn.imm) & (bits - 1);
        put<T>(cpu, insn.reg, n ? static_cast<T>(a >> n | a << (bits - n)) : a);
        return true;
    }
};
template <class T>
struct Shiftx {  // by mandatory prefix: 66 SHLX, F3 SARX, F2 SHRX
    static bool run(Vcpu& cpu, const Insn& insn) {
        T a;
        if (!source<T>(cpu, insn, a)) return false;
        unsigned n = cpu.gpr[insn.vvvv] & (sizeof(T) * 8 - 1);
        T r;
        switch (kOpcodeRows[insn.row].prefix) {
            case OpPrefix::P66: r = a << n; break;
            case OpPrefix::PF3: r = static_cast<T>(static_cast<std::make_signed_t<T>>(a) >> n); break;
            default: r = a >> n; break;
        }
        put<T>(cpu, insn.reg, r);
        return true;
    }
};

template <template <class> class Op>
bool run(Vcpu& cpu, const Insn& insn) {
    return insn.osize == 3 ? Op<u64>::run(cpu, insn) : Op<u32>::run(cpu, insn);
}

}  // namespace

SB_OP(op_andn) { return run<Andn>(cpu, insn); }
SB_OP(op_bextr) { return run<Bextr>(cpu, insn); }
SB_OP(op_bls) { return run<Bls>(cpu, insn); }
SB_OP(op_bzhi) { return run<Bzhi>(cpu, insn); }
SB_OP(op_mulx) { return run<Mulx>(cpu, insn); }
SB_OP(op_pdep) { return run<Pdep>(cpu, insn); }
SB_OP(op_pext) { return run<Pext>(cpu, insn); }
SB_OP(op_rorx) { return run<Rorx>(cpu, insn); }
SB_OP(op_shiftx) { return run<Shiftx>(cpu, insn); }

}  // namespace shadowbox
