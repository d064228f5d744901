// SPDX-License-Identifier: MIT
// Conversions (CBW CWD family), flag instructions, BCD, NOP and hints, BOUND, SALC, CMPXCHG16B.
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

SB_OP(op_nop) { return true; }

SB_OP(op_cbw) {  // CBW CWDE CDQE
    if (insn.osize == 1)
        cpu.set_reg<u16>(kRax, static_cast<u16>(static_cast<i8>(cpu.gpr[kRax])));
    else if (insn.osize == 2)
        cpu.gpr[kRax] = static_cast<u32>(static_cast<i16>(cpu.gpr[kRax]));
    else
        cpu.gpr[kRax] = static_cast<u64>(static_cast<i64>(static_cast<i32>(cpu.gpr[kRax])));
    return true;
}
SB_OP(op_cwd) {  // CWD CDQ CQO
    if (insn.osize == 1)
        cpu.set_reg<u16>(kRdx, static_cast<i16>(cpu.gpr[kRax]) < 0 ? 0xFFFF : 0);
    else if (insn.osize == 2)
        cpu.gpr[kRdx] = static_cast<i32>(cpu.gpr[kRax]) < 0 ? 0xFFFFFFFF : 0;
    else
        cpu.gpr[kRdx] = static_cast<i64>(cpu.gpr[kRax]) < 0 ? ~u64{0} : 0;
    return true;
}

SB_OP(op_clc) {
    cpu.flags.set_cf(false);
    return true;
}
SB_OP(op_stc) {
    cpu.flags.set_cf(true);
    return true;
}
SB_OP(op_cmc) {
    cpu.flags.set_cf(!cpu.flags.cf());
    return true;
}
SB_OP(op_cld) {
    cpu.other_flags &= ~rflags::kDF;
    return true;
}
SB_OP(op_std) {
    cpu.other_flags |= rflags::kDF;
    return true;
}
SB_OP(op_lahf) {
    cpu.set_reg8(1, static_cast<u8>((cpu.flags.value() & 0xD5) | 2));
    return true;
}
SB_OP(op_sahf) {
    cpu.flags.update(0xD5, cpu.reg8(1));
    return true;
}
SB_OP(op_salc) {
    cpu.set_reg8(0, cpu.flags.cf() ? 0xFF : 0);
    return true;
}

namespace {
/// Decimal results: SF ZF PF from AL, CF and AF given; OF as an addition would leave it is undefined:
/// cleared.
void decimal_flags(Vcpu& cpu, u8 al, bool carry, bool auxiliary) {
    cpu.flags.result = static_cast<i8>(al);
    cpu.flags.aux = (carry ? u64{0xC0000000} : 0) | (auxiliary ? 8 : 0);
}
bool adjust_decimal(Vcpu& cpu, bool subtract) {  // DAA, DAS
    u8 old = cpu.reg8(0), al = old;
    bool old_cf = cpu.flags.cf(), carry = false, auxiliary = (al & 15) > 9 || cpu.flags.af();
    if (auxiliary) {
        carry = old_cf || (subtract ? al < 6 : al > 0xF9);
        al = static_cast<u8>(subtract ? al - 6 : al + 6);
    }
    if (old > 0x99 || old_cf) {
        al = static_cast<u8>(subtract ? al - 0x60 : al + 0x60);
        carry = true;
    }
    cpu.set_reg8(0, al);
    decimal_flags(cpu, al, carry, auxiliary);
    return true;
}
bool adjust_ascii(Vcpu& cpu, bool subtract) {  // AAA, AAS
    bool adjust = (cpu.reg8(0) & 15) > 9 || cpu.flags.af();
    u16 ax = static_cast<u16>(cpu.gpr[kRax]);
    if (adjust) ax = static_cast<u16>(subtract ? ax - 0x106 : ax + 0x106);
    cpu.set_reg<u16>(kRax, ax & 0xFF0F);
    decimal_flags(cpu, static_cast<u8>(ax & 15), adjust, adjust);
    return true;
}
}  // namespace

SB_OP(op_daa) { return adjust_decimal(cpu, false); }
SB_OP(op_das) { return adjust_decimal(cpu, true); }
SB_OP(op_aaa) { return adjust_ascii(cpu, false); }
SB_OP(op_aas) { return adjust_ascii(cpu, true); }
SB_OP(op_aam) {
    u8 base = static_cast<u8>(insn.imm), al = cpu.reg8(0);
    if (base == 0) return cpu.raise(Vector::kDE);
    cpu.set_reg<u16>(kRax, static_cast<u16>((al / base) << 8 | al % base));
    decimal_flags(cpu, static_cast<u8>(al % base), false, false);
    return true;
}
SB_OP(op_aad) {
    u8 al = static_cast<u8>(cpu.reg8(0) + cpu.reg8(1) * static_cast<u8>(insn.imm));
    cpu.set_reg<u16>(kRax, al);
    decimal_flags(cpu, al, false, false);
    return true;
}

/// Two bounds behind each other, each an access of its own.
template <class T>
static bool load_bounds(Vcpu& cpu, const Insn& insn, i64& index, i64& low, i64& high) {
    u64 gva;
    T first, second;
    if (!operand_address(cpu, insn, 2 * sizeof(T), MemoryAccess::kRead, gva)) return false;
    if (!load<T>(cpu, gva, first) || !load<T>(cpu, gva + sizeof(T), second)) return false;
    index = LazyFlags::extend(static_cast<T>(cpu.gpr[insn.reg])), low = LazyFlags::extend(first),
    high = LazyFlags::extend(second);
    return true;
}
SB_OP(op_bound) {
    i64 index, low, high;
    if (!(insn.osize == 1 ? load_bounds<u16>(cpu, insn, index, low, high)
                          : load_bounds<u32>(cpu, insn, index, low, high)))
        return false;
    return index < low || index > high ? cpu.raise(Vector::kBR) : true;
}

SB_OP(op_cmpxchg16b) {
    u64 gva;
    if (!operand_address(cpu, insn, 16, MemoryAccess::kWrite, gva)) return false;
    if (gva & 15) return cpu.raise(Vector::kGP, 0);
    u128 expected = static_cast<u128>(cpu.gpr[kRdx]) << 64 | cpu.gpr[kRax], seen = 0;
    u128 desired = static_cast<u128>(cpu.gpr[kRcx]) << 64 | cpu.gpr[kRbx];
    if (!compare_exchange_16(cpu, gva, expected, desired, seen)) return false;
    bool equal = seen == expected;
    if (!equal) {
        cpu.gpr[kRax] = static_cast<u64>(seen);
        cpu.gpr[kRdx] = static_cast<u64>(seen >> 64);
    }
    cpu.flags.update(rflags::kZF, equal ? rflags::kZF : 0);
    return true;
}

}  // namespace shadowbox
