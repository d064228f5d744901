// SPDX-License-Identifier: MIT
// BT BTS BTR BTC, BSF BSR TZCNT LZCNT POPCNT, BMI1, BMI2, ADX.
#include <bit>

#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

enum class Bit : u8 { kTest, kSet, kReset, kComplement };

template <Bit op, class T>
T change_bit(T a, unsigned n) {
    T mask = static_cast<T>(T{1} << n);
    if constexpr (op == Bit::kSet) return a | mask;
    if constexpr (op == Bit::kReset) return static_cast<T>(a & ~mask);
    if constexpr (op == Bit::kComplement) return a ^ mask;
    return a;
}

template <Bit op, class T>
bool bit_test(Vcpu& cpu, const Insn& insn) {
    constexpr unsigned bits = sizeof(T) * 8;
    bool immediate = kOpcodeRows[insn.row].operands[1] == Operand::Ib;
    i64 offset = immediate ? i64{insn.imm} & (bits - 1)
                           : i64{static_cast<std::make_signed_t<T>>(get<T>(cpu, insn.reg))};
    unsigned n = static_cast<unsigned>(offset) & (bits - 1);
    bool bit = false;
    if (!insn.mem) {
        T a = get<T>(cpu, insn.rm);
        bit = a >> n & 1;
        if constexpr (op != Bit::kTest) put<T>(cpu, insn.rm, change_bit<op, T>(a, n));
    } else {
        // A register offset addresses a bit string of any length: step whole operands (SDM 2A BT).
        Insn moved = insn;
        u64 gva;
        if (!immediate) moved.disp += (offset >> std::countr_zero(bits)) * static_cast<i64>(sizeof(T));
        if (!ea(cpu, moved, sizeof(T), op == Bit::kTest ? MemoryAccess::kRead : MemoryAccess::kWrite, gva))
            return false;
        if constexpr (op == Bit::kTest) {
            T a;
            if (!load<T>(cpu, gva, a)) return false;
            bit = a >> n & 1;
        } else {
            auto change = [&bit, n](T a) {
                bit = a >> n & 1;
                return change_bit<op, T>(a, n);
            };
            if (!(insn.lock ? locked_modify<T>(cpu, moved, change) : modify<T>(cpu, moved, change)))
                return false;
        }
    }
    cpu.flags.set_cf(bit);
    return true;
}
template <Bit op>
bool bit_test_sized(Vcpu& cpu, const Insn& insn) {
    switch (insn.osize) {
        case 1: return bit_test<op, u16>(cpu, insn);
        case 2: return bit_test<op, u32>(cpu, insn);
        default: return bit_test<op, u64>(cpu, insn);
    }
}

template <class T>
bool source(Vcpu& cpu, const Insn& insn, T& value) {
    if (insn.mem) return load_ea<T>(cpu, insn, value);
    value = get<T>(cpu, insn.rm);
    return true;
}

enum class Scan : u8 { kBsf, kBsr, kTzcnt, kLzcnt, kPopcnt };

template <Scan op, class T>
bool scan(Vcpu& cpu, const Insn& insn) {
    T a;
    if (!source<T>(cpu, insn, a)) return false;
    if constexpr (op == Scan::kBsf || op == Scan::kBsr) {
        if (a == 0) {  // the destination stays as it is (documented by AMD, done by Intel)
            cpu.flags.update(rflags::kZF, rflags::kZF);
            return true;
        }
        put<T>(cpu, insn.reg,
               static_cast<T>(op == Scan::kBsf ? std::countr_zero(a)
                                               : static_cast<int>(sizeof(T) * 8) - 1 - std::countl_zero(a)));
        cpu.flags.update(rflags::kZF, 0);
    } else if constexpr (op == Scan::kPopcnt) {
        put<T>(cpu, insn.reg, static_cast<T>(std::popcount(a)));
        cpu.flags.set(a == 0 ? rflags::kZF : 0);
    } else {
        T n = static_cast<T>(op == Scan::kTzcnt ? std::countr_zero(a) : std::countl_zero(a));
        put<T>(cpu, insn.reg, n);
        cpu.flags.update(rflags::kZF | rflags::kCF, (n == 0 ? rflags::kZF : 0) | (a == 0 ? rflags::kCF : 0));
    }
    return true;
}
template <Scan op>
bool scan_sized(Vcpu& cpu, const Insn& insn) {
    switch (insn.osize) {
        case 1: return scan<op, u16>(cpu, insn);
        case 2: return scan<op, u32>(cpu, insn);
        default: return scan<op, u64>(cpu, insn);
    }
}

template <class T>
bool adx(Vcpu& cpu, const Insn& insn, u64 flag) {
    T a;
    if (!source<T>(cpu, insn, a)) return false;
    bool carry = cpu.flags.value() & flag;
    T b = get<T>(cpu, insn.reg), sum;
    bool out = __builtin_add_overflow(a, b, &sum);
    out |= __builtin_add_overflow(sum, static_cast<T>(carry), &sum);
    put<T>(cpu, insn.reg, sum);
    cpu.flags.update(flag, out ? flag : 0);
    return true;
}

}  // namespace

SB_OP(op_bt) { return bit_test_sized<Bit::kTest>(cpu, insn); }
SB_OP(op_bts) { return bit_test_sized<Bit::kSet>(cpu, insn); }
SB_OP(op_btr) { return bit_test_sized<Bit::kReset>(cpu, insn); }
SB_OP(op_btc) { return bit_test_sized<Bit::kComplement>(cpu, insn); }
SB_OP(op_bsf) { return scan_sized<Scan::kBsf>(cpu, insn); }
SB_OP(op_bsr) { return scan_sized<Scan::kBsr>(cpu, insn); }
SB_OP(op_tzcnt) { return scan_sized<Scan::kTzcnt>(cpu, insn); }
SB_OP(op_lzcnt) { return scan_sized<Scan::kLzcnt>(cpu, insn); }
SB_OP(op_popcnt) { return scan_sized<Scan::kPopcnt>(cpu, insn); }
SB_OP(op_adcx) {
    return insn.osize == 3 ? adx<u64>(cpu, insn, rflags::kCF) : adx<u32>(cpu, insn, rflags::kCF);
}
SB_OP(op_adox) {
    return insn.osize == 3 ? adx<u64>(cpu, insn, rflags::kOF) : adx<u32>(cpu, insn, rflags::kOF);
}

}  // namespace shadowbox
