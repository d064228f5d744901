// SPDX-License-Identifier: MIT
// Register access by operand type inside specialised handlers, and the choice of a size at decode time.
#pragma once

#include <cstring>
#include <utility>

#include "cpu/access/effective_address.h"
#include "cpu/blocks/dispatch.h"
#include "cpu/ops/selectors.h"

namespace shadowbox {

/// General register operand: 8-bit ones come as byte offsets (Insn).
template <class T>
[[gnu::always_inline]] inline T get(const Vcpu& cpu, unsigned number) {
    if constexpr (sizeof(T) == 1)
        return cpu.reg8(number);
    else
        return static_cast<T>(cpu.gpr[number]);
}
template <class T>
[[gnu::always_inline]] inline void put(Vcpu& cpu, unsigned number, T value) {
    if constexpr (sizeof(T) == 1)
        cpu.set_reg8(number, value);
    else if constexpr (sizeof(T) == 2)
        reinterpret_cast<u16*>(cpu.gpr)[number * 4] = value;
    else
        cpu.gpr[number] = value;
}

/// Writes ModRM.reg at the instruction's operand size.
inline void put_sized(Vcpu& cpu, const Insn& insn, u64 value) {
    if (insn.osize == 1)
        put<u16>(cpu, insn.reg, static_cast<u16>(value));
    else if (insn.osize == 2)
        put<u32>(cpu, insn.reg, static_cast<u32>(value));
    else
        put<u64>(cpu, insn.reg, value);
}

/// Where an instruction's operands are.
enum class Form : u8 {
    kRR,  ///< rm <- rm op reg
    kRI,  ///< rm <- rm op imm
    kRM,  ///< reg <- reg op memory
    kMR,  ///< memory <- memory op reg
    kMI,  ///< memory <- memory op imm
};

/// Puts the operands of the two-operand families into a Form. Register forms always end up with the
/// destination in `rm`.
inline Form form_of(Insn& insn) {
    const OpcodeRow& row = kOpcodeRows[insn.row];
    switch (row.operands[0]) {
        case Operand::Gb:
        case Operand::Gv:
        case Operand::Gy:
        case Operand::Gw:
            if (insn.mem) return Form::kRM;
            std::swap(insn.reg, insn.rm);
            return Form::kRR;
        case Operand::AL:
        case Operand::rAX:
            insn.rm = 0;  // AL as a byte offset and RAX as a number are both 0
            return Form::kRI;
        default: break;
    }
    bool immediate = row.operands[1] == Operand::Ib || row.operands[1] == Operand::Ibs ||
                     row.operands[1] == Operand::Iz || row.operands[1] == Operand::Iv;
    if (immediate) return insn.mem ? Form::kMI : Form::kRI;
    return insn.mem ? Form::kMR : Form::kRR;
}

/// The handler made by `Make<T>` for the instruction's operand size.
template <template <class> class Make, class... Args>
Handler by_size(const Insn& insn, Args... args) {
    switch (operand_bytes(insn)) {
        case 1: return Make<u8>::handler(args...);
        case 2: return Make<u16>::handler(args...);
        case 4: return Make<u32>::handler(args...);
        default: return Make<u64>::handler(args...);
    }
}

}  // namespace shadowbox

/// Ends a specialised straight-line handler.
#define SB_NEXT(cpu, insn) SB_GOTO(cpu, (insn) + 1)
/// Leaves it because an access failed.
#define SB_FAILED(cpu, insn) return leave_at(cpu, insn)
