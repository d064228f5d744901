// SPDX-License-Identifier: MIT
// ADD OR ADC SBB AND SUB XOR CMP TEST on values: the result, and the lazy flags when somebody can see them.
#pragma once

#include "cpu/ops/operand_forms.h"

namespace shadowbox {

constexpr bool stores_result(Alu op) { return op != Alu::kCmp && op != Alu::kTest; }

template <Alu op, class T, bool Flags>
[[gnu::always_inline]] inline T alu(Vcpu& cpu, T a, T b) {
    T r;
    if constexpr (op == Alu::kAdd) {
        r = static_cast<T>(a + b);
        if constexpr (Flags) cpu.flags.add<T>(a, b, r);
    } else if constexpr (op == Alu::kAdc) {
        r = static_cast<T>(a + b + cpu.flags.cf());
        cpu.flags.add<T>(a, b, r);
    } else if constexpr (op == Alu::kSbb) {
        r = static_cast<T>(a - b - cpu.flags.cf());
        cpu.flags.sub<T>(a, b, r);
    } else if constexpr (op == Alu::kSub || op == Alu::kCmp) {
        r = static_cast<T>(a - b);
        if constexpr (Flags) cpu.flags.sub<T>(a, b, r);
    } else {
        if constexpr (op == Alu::kOr)
            r = a | b;
        else if constexpr (op == Alu::kXor)
            r = a ^ b;
        else
            r = a & b;
        if constexpr (Flags) cpu.flags.logic<T>(r);
    }
    return r;
}

}  // namespace shadowbox
