// SPDX-License-Identifier: MIT
// SSE and SSE2 conversions between single, double and integers in XMM, MMX and general registers (SDM 1
// 11.4.1.6).
#include "cpu/ops/sse/sse_operand.h"

namespace shadowbox {

SB_SSE(sse_cvtps2pd, fetch64, host::cvtps2pd(a, b))
SB_SSE(sse_cvtpd2ps, fetch128<true>, host::cvtpd2ps(a, b))
SB_SSE(sse_cvtss2sd, fetch32, host::cvtss2sd(a, b))
SB_SSE(sse_cvtsd2ss, fetch64, host::cvtsd2ss(a, b))
SB_SSE(sse_cvtdq2ps, fetch128<true>, host::cvtdq2ps(a, b))
SB_SSE(sse_cvtps2dq, fetch128<true>, host::cvtps2dq(a, b))
SB_SSE(sse_cvttps2dq, fetch128<true>, host::cvttps2dq(a, b))
SB_SSE(sse_cvtdq2pd, fetch64, host::cvtdq2pd(a, b))
SB_SSE(sse_cvtpd2dq, fetch128<true>, host::cvtpd2dq(a, b))
SB_SSE(sse_cvttpd2dq, fetch128<true>, host::cvttpd2dq(a, b))

// General register or memory to scalar: the size is REX.W's.
#define SB_FROM_INTEGER(op)                                                         \
    SB_PATHS(sse_##op) {                                                            \
        u64 value;                                                                  \
        if (!fetch_integer(cpu, insn, value, path)) return false;                   \
        Xmm a = xmm(cpu, insn.reg);                                                 \
        a = insn.rex_w ? host::op(a, value) : host::op(a, static_cast<u32>(value)); \
        set_xmm(cpu, insn.reg, a);                                                  \
        return true;                                                                \
    }
SB_FROM_INTEGER(cvtsi2ss)
SB_FROM_INTEGER(cvtsi2sd)

#define SB_TO_INTEGER(op, fetch)                      \
    SB_PATHS(sse_##op) {                              \
        Xmm b;                                        \
        if (!fetch(cpu, insn, b, path)) return false; \
        if (insn.rex_w) {                             \
            u64 wide;                                 \
            host::op(b, wide);                        \
            cpu.gpr[insn.reg] = wide;                 \
        } else {                                      \
            u32 narrow;                               \
            host::op(b, narrow);                      \
            cpu.gpr[insn.reg] = narrow;               \
        }                                             \
        return true;                                  \
    }
SB_TO_INTEGER(cvtss2si, fetch32)
SB_TO_INTEGER(cvttss2si, fetch32)
SB_TO_INTEGER(cvtsd2si, fetch64)
SB_TO_INTEGER(cvttsd2si, fetch64)

// With MMX registers. A memory source leaves the x87 state alone; the other forms switch to MMX.
namespace {

template <class Path>
inline bool fetch_pair(Vcpu& cpu, const Insn& insn, Xmm& pair, Path path) {
    if (insn.mem) return fetch64(cpu, insn, pair, path);
    if (!mmx_ready(cpu, path)) return false;
    pair = mm(cpu, insn.rm);
    mmx_enter(cpu);
    return true;
}

}  // namespace

SB_SSE(sse_cvtpi2ps, fetch_pair,
       keep_high64(a, host::cvtdq2ps(a, b)))  // the upper half of b is 0: nothing inexact there
SB_SSE(sse_cvtpi2pd, fetch_pair, host::cvtdq2pd(b, b))
#define SB_TO_MMX(name, fetch, expression)                         \
    SB_OP(name) {                                                  \
        Xmm b;                                                     \
        if (!mmx_ready(cpu) || !fetch(cpu, insn, b)) return false; \
        mmx_enter(cpu);                                            \
        set_mm(cpu, insn.reg, expression);                         \
        return true;                                               \
    }
SB_TO_MMX(sse_cvtps2pi, fetch64, host::cvtps2dq(b, _mm_move_epi64(b)))
SB_TO_MMX(sse_cvttps2pi, fetch64, host::cvttps2dq(b, _mm_move_epi64(b)))
SB_TO_MMX(sse_cvtpd2pi, fetch128<true>, host::cvtpd2dq(b, b))
SB_TO_MMX(sse_cvttpd2pi, fetch128<true>, host::cvttpd2dq(b, b))

}  // namespace shadowbox
