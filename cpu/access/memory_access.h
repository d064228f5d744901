// SPDX-License-Identifier: MIT
// How ops reach guest memory. Each returns false when the access faulted or must be waited for; the Vcpu then
// holds the fault, nothing was stored, and the op returns false in turn. Loads and stores up to 32 bytes, any
// alignment; an access over a page boundary checks both pages before it stores to either.
#pragma once

#include "cpu/state/vcpu.h"
#include "mmu/guest_access.h"

namespace shadowbox {

struct Vec128 {
    u64 low, high;
};

/// Out of line: TLB misses, page crossings, MMIO, watchpoints. `supervisor`: implicit supervisor access.
bool load_slow(Vcpu& cpu, u64 gva, unsigned size, void* value, bool supervisor = false);
bool store_slow(Vcpu& cpu, u64 gva, unsigned size, const void* value, bool supervisor = false);
/// Both pages of [gva, gva+size) are writable for the current privilege, or a fault is raised.
bool probe_write(Vcpu& cpu, u64 gva, unsigned size);

template <class T>
inline T host_load(const u8* host) {
    if constexpr (sizeof(T) == 16)
        return T{guest_load<u64>(host), guest_load<u64>(host + 8)};
    else
        return guest_load<T>(host);
}
template <class T>
inline void host_store(u8* host, const T& value) {
    if constexpr (sizeof(T) == 16) {
        guest_store<u64>(host, value.low);
        guest_store<u64>(host + 8, value.high);
    } else
        guest_store<T>(host, value);
}

/// T: u8 to u64 or Vec128. `gva` is linear.
template <class T>
[[gnu::always_inline]] inline bool load(Vcpu& cpu, u64 gva, T& value) {
    if (const u8* host = cpu.mmu.context()->probe_read(gva, sizeof(T));
        __builtin_expect(host != nullptr, 1)) {
        value = host_load<T>(host);
        return true;
    }
    T slow;
    if (!load_slow(cpu, gva, sizeof(T), &slow)) return false;
    value = slow;
    return true;
}
template <class T>
[[gnu::always_inline]] inline bool store(Vcpu& cpu, u64 gva, T value) {
    if (u8* host = cpu.mmu.context()->probe_write(gva, sizeof(T)); __builtin_expect(host != nullptr, 1)) {
        host_store<T>(host, value);
        return true;
    }
    return store_slow(cpu, gva, sizeof(T), &value);
}

/// Linear address of a memory operand in any mode: base, index, displacement, address size, segment base,
/// limit and rights checks (#GP or #SS), canonical check. `size` is the access's bytes.
bool operand_address(Vcpu& cpu, const Insn& insn, unsigned size, MemoryAccess access, u64& gva);

/// The effective address alone (LEA): no segment.
u64 effective_address(const Vcpu& cpu, const Insn& insn);

/// Memory operand of `insn`, address calculated in any mode.
template <class T>
inline bool load_operand(Vcpu& cpu, const Insn& insn, T& value) {
    u64 gva;
    return operand_address(cpu, insn, sizeof(T), MemoryAccess::kRead, gva) && load<T>(cpu, gva, value);
}
template <class T>
inline bool store_operand(Vcpu& cpu, const Insn& insn, T value) {
    u64 gva;
    return operand_address(cpu, insn, sizeof(T), MemoryAccess::kWrite, gva) && store<T>(cpu, gva, value);
}

/// Any number of bytes (FXSAVE areas, descriptors, 80-bit reals); stores check every page first.
bool load_bytes(Vcpu& cpu, u64 gva, unsigned size, void* to);
bool store_bytes(Vcpu& cpu, u64 gva, unsigned size, const void* from);

}  // namespace shadowbox
