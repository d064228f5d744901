// SPDX-License-Identifier: MIT
// Effective and linear addresses of memory operands. The flat 64-bit case is inline; everything with a
// segment base, a limit or a narrower address size goes to operand_address().
#pragma once

#include "cpu/access/memory_access.h"

namespace shadowbox {

/// Linear address of the memory operand. Insn::flat was set by the decoder: 64-bit addressing, no FS/GS.
[[gnu::always_inline]] inline bool ea(Vcpu& cpu, const Insn& insn, unsigned size, MemoryAccess access,
                                      u64& gva) {
    if (__builtin_expect(insn.flat, 1)) {
        gva = cpu.gpr[insn.rm] + (cpu.gpr[insn.index] << insn.scale) + static_cast<u64>(insn.disp);
        return true;
    }
    return operand_address(cpu, insn, size, access, gva);
}

template <class T>
[[gnu::always_inline]] inline bool load_ea(Vcpu& cpu, const Insn& insn, T& value) {
    u64 gva;
    return ea(cpu, insn, sizeof(T), MemoryAccess::kRead, gva) && load<T>(cpu, gva, value);
}
template <class T>
[[gnu::always_inline]] inline bool store_ea(Vcpu& cpu, const Insn& insn, T value) {
    u64 gva;
    return ea(cpu, insn, sizeof(T), MemoryAccess::kWrite, gva) && store<T>(cpu, gva, value);
}

/// Checks [offset, offset+size) against a segment's limit, type and presence (SDM 3A 5.3, 5.5) and gives the
/// linear address. #SS(0) for SS, else #GP(0).
bool segment_address(Vcpu& cpu, Seg seg, u64 offset, unsigned size, MemoryAccess access, u64& gva);

/// Read-modify-write of a memory operand: value = f(value). f runs once with the final value when nothing can
/// fault any more (several times for a contended locked access; it must depend on its argument alone).
template <class T, class F>
[[gnu::always_inline]] inline bool modify(Vcpu& cpu, const Insn& insn, F f) {
    u64 gva;
    if (!ea(cpu, insn, sizeof(T), MemoryAccess::kWrite, gva)) return false;
    if (u8* host = cpu.mmu.context()->probe_write(gva, sizeof(T)); __builtin_expect(host != nullptr, 1)) {
        guest_store<T>(host, f(guest_load<T>(host)));
        return true;
    }
    T value = 0;
    if (!probe_write(cpu, gva, sizeof(T)) || !load_slow(cpu, gva, sizeof(T), &value)) return false;
    const LazyFlags before = cpu.flags;
    value = f(value);
    if (store_slow(cpu, gva, sizeof(T), &value)) return true;
    cpu.flags = before;  // a remap took the right to write away after the probe: the instruction starts over
    return false;
}

/// Host pointer for a locked access, or nullptr with `done` telling whether to fall back to plain accesses
/// (MMIO, ROM, page crossing while alone) or that a fault or exclusive exit was raised.
u8* locked_pointer(Vcpu& cpu, u64 gva, unsigned size, bool& plain);

template <class T, class F>
inline bool locked_modify_at(Vcpu& cpu, u64 gva, F f) {
    u8* host = cpu.mmu.context()->probe_write(gva, sizeof(T));
    if (!host) {
        bool plain = false;
        host = locked_pointer(cpu, gva, sizeof(T), plain);
        if (!host) {
            T value = 0;
            if (!plain || !load_slow(cpu, gva, sizeof(T), &value)) return false;
            const LazyFlags before = cpu.flags;
            value = f(value);
            if (store_slow(cpu, gva, sizeof(T), &value)) return true;
            cpu.flags = before;
            return false;
        }
    }
    typedef T Unaligned __attribute__((aligned(1), may_alias));
    auto* cell = reinterpret_cast<Unaligned*>(host);
    T expected = guest_load<T>(host);
    for (;;) {
        T desired = f(expected);
#if defined(__x86_64__)
        T seen = __sync_val_compare_and_swap(reinterpret_cast<volatile T*>(cell), expected, desired);
        if (seen == expected) return true;
        expected = seen;
#else
        if (__atomic_compare_exchange_n(reinterpret_cast<T*>(cell), &expected, desired, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
#endif
    }
}
template <class T, class F>
inline bool locked_modify(Vcpu& cpu, const Insn& insn, F f) {
    u64 gva;
    return ea(cpu, insn, sizeof(T), MemoryAccess::kWrite, gva) && locked_modify_at<T>(cpu, gva, f);
}

/// CMPXCHG16B on 16 aligned bytes; `seen` is what was there.
bool compare_exchange_16(Vcpu& cpu, u64 gva, u128 expected, u128 desired, u128& seen);

}  // namespace shadowbox
