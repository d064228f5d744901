// SPDX-License-Identifier: MIT
// Data movement of SSE to SSE4.1: aligned, unaligned, half, scalar and non-temporal moves, and moves between
// register files.
// Non-temporal hints mean nothing here: the store is an ordinary one, which is allowed (SDM 1 10.4.6.2).
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

// Whole registers. One handler serves MOVAPS, MOVAPD and MOVDQA; another the unaligned ones and LDDQU.
SB_SSE(sse_mova_load, fetch128<true>, b)
SB_SSE(sse_movu_load, fetch128<false>, b)
SB_PATHS(sse_mova_store) {
    Xmm value = xmm(cpu, insn.reg);
    if (!insn.mem) return set_xmm(cpu, insn.rm, value), true;
    return store128<true>(cpu, insn, value, path);
}
SB_PATHS(sse_movu_store) {
    Xmm value = xmm(cpu, insn.reg);
    if (!insn.mem) return set_xmm(cpu, insn.rm, value), true;
    return store128<false>(cpu, insn, value, path);
}
SB_PATHS(sse_movnt_store) { return store128<true>(cpu, insn, xmm(cpu, insn.reg), path); }

// Scalars: from memory the rest becomes zero, between registers it stays.
SB_SSE(sse_movss_load, fetch32, insn.mem ? b : keep_high96(a, b))
SB_SSE(sse_movsd_load, fetch64, insn.mem ? b : keep_high64(a, b))
SB_PATHS(sse_movss_store) {
    Xmm value = xmm(cpu, insn.reg);
    if (insn.mem) return store_memory<u32>(cpu, insn, low32(value), path);
    return set_xmm(cpu, insn.rm, keep_high96(xmm(cpu, insn.rm), value)), true;
}
SB_PATHS(sse_movsd_store) {
    Xmm value = xmm(cpu, insn.reg);
    if (insn.mem) return store_memory<u64>(cpu, insn, low64(value), path);
    return set_xmm(cpu, insn.rm, keep_high64(xmm(cpu, insn.rm), value)), true;
}

// Halves.
SB_SSE(sse_movlp_load, fetch64, keep_high64(a, b))  // MOVLPS, MOVLPD (memory)
SB_SSE(sse_movhlps, fetch64, keep_high64(a, _mm_unpackhi_epi64(b, b)))
SB_SSE(sse_movhp_load, fetch64, _mm_unpacklo_epi64(a, b))  // MOVHPS, MOVHPD (memory), MOVLHPS (register)
SB_PATHS(sse_movlp_store) { return store_memory<u64>(cpu, insn, low64(xmm(cpu, insn.reg)), path); }
SB_PATHS(sse_movhp_store) { return store_memory<u64>(cpu, insn, high64(xmm(cpu, insn.reg)), path); }
SB_SSE(sse_movddup, fetch64, _mm_unpacklo_epi64(b, b))
SB_SSE(sse_movsldup, fetch128<true>, _mm_shuffle_epi32(b, 0xA0))
SB_SSE(sse_movshdup, fetch128<true>, _mm_shuffle_epi32(b, 0xF5))

// MOVD, MOVQ.
SB_PATHS(sse_movd_load) {
    u64 value;
    if (!fetch_integer(cpu, insn, value, path)) return false;
    set_xmm(cpu, insn.reg, from_u64(value));
    return true;
}
SB_PATHS(sse_movd_store) {
    u64 value = low64(xmm(cpu, insn.reg));
    if (insn.mem)
        return insn.rex_w ? store_memory<u64>(cpu, insn, value, path)
                          : store_memory<u32>(cpu, insn, static_cast<u32>(value), path);
    cpu.gpr[insn.rm] = insn.rex_w ? value : static_cast<u32>(value);
    return true;
}
SB_SSE(sse_movq_load, fetch64, _mm_move_epi64(b))
SB_PATHS(sse_movq_store) {
    Xmm value = xmm(cpu, insn.reg);
    if (insn.mem) return store_memory<u64>(cpu, insn, low64(value), path);
    return set_xmm(cpu, insn.rm, _mm_move_epi64(value)), true;
}
SB_OP(sse_movq2dq) {
    if (!mmx_ready(cpu)) return false;
    mmx_enter(cpu);
    set_xmm(cpu, insn.reg, mm(cpu, insn.rm));
    return true;
}
SB_OP(sse_movdq2q) {
    if (!mmx_ready(cpu)) return false;
    mmx_enter(cpu);
    set_mm(cpu, insn.reg, xmm(cpu, insn.rm));
    return true;
}
SB_PATHS(sse_movnti) {
    if (insn.rex_w) return store_memory<u64>(cpu, insn, cpu.gpr[insn.reg], path);
    return store_memory<u32>(cpu, insn, cpu.reg<u32>(insn.reg), path);
}

namespace {

/// MASKMOVDQU and MASKMOVQ: bytes of `value` whose mask byte has its top bit set go to DS:rDI. All bytes are
/// checked to be
/// writable first; with a mask of 0 nothing is touched, so nothing faults (an implementation may choose, SDM
/// 2A MASKMOVDQU).
bool masked_store(Vcpu& cpu, const Insn& insn, Xmm value, unsigned mask, unsigned size) {
    if (!mask) return true;
    u64 offset = cpu.gpr[kRdi];
    if (insn.asize == 2) offset = static_cast<u32>(offset);
    if (insn.asize == 1) offset = static_cast<u16>(offset);
    u64 gva;
    if (!segment_address(cpu, static_cast<Seg>(insn.seg), offset, size, MemoryAccess::kWrite, gva))
        return false;
    alignas(16) u8 bytes[16];
    _mm_store_si128(reinterpret_cast<Xmm*>(bytes), value);
    unsigned first = static_cast<unsigned>(__builtin_ctz(mask)),
             last = 31 - static_cast<unsigned>(__builtin_clz(mask));
    if (!probe_write(cpu, gva + first, last - first + 1)) return false;
    for (unsigned i = first; i <= last; ++i) {
        if ((mask >> i & 1) && !store<u8>(cpu, gva + i, bytes[i])) return false;
    }
    return true;
}

}  // namespace

SB_OP(sse_maskmovdqu) {
    unsigned mask = static_cast<unsigned>(_mm_movemask_epi8(xmm(cpu, insn.rm)));
    return masked_store(cpu, insn, xmm(cpu, insn.reg), mask, 16);
}
SB_OP(mmx_maskmovq) {
    if (!mmx_ready(cpu)) return false;
    unsigned mask = static_cast<unsigned>(_mm_movemask_epi8(mm(cpu, insn.rm))) & 0xFF;
    if (!masked_store(cpu, insn, mm(cpu, insn.reg), mask, 8)) return false;
    mmx_enter(cpu);
    return true;
}

// Fences: guest accesses are host accesses of natural size (mmu/guest_access.h), so a host fence orders them.
SB_OP(sse_lfence) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return true;
}
SB_OP(sse_mfence) {
    guest_fence(std::memory_order_seq_cst);
    return true;
}
SB_OP(sse_sfence) {
    guest_fence(std::memory_order_release);
    return true;
}
/// A hint: never faults, fetches nothing.
SB_OP(sse_prefetch) { return true; }

}  // namespace shadowbox
