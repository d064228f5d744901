// SPDX-License-Identifier: MIT
#include "devices/virtio/virtqueue.h"

#include <algorithm>
#include <cstring>

#include "core/log.h"
#include "mmu/guest_access.h"

namespace shadowbox {

namespace {
constexpr u16 kNext = 1, kWrite = 2, kIndirect = 4, kNoInterrupt = 1;
u64 total(const std::vector<VirtqChain::Buffer>& buffers) {
    u64 sum = 0;
    for (const auto& buffer : buffers) sum += buffer.size;
    return sum;
}
u64 outside(u64 done) {
    guest_oddity("virtqueue-buffer", "a buffer of a virtqueue is not in memory");
    return done;
}
}  // namespace

u64 VirtqChain::readable_bytes() const { return total(readable); }
u64 VirtqChain::writable_bytes() const { return total(writable); }
void VirtqChain::serialize(Archive& archive) { archive(head, readable, writable); }

void Virtqueue::reset() {
    size = kMaxSize;
    enabled = broken_ = false;
    descriptors = driver_ring = device_ring = 0;
    msix_vector = 0xFFFF;
    next_available_ = next_used_ = 0;
    stall_.reset();
}

bool Virtqueue::done(MemoryAnswer answer) {
    if (answer.must_wait()) stall_ = answer;
    return answer.ready();
}

std::optional<u16> Virtqueue::load16(u64 where) {
    u8 bytes[2];
    if (!done(memory_.try_read(Gpa(where), bytes))) return std::nullopt;
    return static_cast<u16>(bytes[0] | bytes[1] << 8);
}

bool Virtqueue::load_descriptor(u64 table, u16 index, Descriptor& d) {
    u8 bytes[16];
    u64 where = table + index * 16u;
    if (where < table || !done(memory_.try_read(Gpa(where), bytes))) return false;
    memcpy(&d.address, bytes, 8);
    memcpy(&d.size, bytes + 8, 4);
    memcpy(&d.flags, bytes + 12, 2);
    memcpy(&d.next, bytes + 14, 2);
    return true;
}

bool Virtqueue::add_chain(u64 table, u16 count, u16 index, bool indirect, VirtqChain& chain) {
    for (unsigned steps = 0; steps <= count; ++steps) {
        Descriptor d;
        if (index >= count || !load_descriptor(table, index, d)) return false;
        if (d.flags & kIndirect) {
            if (indirect || (d.flags & kNext) || d.size % 16 || d.size == 0 || d.size > 16u * 1024)
                return false;
            return add_chain(d.address, static_cast<u16>(d.size / 16), 0, true, chain);
        }
        if (d.flags & kWrite)
            chain.writable.push_back({Gpa(d.address), d.size});
        else if (!chain.writable.empty())
            return false;  // readable after writable
        else
            chain.readable.push_back({Gpa(d.address), d.size});
        if (!(d.flags & kNext)) return true;
        index = d.next;
    }
    return false;  // a loop
}

void Virtqueue::set_broken() {
    guest_oddity("virtqueue-broken", "a virtqueue holds nonsense; the device stops until it is reset");
    broken_ = true;
}

u16 Virtqueue::waiting() {
    if (!enabled || broken_) return 0;
    auto index = load16(driver_ring + 2);
    if (!index) {
        give_up();
        return 0;
    }
    return std::min<u16>(static_cast<u16>(*index - next_available_), size);
}

std::optional<VirtqChain> Virtqueue::pop() {
    if (!enabled || broken_) return std::nullopt;
    auto index = load16(driver_ring + 2);
    if (!index) {
        give_up();
        return std::nullopt;
    }
    if (*index == next_available_) return std::nullopt;
    guest_fence(std::memory_order_acquire);  // the ring's entries were written before its index
    auto head = load16(driver_ring + 4 + 2u * (next_available_ % size));
    VirtqChain chain;
    // A driver has no more requests out than there are descriptors.
    if (!head || static_cast<u16>(*index - next_used_) > size ||
        !add_chain(descriptors, size, *head, false, chain)) {
        give_up();
        return std::nullopt;
    }
    chain.head = *head;
    ++next_available_;
    return chain;
}

bool Virtqueue::push(const VirtqChain& chain, u32 written) {
    if (!enabled || broken_) return false;
    u32 element[2] = {chain.head, written};
    u8 bytes[8];
    memcpy(bytes, element, 8);
    bool ok = done(memory_.try_write(Gpa(device_ring + 4 + 8u * (next_used_ % size)), bytes));
    guest_fence(std::memory_order_release);
    const u16 used = static_cast<u16>(next_used_ + 1);
    u8 index[2] = {static_cast<u8>(used), static_cast<u8>(used >> 8)};
    ok = ok && done(memory_.try_write(Gpa(device_ring + 2), index));
    if (stalled()) return false;
    guest_fence(std::memory_order_seq_cst);
    auto flags = load16(driver_ring);
    if (stalled()) return false;  // the repetition writes the same element and index
    next_used_ = used;
    if (!ok || !flags) set_broken();
    return !broken_ && !(*flags & kNoInterrupt);
}

u64 Virtqueue::read(const VirtqChain& chain, u64 offset, std::span<u8> to) {
    u64 copied = 0;
    for (const auto& buffer : chain.readable) {
        if (offset >= buffer.size) {
            offset -= buffer.size;
            continue;
        }
        u64 piece = std::min<u64>(buffer.size - offset, to.size() - copied);
        MemoryAnswer answer = memory_.try_read(buffer.where + offset, to.subspan(copied, piece));
        if (!done(answer)) return stalled() ? copied : outside(copied);
        copied += piece;
        offset = 0;
        if (copied == to.size()) break;
    }
    return copied;
}

u64 Virtqueue::write(const VirtqChain& chain, u64 offset, std::span<const u8> from) {
    u64 copied = 0;
    for (const auto& buffer : chain.writable) {
        if (offset >= buffer.size) {
            offset -= buffer.size;
            continue;
        }
        u64 piece = std::min<u64>(buffer.size - offset, from.size() - copied);
        MemoryAnswer answer = memory_.try_write(buffer.where + offset, from.subspan(copied, piece));
        if (!done(answer)) return stalled() ? copied : outside(copied);
        copied += piece;
        offset = 0;
        if (copied == from.size()) break;
    }
    return copied;
}

void Virtqueue::serialize(Archive& archive) {
    archive(size, enabled, descriptors, driver_ring, device_ring, msix_vector, next_available_, next_used_,
            broken_);
    if (size == 0 || size > kMaxSize || (size & (size - 1))) {
        archive.fail();
        size = kMaxSize;
    }
}

}  // namespace shadowbox
