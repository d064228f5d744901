// SPDX-License-Identifier: MIT
// The one interface behind which guest floating point and vector work uses the host's own instructions. Used
// by cpu/ops
// (x87_*, mmx*, sse*, crypto*) and by the loop that runs guest code. Another host architecture gives the
// same names here.
//
// While guest code runs, the host's MXCSR holds the guest's control bits with every exception masked, and
// collects
// the guest's sticky flags; the host's x87 control word is the guest's with every exception masked, and the
// exception flags
// in the host's x87 status are a subset of the guest's. Functions are inline assembly, not intrinsics,
// wherever the
// compiler might swap operands (NaN selection), fold constants or drop an exception flag.
#pragma once

#if !defined(__x86_64__)
#error "cpu/state/host_fpu.h has no side for this host architecture yet: SSE and x87 operations need one"
#endif

#include <emmintrin.h>

#include "cpu/state/registers.h"

namespace shadowbox {

class Vcpu;
using Xmm = __m128i;  ///< one vector register's value, whatever its elements are

/// Optional host instructions. The first line's uses have a portable fallback; AVX and on need both processor
/// and operating system, and CPU model v3 asks for them.
struct HostFeatures {
    bool ssse3, aes, pclmul, sha;
    bool avx, avx2, fma, f16c;
};
extern const HostFeatures kHostFeatures;

/// Around guest execution on the vCPU's thread: loads the guest's floating-point controls into the host, and
/// back to
/// the C++ defaults, collecting the sticky flags. Nothing between the two may use floating point for itself.
void enter_guest_fp(Vcpu& cpu);
void leave_guest_fp(Vcpu& cpu);
/// After the guest's x87 control word changed or its exception flags were cleared.
void reload_host_x87(const Vcpu& cpu);

namespace host {

inline u32 mxcsr() {
    u32 value;
    asm volatile("stmxcsr %0" : "=m"(value) : : "memory");
    return value;
}
inline void set_mxcsr(u32 value) { asm volatile("ldmxcsr %0" : : "m"(value) : "memory"); }
constexpr u32 kMxcsrMasks = 0x1F80, kMxcsrFlags = 0x3F;

inline void set_x87_control(u16 control) { asm volatile("fldcw %0" : : "m"(control) : "memory"); }
inline void clear_x87_flags() { asm volatile("fnclex" : : : "memory"); }

// a = op(a, b); scalar forms keep the upper part of a.
#define SB_HOST_BINARY(op)                               \
    [[gnu::always_inline]] inline Xmm op(Xmm a, Xmm b) { \
        asm volatile(#op " %1, %0" : "+x"(a) : "x"(b));  \
        return a;                                        \
    }
#define SB_HOST_BINARY4(op) \
    SB_HOST_BINARY(op##ps) SB_HOST_BINARY(op##pd) SB_HOST_BINARY(op##ss) SB_HOST_BINARY(op##sd)
// clang-format off
SB_HOST_BINARY4(add) SB_HOST_BINARY4(sub) SB_HOST_BINARY4(mul) SB_HOST_BINARY4(div)
SB_HOST_BINARY4(min) SB_HOST_BINARY4(max) SB_HOST_BINARY4(sqrt)
SB_HOST_BINARY(cvtps2pd) SB_HOST_BINARY(cvtpd2ps) SB_HOST_BINARY(cvtss2sd) SB_HOST_BINARY(cvtsd2ss)
SB_HOST_BINARY(cvtdq2ps) SB_HOST_BINARY(cvtps2dq) SB_HOST_BINARY(cvttps2dq)
SB_HOST_BINARY(cvtdq2pd) SB_HOST_BINARY(cvtpd2dq) SB_HOST_BINARY(cvttpd2dq)
    // clang-format on
    // Optional ones: ask kHostFeatures first.
    // clang-format off
SB_HOST_BINARY(pshufb) SB_HOST_BINARY(aesenc) SB_HOST_BINARY(aesenclast) SB_HOST_BINARY(aesdec) SB_HOST_BINARY(aesdeclast)
SB_HOST_BINARY(aesimc) SB_HOST_BINARY(sha1nexte) SB_HOST_BINARY(sha1msg1) SB_HOST_BINARY(sha1msg2)
SB_HOST_BINARY(sha256msg1) SB_HOST_BINARY(sha256msg2)
// clang-format on
#undef SB_HOST_BINARY4
#undef SB_HOST_BINARY

#define SB_HOST_IMMEDIATE(op)                                         \
    template <unsigned imm>                                           \
    [[gnu::always_inline]] inline Xmm op(Xmm a, Xmm b) {              \
        asm volatile(#op " %2, %1, %0" : "+x"(a) : "x"(b), "i"(imm)); \
        return a;                                                     \
    }
    // clang-format off
SB_HOST_IMMEDIATE(cmpps) SB_HOST_IMMEDIATE(cmppd) SB_HOST_IMMEDIATE(cmpss) SB_HOST_IMMEDIATE(cmpsd)
SB_HOST_IMMEDIATE(pclmulqdq) SB_HOST_IMMEDIATE(aeskeygenassist) SB_HOST_IMMEDIATE(sha1rnds4)
// clang-format on
#undef SB_HOST_IMMEDIATE

            [[gnu::always_inline]] inline Xmm sha256rnds2(Xmm a, Xmm b, Xmm keys) {
    register Xmm implicit asm("xmm0") = keys;
    asm volatile("sha256rnds2 %1, %0" : "+x"(a) : "x"(b), "x"(implicit));
    return a;
}

// Integer <-> scalar conversions.
#define SB_HOST_FROM_INT(op, suffix, type)                     \
    [[gnu::always_inline]] inline Xmm op(Xmm a, type b) {      \
        asm volatile(#op suffix " %1, %0" : "+x"(a) : "r"(b)); \
        return a;                                              \
    }
#define SB_HOST_TO_INT(op, type) \
    [[gnu::always_inline]] inline void op(Xmm a, type& r) { asm volatile(#op " %1, %0" : "=r"(r) : "x"(a)); }
// clang-format off
SB_HOST_FROM_INT(cvtsi2ss, "l", u32) SB_HOST_FROM_INT(cvtsi2ss, "q", u64)
SB_HOST_FROM_INT(cvtsi2sd, "l", u32) SB_HOST_FROM_INT(cvtsi2sd, "q", u64)
SB_HOST_TO_INT(cvtss2si, u32) SB_HOST_TO_INT(cvtss2si, u64) SB_HOST_TO_INT(cvttss2si, u32) SB_HOST_TO_INT(cvttss2si, u64)
SB_HOST_TO_INT(cvtsd2si, u32) SB_HOST_TO_INT(cvtsd2si, u64) SB_HOST_TO_INT(cvttsd2si, u32) SB_HOST_TO_INT(cvttsd2si, u64)
// clang-format on
#undef SB_HOST_FROM_INT
#undef SB_HOST_TO_INT

                struct CompareFlags {
    bool zf, pf, cf;
};
#define SB_HOST_COMPARE(op)                                        \
    [[gnu::always_inline]] inline CompareFlags op(Xmm a, Xmm b) {  \
        CompareFlags r;                                            \
        asm volatile(#op " %[b], %[a]"                             \
                     : "=@ccz"(r.zf), "=@ccp"(r.pf), "=@ccc"(r.cf) \
                     : [a] "x"(a), [b] "x"(b));                    \
        return r;                                                  \
    }
// clang-format off
SB_HOST_COMPARE(comiss) SB_HOST_COMPARE(ucomiss) SB_HOST_COMPARE(comisd) SB_HOST_COMPARE(ucomisd)
// clang-format on
#undef SB_HOST_COMPARE

}  // namespace host
}  // namespace shadowbox
