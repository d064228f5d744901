// SPDX-License-Identifier: MIT
// MMX moves and EMMS. The packed integer ops are with their XMM forms in sse_int_arith.cpp, sse_shuffle.cpp
// and ssse3.cpp.
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

SB_PATHS(mmx_movd_load) {
    u64 value;
    if (!mmx_ready(cpu, path) || !fetch_integer(cpu, insn, value, path)) return false;
    mmx_enter(cpu);
    set_mm(cpu, insn.reg, from_u64(value));
    return true;
}
SB_PATHS(mmx_movd_store) {
    if (!mmx_ready(cpu, path)) return false;
    u64 value = low64(mm(cpu, insn.reg));
    if (!insn.mem)
        cpu.gpr[insn.rm] = insn.rex_w ? value : static_cast<u32>(value);
    else if (insn.rex_w ? !store_memory<u64>(cpu, insn, value, path)
                        : !store_memory<u32>(cpu, insn, static_cast<u32>(value), path))
        return false;
    mmx_enter(cpu);
    return true;
}
SB_MMX(mmx_movq_load, b)
SB_PATHS(mmx_movq_store) {  // and MOVNTQ
    if (!mmx_ready(cpu, path)) return false;
    Xmm value = mm(cpu, insn.reg);
    if (insn.mem && !store_memory<u64>(cpu, insn, low64(value), path)) return false;
    mmx_enter(cpu);
    if (!insn.mem) set_mm(cpu, insn.rm, value);
    return true;
}
/// All registers become empty, and TOP 0 as with every MMX instruction; a pending x87 exception is reported
/// first.
SB_PATHS(mmx_emms) {
    if (!mmx_ready(cpu, path)) return false;
    mmx_enter(cpu);
    cpu.x87.empty = 0xFF;
    return true;
}

}  // namespace shadowbox
