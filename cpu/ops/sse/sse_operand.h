// SPDX-License-Identifier: MIT
// How vector ops reach their operands: XMM and MMX registers, and memory of 4 to 16 bytes with the alignment
// rule of legacy
// SSE (SDM 1 12.9: a 16-byte operand off its alignment is #GP(0), unaligned moves excepted). Included by
// cpu/ops/sse*,
// mmx* and crypto*. Register forms come first and stay inline; registers are always written whole (16
// bytes), since a narrow
// store followed by a wide load stalls the host.
#pragma once

#include "cpu/access/effective_address.h"
#include "cpu/access/memory_access.h"
#include "cpu/blocks/dispatch.h"
#include "cpu/events/x87_error.h"
#include "cpu/state/host_fpu.h"

namespace shadowbox {

[[gnu::always_inline]] inline Xmm xmm(const Vcpu& cpu, unsigned number) {
    return _mm_load_si128(reinterpret_cast<const Xmm*>(&cpu.vec[number]));
}
[[gnu::always_inline]] inline void set_xmm(Vcpu& cpu, unsigned number, Xmm value) {
    _mm_store_si128(reinterpret_cast<Xmm*>(&cpu.vec[number]), value);
}

/// Moves between scalar and vector values.
[[gnu::always_inline]] inline Xmm from_u64(u64 low) { return _mm_cvtsi64_si128(static_cast<i64>(low)); }
[[gnu::always_inline]] inline Xmm from_u64(u64 high, u64 low) {
    return _mm_unpacklo_epi64(from_u64(low), from_u64(high));
}
[[gnu::always_inline]] inline Xmm from_u32(u32 low) { return _mm_cvtsi32_si128(static_cast<int>(low)); }
[[gnu::always_inline]] inline u64 low64(Xmm v) { return static_cast<u64>(_mm_cvtsi128_si64(v)); }
[[gnu::always_inline]] inline u64 high64(Xmm v) { return low64(_mm_unpackhi_epi64(v, v)); }
[[gnu::always_inline]] inline u32 low32(Xmm v) { return static_cast<u32>(_mm_cvtsi128_si32(v)); }
[[gnu::always_inline]] inline Xmm keep_high64(Xmm upper, Xmm lower) {
    return _mm_castpd_si128(_mm_move_sd(_mm_castsi128_pd(upper), _mm_castsi128_pd(lower)));
}
[[gnu::always_inline]] inline Xmm keep_high96(Xmm upper, Xmm lower) {
    return _mm_castps_si128(_mm_move_ss(_mm_castsi128_ps(upper), _mm_castsi128_ps(lower)));
}

/// Each hot op is compiled twice from one body (SB_PATHS below). On the Fast path an access either hits at
/// once or gives up,
/// calling nothing and changing nothing, so that the handler needs no stack frame; the Full path then does
/// it all again.
struct Fast {
    static constexpr bool kFast = true;
};
struct Full {
    static constexpr bool kFast = false;
};

template <class Path>
[[gnu::always_inline]] inline bool address(Vcpu& cpu, const Insn& insn, unsigned size, MemoryAccess access,
                                           u64& gva) {
    if constexpr (Path::kFast) {
        if (__builtin_expect(!insn.flat, 0)) return false;
        gva = cpu.gpr[insn.rm] + (cpu.gpr[insn.index] << insn.scale) + static_cast<u64>(insn.disp);
        return true;
    } else {
        return ea(cpu, insn, size, access, gva);
    }
}

/// Guest memory as vectors: one host instruction where the accessor allows it.
[[gnu::always_inline]] inline Xmm guest_load_xmm(const u8* host) {
#if defined(SHADOWBOX_TSAN)
    return from_u64(guest_load<u64>(host + 8), guest_load<u64>(host));
#else
    return guest_load<Xmm>(host);
#endif
}
template <class Path = Full>
[[gnu::always_inline]] inline bool load_xmm(Vcpu& cpu, u64 gva, Xmm& value) {
    if (const u8* host = cpu.mmu.context()->probe_read(gva, 16); __builtin_expect(host != nullptr, 1)) {
        value = guest_load_xmm(host);
        return true;
    }
    if constexpr (Path::kFast) {
        return false;
    } else {
        Xmm slow;
        if (!load_slow(cpu, gva, 16, &slow)) return false;
        value = slow;
        return true;
    }
}
template <class Path = Full>
[[gnu::always_inline]] inline bool store_xmm(Vcpu& cpu, u64 gva, Xmm value) {
    if (u8* host = cpu.mmu.context()->probe_write(gva, 16); __builtin_expect(host != nullptr, 1)) {
#if defined(SHADOWBOX_TSAN)
        guest_store<u64>(host, low64(value));
        guest_store<u64>(host + 8, high64(value));
#else
        guest_store<Xmm>(host, value);
#endif
        return true;
    }
    if constexpr (Path::kFast)
        return false;
    else
        return store_slow(cpu, gva, 16, &value);
}

/// The 16-byte memory operand's linear address, checked for alignment.
template <bool aligned, class Path>
[[gnu::always_inline]] inline bool vector_address(Vcpu& cpu, const Insn& insn, MemoryAccess access,
                                                  u64& gva) {
    if (!address<Path>(cpu, insn, 16, access, gva)) return false;
    if (aligned && __builtin_expect(gva & 15, 0)) return Path::kFast ? false : cpu.raise_gp0();
    return true;
}

/// Source operand W: XMM register or memory. The 64- and 32-bit forms zero-extend memory, and give a whole
/// register.
template <bool aligned, class Path = Full>
[[gnu::always_inline]] inline bool fetch128(Vcpu& cpu, const Insn& insn, Xmm& value, Path = {}) {
    if (!insn.mem) return value = xmm(cpu, insn.rm), true;
    u64 gva;
    return vector_address<aligned, Path>(cpu, insn, MemoryAccess::kRead, gva) &&
           load_xmm<Path>(cpu, gva, value);
}
template <class Path = Full>
[[gnu::always_inline]] inline bool fetch64(Vcpu& cpu, const Insn& insn, Xmm& value, Path = {}) {
    if (!insn.mem) return value = xmm(cpu, insn.rm), true;
    u64 gva;
    if (!address<Path>(cpu, insn, 8, MemoryAccess::kRead, gva)) return false;
    if (const u8* host = cpu.mmu.context()->probe_read(gva, 8); __builtin_expect(host != nullptr, 1)) {
#if defined(SHADOWBOX_TSAN)
        value = from_u64(guest_load<u64>(host));
#else
        value = _mm_castpd_si128(_mm_set_sd(guest_load<double>(host)));  // straight into a vector register
#endif
        return true;
    }
    if constexpr (Path::kFast) {
        return false;
    } else {
        u64 bits;
        if (!load_slow(cpu, gva, 8, &bits)) return false;
        value = from_u64(bits);
        return true;
    }
}
template <class T, class Path = Full>
[[gnu::always_inline]] inline bool load_memory(Vcpu& cpu, const Insn& insn, T& value, Path = {}) {
    u64 gva;
    if (!address<Path>(cpu, insn, sizeof(T), MemoryAccess::kRead, gva)) return false;
    if constexpr (Path::kFast) {
        const u8* host = cpu.mmu.context()->probe_read(gva, sizeof(T));
        if (__builtin_expect(!host, 0)) return false;
        value = guest_load<T>(host);
        return true;
    } else {
        return load<T>(cpu, gva, value);
    }
}
template <class T, class Path = Full>
[[gnu::always_inline]] inline bool store_memory(Vcpu& cpu, const Insn& insn, T value, Path = {}) {
    u64 gva;
    if (!address<Path>(cpu, insn, sizeof(T), MemoryAccess::kWrite, gva)) return false;
    if constexpr (Path::kFast) {
        u8* host = cpu.mmu.context()->probe_write(gva, sizeof(T));
        if (__builtin_expect(!host, 0)) return false;
        guest_store<T>(host, value);
        return true;
    } else {
        return store<T>(cpu, gva, value);
    }
}
/// Narrow source of the extending and broadcasting ops.
template <class T, class Path = Full>
[[gnu::always_inline]] inline bool fetch_narrow(Vcpu& cpu, const Insn& insn, Xmm& value, Path path = {}) {
    if (!insn.mem) return value = xmm(cpu, insn.rm), true;
    T bits;
    if (!load_memory<T>(cpu, insn, bits, path)) return false;
    value = from_u64(bits);
    return true;
}
template <class Path = Full>
[[gnu::always_inline]] inline bool fetch32(Vcpu& cpu, const Insn& insn, Xmm& value, Path path = {}) {
    return fetch_narrow<u32>(cpu, insn, value, path);
}
template <bool aligned, class Path = Full>
[[gnu::always_inline]] inline bool store128(Vcpu& cpu, const Insn& insn, Xmm value, Path = {}) {
    u64 gva;
    return vector_address<aligned, Path>(cpu, insn, MemoryAccess::kWrite, gva) &&
           store_xmm<Path>(cpu, gva, value);
}
/// General register or memory source of 32 or 64 bits (REX.W).
template <class Path = Full>
[[gnu::always_inline]] inline bool fetch_integer(Vcpu& cpu, const Insn& insn, u64& value, Path path = {}) {
    if (!insn.mem) return value = insn.rex_w ? cpu.gpr[insn.rm] : cpu.reg<u32>(insn.rm), true;
    if (insn.rex_w) return load_memory<u64>(cpu, insn, value, path);
    u32 narrow;
    if (!load_memory<u32>(cpu, insn, narrow, path)) return false;
    value = narrow;
    return true;
}

// --- MMX (SDM 1 9.5): significands of the physical x87 registers ---
[[gnu::always_inline]] inline Xmm mm(const Vcpu& cpu, unsigned number) {
    return _mm_loadl_epi64(reinterpret_cast<const Xmm*>(&cpu.x87.st[number & 7].significand));
}
[[gnu::always_inline]] inline void set_mm(Vcpu& cpu, unsigned number, Xmm value) {
    _mm_storel_epi64(reinterpret_cast<Xmm*>(&cpu.x87.st[number & 7].significand), value);
    cpu.x87.st[number & 7].sign_exponent = 0xFFFF;
}
/// Each MMX instruction waits for pending x87 exceptions ...
template <class Path = Full>
[[gnu::always_inline]] inline bool mmx_ready(Vcpu& cpu, Path = {}) {
    return __builtin_expect(cpu.x87.status & X87State::kErrorSummary, 0) ? !Path::kFast && pass_x87_error(cpu)
                                                                         : true;
}
/// ... and, once it cannot fault any more, sets TOP to 0 and all tags to valid.
[[gnu::always_inline]] inline void mmx_enter(Vcpu& cpu) {
    cpu.x87.set_top(0);
    cpu.x87.empty = 0;
}
/// Source operand Q.
template <class Path = Full>
[[gnu::always_inline]] inline bool fetch_mm(Vcpu& cpu, const Insn& insn, Xmm& value, Path path = {}) {
    if (!insn.mem) return value = mm(cpu, insn.rm), true;
    return fetch64(cpu, insn, value, path);
}

// --- what SSE and AVX handlers share ---
/// RCPPS and RSQRTPS, four elements (sse_float.cpp).
Xmm approximate_reciprocals(Xmm v);
Xmm approximate_reciprocal_roots(Xmm v);
/// PCMPESTRM and PCMPISTRM, upper half of YMM0 untouched (sse_string.cpp).
bool compare_strings_to_mask(Vcpu& cpu, const Insn& insn, bool explicit_lengths);

}  // namespace shadowbox

