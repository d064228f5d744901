// SPDX-License-Identifier: MIT
// The one protocol by which a PPN that vCPUs may be using gets another machine page, or none (design
// section 3):
//
//   1 protect   under the PPN lock: 'moving' and COW set, so no new right to write arises
//   2 drop      every vCPU of the guests concerned forgets its rights to write; wait for their safepoints
//   3 act       the content is frozen now: compare, copy, compress; publish the new entry, still protected
//   4 drop      every vCPU forgets the old machine page; wait for their safepoints
//   5 finish    allow writing where the page is private again; release the old machine pages
//
// For batches of up to some hundreds of pages: the two waits are shared by all. Called by the policies in
// vmm/ on threads outside guest code, holding no lock that a vCPU inside guest code can wait for. Decides
// nothing itself.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "mmu/guest_memory.h"

namespace shadowbox {

enum class RemapResult : u8 {
    kPending,  ///< run() was not called
    kDone,
    kPinned,    ///< a device has the page
    kBusy,      ///< another remap has it
    kHazard,    ///< an instruction waited for it and needs it now
    kState,     ///< not in a state that this operation takes
    kDiffers,   ///< the contents are not what the operation needs
    kNoRoom,    ///< no machine page to be had
    kDeclined,  ///< the evict function gave nothing
};
const char* remap_result_name(RemapResult result);

class RemapBatch {
 public:
    /// What takes the place of an evicted page: an entry without a machine page (swapped, compressed,
    /// ballooned, ...), or nullopt to leave it. Called with the frozen content; may take long, may not touch
    /// guest memory.
    using Evict = std::function<std::optional<PmapEntry>(std::span<const u8, kPageSize> content)>;

    RemapBatch() = default;
    ~RemapBatch();
    RemapBatch(const RemapBatch&) = delete;
    RemapBatch& operator=(const RemapBatch&) = delete;

    // Each adds one operation and returns its number.
    /// A private page gets another machine page.
    std::size_t move(GuestMemory& memory, Ppn ppn);
    /// If the contents are equal, `ppn` gives up its machine page for that of `other_ppn`. Guests may differ.
    std::size_t share(GuestMemory& memory, Ppn ppn, GuestMemory& other, Ppn other_ppn);
    /// A private page of zeros becomes the zero page.
    std::size_t merge_zero(GuestMemory& memory, Ppn ppn);
    /// A zero or shared page becomes private before anybody writes.
    std::size_t duplicate(GuestMemory& memory, Ppn ppn);
    /// Adds protect reasons; when run() returns, no vCPU can store past them.
    std::size_t protect(GuestMemory& memory, Ppn ppn, u8 reasons);
    /// A private page loses its machine page.
    std::size_t evict(GuestMemory& memory, Ppn ppn, Evict evict);

    /// Does them all; once per batch.
    void run();
    RemapResult result(std::size_t number) const { return operations_[number].result; }
    std::size_t size() const { return operations_.size(); }
    u64 done() const;

 private:
    enum class Kind : u8 { kMove, kShare, kMergeZero, kDuplicate, kProtect, kEvict };
    struct Page {
        GuestMemory* memory;
        Ppn ppn;
    };
    struct Operation {
        Kind kind;
        Page page;
        Page other;   // kShare
        u8 reasons;   // kProtect
        Evict evict;  // kEvict
        RemapResult result = RemapResult::kPending;
    };
    struct Replaced {
        Page page;
        Mpn old;
    };

    std::size_t add(Operation operation);
    static u32 states_of(Kind kind);
    RemapResult begin(Operation& operation);
    RemapResult own(Page page, u32 states);
    bool owns(Page page) const;
    void add_drop(Page page);
    void drop_and_wait(bool write_only);
    RemapResult act(Operation& operation);
    RemapResult act_share(Operation& operation);
    RemapResult act_copy(Page page);
    RemapResult act_evict(Operation& operation);
    void publish(Page page, PageState state, u64 number);
    void finish();

    std::vector<Operation> operations_;
    std::vector<Page> owned_;         // pages whose 'moving' bit is ours
    std::vector<Page> to_drop_;       // of the next drop_and_wait
    std::vector<Replaced> replaced_;  // machine pages to release at the end
    bool ran_ = false;
};

}  // namespace shadowbox
