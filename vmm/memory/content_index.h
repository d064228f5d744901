// SPDX-License-Identifier: MIT
// Which content was seen where: one table for all guests, by the hash of a whole page (OSDI'02 4.1, 4.2).
// A hint says that a guest's page had this content when it was looked at; it is not write-protected, and
// whoever finds it looks again. A shared frame says which machine page holds the content for several. Neither
// is trusted: pages are compared before they are shared, so a frame that is out of date costs a look and
// goes.
//
// Frames of 16 bytes in a chained hash table of fixed size: 20 bytes for each page of the pool at most, 0.5
// %. When all are taken, the next one in turn gives way.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "mmu/sharer_chains.h"

namespace shadowbox {

class ContentIndex {
 public:
    struct Hint {
        VmId vm;
        Ppn ppn;
        friend bool operator==(const Hint&, const Hint&) = default;
    };
    using Found = std::variant<Hint, Mpn>;
    struct Counts {
        u64 hints = 0, shared = 0, replaced = 0;
    };

    /// `frames`: at most so many are kept.
    explicit ContentIndex(u32 frames);

    /// The frame of this content. Hashes are told apart by 52 of their bits.
    std::optional<Found> find(u64 hash) const;
    /// Takes the place of what there was of this content.
    void put(u64 hash, Hint hint);
    void put(u64 hash, Mpn shared);
    /// What find() found is out of date.
    void remove(u64 hash);
    /// A guest ends.
    void remove_hints_of(VmId vm);

    const Counts& counts() const { return counts_; }
    u64 bytes() const { return heads_.size() * sizeof(u32) + frames_.size() * sizeof(Frame); }

 private:
    static constexpr u32 kNone = ~u32{0};
    /// `number`: a PPN (1 TiB of guest memory), or an MPN where `vm` is 0. The bucket comes from `hash_low`.
    struct Frame {
        u64 number : 28, vm : 16, hash_high : 20;
        u32 hash_low;
        u32 next;
    };
    static_assert(sizeof(Frame) == 16);
    u32* link_to(u64 hash);
    const Frame* frame_of(u64 hash) const { return const_cast<ContentIndex*>(this)->frame_at(hash); }
    const Frame* frame_at(u64 hash);
    void put_frame(u64 hash, u64 vm, u64 number);
    void take_out(u32* link);
    void replace_one();
    u32* head_of(u32 hash_low) { return &heads_[hash_low & mask_]; }

    std::vector<u32> heads_;
    std::vector<Frame> frames_;
    u32 mask_;
    u32 free_ = kNone, next_victim_ = 0;
    Counts counts_;
};

}  // namespace shadowbox