// An SB_OP whose body is compiled for both paths; it sees `path` and hands it to every access. The body must
// not change
// anything before its last access succeeded.
#define SB_PATHS(name)                                                                                    \
    SB_ENDS_BLOCK(name, false)                                                                            \
    template <class Path>                                                                                 \
    [[gnu::always_inline]] static inline bool name##_body(Vcpu& cpu, const Insn& insn, Path path);        \
    [[gnu::noinline]] static const Insn* name##_full(Vcpu& cpu, const Insn* insn) {                       \
        if (__builtin_expect(!name##_body(cpu, *insn, Full{}), 0)) return leave_at(cpu, insn);            \
        SB_GOTO(cpu, insn + 1);                                                                           \
    }                                                                                                     \
    const Insn* name(Vcpu& cpu, const Insn* insn) {                                                       \
        if (__builtin_expect(!name##_body(cpu, *insn, Fast{}), 0)) SB_TAIL_RETURN name##_full(cpu, insn); \
        SB_GOTO(cpu, insn + 1);                                                                           \
    }                                                                                                     \
    template <class Path>                                                                                 \
    static inline bool name##_body([[maybe_unused]] Vcpu& cpu, [[maybe_unused]] const Insn& insn,         \
                                   [[maybe_unused]] Path path)

// One line a packed op: `expression` sees the destination's old value a and the source b.
#define SB_SSE(name, fetch, expression)               \
    SB_PATHS(name) {                                  \
        Xmm b;                                        \
        if (!fetch(cpu, insn, b, path)) return false; \
        [[maybe_unused]] Xmm a = xmm(cpu, insn.reg);  \
        set_xmm(cpu, insn.reg, expression);           \
        return true;                                  \
    }
#define SB_MMX(name, expression)                                                  \
    SB_PATHS(name) {                                                              \
        Xmm b;                                                                    \
        if (!mmx_ready(cpu, path) || !fetch_mm(cpu, insn, b, path)) return false; \
        [[maybe_unused]] Xmm a = mm(cpu, insn.reg);                               \
        mmx_enter(cpu);                                                           \
        set_mm(cpu, insn.reg, expression);                                        \
        return true;                                                              \
    }
// The same expression on 16 and on 8 bytes, for ops whose elements do not cross the middle.
#define SB_SIMD(op, expression) SB_SSE(sse_##op, fetch128<true>, expression) SB_MMX(mmx_##op, expression)
