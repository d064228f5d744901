// SPDX-License-Identifier: MIT
// The one accessor through which every byte of guest memory is read and written by host pointer:
// relaxed atomics of natural size, the ordering policy in one place. On hosts with total store order
// (x86-64) plain moves are enough for guest ordering; an AArch64 host would use acquire/release here.
// Alignment: a guest may access any alignment. x86-64 moves it in one instruction; elsewhere (and under
// TSan, which wants to see atomics) an unaligned access is split into bytes.
#pragma once

#include <atomic>
#include <cstring>

#include "core/integers.h"

namespace shadowbox {

#if defined(__x86_64__) && !defined(SHADOWBOX_TSAN)
template <class T>
inline T guest_load(const void* host) {
    typedef T Unaligned __attribute__((aligned(1), may_alias));
    return *static_cast<const volatile Unaligned*>(host);
}
template <class T>
inline void guest_store(void* host, T value) {
    typedef T Unaligned __attribute__((aligned(1), may_alias));
    *static_cast<volatile Unaligned*>(host) = value;
}
#else
template <class T>
inline T guest_load(const void* host) {
    if (reinterpret_cast<std::uintptr_t>(host) % sizeof(T) == 0) {
        return __atomic_load_n(static_cast<const T*>(host), __ATOMIC_RELAXED);
    }
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        u8 byte = __atomic_load_n(static_cast<const u8*>(host) + i, __ATOMIC_RELAXED);
        value = static_cast<T>(value | static_cast<T>(static_cast<T>(byte) << (8 * i)));
    }
    return value;
}
template <class T>
inline void guest_store(void* host, T value) {
    if (reinterpret_cast<std::uintptr_t>(host) % sizeof(T) == 0) {
        __atomic_store_n(static_cast<T*>(host), value, __ATOMIC_RELAXED);
        return;
    }
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        __atomic_store_n(static_cast<u8*>(host) + i, static_cast<u8>(value >> (8 * i)), __ATOMIC_RELAXED);
    }
}
#endif

/// Orders this thread's accesses of guest memory before and after it. (TSan knows no fences and GCC says so.
/// Guest memory is only accessed atomically, so it needs none to be free of races; the host still does.)
inline void guest_fence(std::memory_order order) {
#if defined(SHADOWBOX_TSAN)
    std::atomic<int> own{0};
    if (order == std::memory_order_seq_cst) own.fetch_add(1, order);
    std::atomic_signal_fence(order);
#else
    std::atomic_thread_fence(order);
#endif
}

/// Copies out of guest memory with relaxed byte-or-larger accesses; the guest may write meanwhile.
void guest_copy_out(void* to, const void* guest_host, std::size_t size);
/// Fills guest memory with one byte value.
void guest_fill(void* guest_host, u8 value, std::size_t size);
/// Copies into guest memory.
void guest_copy_in(void* guest_host, const void* from, std::size_t size);
/// From guest memory to guest memory, forward; `to` does not lie inside the source behind its first byte.
void guest_move(void* to_host, const void* from_host, std::size_t size);
/// Between two machine pages, and clearing one (4096 bytes, aligned).
void guest_copy_page(void* to_host, const void* from_host);
void guest_zero_page(void* host);

}  // namespace shadowbox
