// SPDX-License-Identifier: MIT
// One split virtqueue, the device's side (virtio 1.1, 2.6). Every index and address comes from the guest and
// is believed nothing: a ring that makes no sense marks the queue broken, and the device asks for a reset.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "core/archive.h"
#include "mmu/guest_memory.h"

namespace shadowbox {

/// One request of the driver: buffers the device reads, then buffers it writes.
struct VirtqChain {
    struct Buffer {
        Gpa where;
        u32 size = 0;
        void serialize(Archive& archive) { archive(where, size); }
    };
    u16 head = 0;
    std::vector<Buffer> readable, writable;
    u64 readable_bytes() const;
    u64 writable_bytes() const;
    void serialize(Archive& archive);
};

class Virtqueue {
 public:
    static constexpr u16 kMaxSize = 256;
    explicit Virtqueue(GuestMemory& memory) : memory_(memory) {}

    // --- the transport's registers ---
    u16 size = kMaxSize;
    bool enabled = false;
    u64 descriptors = 0, driver_ring = 0, device_ring = 0;
    u16 msix_vector = 0xFFFF;

    void reset();
    /// Requests that wait now; at most `size`. 0 when the ring is broken.
    u16 waiting();
    /// The next request, nullopt when there is none (or the ring is broken).
    std::optional<VirtqChain> pop();
    /// Gives a request back with `written` bytes in its writable buffers. True if the driver wants an
    /// interrupt. A ring that is not in memory breaks the queue.
    bool push(const VirtqChain& chain, u32 written);
    bool broken() const { return broken_; }
    /// A page that a call above or below needed was not ready: the call did nothing that its repetition
    /// would not do again. Forgotten by the look.
    std::optional<MemoryAnswer> take_stall() { return std::exchange(stall_, std::nullopt); }
    bool stalled() const { return stall_.has_value(); }
    void stall(MemoryAnswer answer) { stall_ = answer; }
    /// The request popped last was not begun: pop() gives it again.
    void put_back() { --next_available_; }

    /// Copies out of the readable or into the writable buffers, from `offset` on. Returns the bytes copied.
    u64 read(const VirtqChain& chain, u64 offset, std::span<u8> to);
    u64 write(const VirtqChain& chain, u64 offset, std::span<const u8> from);
    void serialize(Archive& archive);

 private:
    struct Descriptor {
        u64 address;
        u32 size;
        u16 flags, next;
    };
    bool load_descriptor(u64 table, u16 index, Descriptor& descriptor);
    bool add_chain(u64 table, u16 count, u16 first, bool indirect, VirtqChain& chain);
    std::optional<u16> load16(u64 where);
    void set_broken();
    /// True if it was done; a stall is kept.
    bool done(MemoryAnswer answer);
    /// Nothing can be had: the ring is nonsense, unless a page of it is only away.
    void give_up() {
        if (!stalled()) set_broken();
    }

    GuestMemory& memory_;
    u16 next_available_ = 0, next_used_ = 0;
    bool broken_ = false;
    std::optional<MemoryAnswer> stall_;
};

}  // namespace shadowbox
