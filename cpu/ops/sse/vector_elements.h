// SPDX-License-Identifier: MIT
// Single elements of XMM registers: what the legacy and the VEX forms of inserts, extracts and shuffles have
// in common (SDM 2B INSERTPS, PINSRB/D/Q, PINSRW). Included by sse_shuffle.cpp and avx_shuffle.cpp, which
// differ in where the result goes.
#pragma once

#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

/// Elements of a vector in memory order, picked by bits of an immediate.
union Elements {
    Xmm vector;
    u64 qword[2];
    u32 dword[4];
    u16 word[8];
    u8 byte[16];
};

/// The scalar source of an insert: the low bits of a general register, or memory.
template <class T>
inline bool fetch_element(Vcpu& cpu, const Insn& insn, T& value) {
    if (!insn.mem) return value = cpu.reg<T>(insn.rm), true;
    return load_memory<T>(cpu, insn, value);
}

/// INSERTPS: imm8[7:6] picks the source element (memory: the only one), [5:4] the place, [3:0] elements to
/// clear.
inline Xmm insert_single(const Insn& insn, Xmm into, Xmm from) {
    unsigned imm = static_cast<u8>(insn.imm);
    Elements source{from}, result{into};
    result.dword[imm >> 4 & 3] = source.dword[insn.mem ? 0 : imm >> 6];
    for (unsigned i = 0; i < 4; ++i) {
        if (imm >> i & 1) result.dword[i] = 0;
    }
    return result.vector;
}

}  // namespace shadowbox
