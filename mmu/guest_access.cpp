// SPDX-License-Identifier: MIT
// Copies between guest memory and ours. Naturally sized and aligned pieces move in one access each, so that a
// device reading a 2-, 4- or 8-byte ring index never sees half of it.
#include "mmu/guest_access.h"

namespace shadowbox {

namespace {

template <class T>
bool single(const void* guest, std::size_t size) {
    return size == sizeof(T) && reinterpret_cast<std::uintptr_t>(guest) % sizeof(T) == 0;
}

}  // namespace

void guest_copy_out(void* to, const void* guest_host, std::size_t size) {
    u8* out = static_cast<u8*>(to);
    const u8* in = static_cast<const u8*>(guest_host);
#if defined(__x86_64__) && !defined(SHADOWBOX_TSAN)
    // A copy instruction of the host moves bytes or larger pieces, which is all that is promised here.
    if (size > 8) {
        std::memcpy(out, in, size);
        return;
    }
#endif
    if (single<u16>(in, size)) {
        u16 value = guest_load<u16>(in);
        std::memcpy(out, &value, sizeof value);
        return;
    }
    if (single<u32>(in, size)) {
        u32 value = guest_load<u32>(in);
        std::memcpy(out, &value, sizeof value);
        return;
    }
    for (; size && reinterpret_cast<std::uintptr_t>(in) % 8; --size) *out++ = guest_load<u8>(in++);
    for (; size >= 8; size -= 8, in += 8, out += 8) {
        u64 value = guest_load<u64>(in);
        std::memcpy(out, &value, sizeof value);
    }
    for (; size; --size) *out++ = guest_load<u8>(in++);
}

void guest_copy_in(void* guest_host, const void* from, std::size_t size) {
    u8* out = static_cast<u8*>(guest_host);
    const u8* in = static_cast<const u8*>(from);
#if defined(__x86_64__) && !defined(SHADOWBOX_TSAN)
    if (size > 8) {
        std::memcpy(out, in, size);
        return;
    }
#endif
    if (single<u16>(out, size)) {
        u16 value;
        std::memcpy(&value, in, sizeof value);
        guest_store(out, value);
        return;
    }
    if (single<u32>(out, size)) {
        u32 value;
        std::memcpy(&value, in, sizeof value);
        guest_store(out, value);
        return;
    }
    for (; size && reinterpret_cast<std::uintptr_t>(out) % 8; --size) guest_store<u8>(out++, *in++);
    for (; size >= 8; size -= 8, in += 8, out += 8) {
        u64 value;
        std::memcpy(&value, in, sizeof value);
        guest_store(out, value);
    }
    for (; size; --size) guest_store<u8>(out++, *in++);
}

void guest_move(void* to_host, const void* from_host, std::size_t size) {
#if defined(__x86_64__) && !defined(SHADOWBOX_TSAN)
    std::memmove(to_host, from_host, size);
#else
    u8* out = static_cast<u8*>(to_host);
    const u8* in = static_cast<const u8*>(from_host);
    for (; size >= 8; size -= 8, in += 8, out += 8) guest_store(out, guest_load<u64>(in));
    for (; size; --size) guest_store(out++, guest_load<u8>(in++));
#endif
}

void guest_copy_page(void* to_host, const void* from_host) {
#if defined(__x86_64__) && !defined(SHADOWBOX_TSAN)
    std::memcpy(to_host, from_host, 4096);
#else
    for (unsigned i = 0; i < 4096; i += 8) {
        guest_store(static_cast<u8*>(to_host) + i, guest_load<u64>(static_cast<const u8*>(from_host) + i));
    }
#endif
}

void guest_zero_page(void* host) {
#if defined(__x86_64__) && !defined(SHADOWBOX_TSAN)
    std::memset(host, 0, 4096);
#else
    for (unsigned i = 0; i < 4096; i += 8) guest_store<u64>(static_cast<u8*>(host) + i, 0);
#endif
}

void guest_fill(void* guest_host, u8 value, std::size_t size) {
    u8* out = static_cast<u8*>(guest_host);
#if defined(__x86_64__) && !defined(SHADOWBOX_TSAN)
    std::memset(out, value, size);
#else
    for (std::size_t i = 0; i < size; ++i) guest_store<u8>(out + i, value);
#endif
}

}  // namespace shadowbox
