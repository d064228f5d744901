// SPDX-License-Identifier: MIT
// The owners of shared machine pages beyond what the pool's metadata has room for: chains of 12-byte nodes in
// chunks that never move, so that growing copies nothing. Not thread safe: the pool's mutex guards it.
#pragma once

#include <memory>
#include <vector>

#include "core/check.h"
#include "mmu/page_types.h"

namespace shadowbox {

/// Which guest. 0 is the host itself.
struct VmId : detail::Counted<VmId> {
    using Counted::Counted;
};

/// One user of a machine page.
struct PageOwner {
    VmId vm;
    Ppn ppn;
    friend bool operator==(const PageOwner&, const PageOwner&) = default;
};

class SharerChains {
 public:
    static constexpr u32 kEnd = ~u32{0};

    /// Puts `owner` before `head`; returns the new head.
    u32 push(u32 head, PageOwner owner) {
        u32 number = free_;
        if (number == kEnd) {
            if (used_ % kChunk == 0) chunks_.emplace_back(new Node[kChunk]);
            number = used_++;
        } else {
            free_ = at(number).next;
        }
        at(number) = {static_cast<u32>(owner.vm.value), static_cast<u32>(owner.ppn.value), head};
        return number;
    }
    /// Takes `owner` out of the chain; returns the new head. It must be there.
    u32 remove(u32 head, PageOwner owner) {
        u32* link = &head;
        while (!(owner_at(*link) == owner)) link = &at(*link).next;
        const u32 number = *link;
        *link = at(number).next;
        at(number).next = free_;
        free_ = number;
        return head;
    }
    void rename(u32 head, PageOwner from, Ppn to) {
        while (!(owner_at(head) == from)) head = at(head).next;
        at(head).ppn = static_cast<u32>(to.value);
    }
    PageOwner first(u32 head) const { return owner_at(head); }
    template <class Visit>
    void for_each(u32 head, Visit visit) const {
        for (; head != kEnd; head = at(head).next) visit(owner_at(head));
    }
    /// Host memory that the chains take.
    u64 bytes() const { return chunks_.size() * kChunk * sizeof(Node); }

 private:
    struct Node {
        u32 vm, ppn, next;
    };
    static constexpr u32 kChunk = 4096;
    Node& at(u32 number) const {
        VM_CHECK(number < used_);  // also the end of a chain in which an owner was looked for in vain
        return chunks_[number / kChunk][number % kChunk];
    }
    PageOwner owner_at(u32 number) const {
        const Node& node = at(number);
        return {VmId(node.vm), Ppn(node.ppn)};
    }
    std::vector<std::unique_ptr<Node[]>> chunks_;
    u32 used_ = 0, free_ = kEnd;
};

}  // namespace shadowbox
