// SPDX-License-Identifier: MIT
// The one protocol by which a PPN that vCPUs may be using gets another machine page, or none (design
// section 3):
//
//   1 begin     under the PPN lock: 'moving' set with its protect reason, so no new right to write arises
//   2 drop      every vCPU of the guests concerned forgets its rights to write; wait for their safepoints
//   3 act       the content is frozen now: compare, copy, compress; publish the new entry, still protected
//   4 drop      every vCPU forgets the old machine page; wait for their safepoints
//   5 finish    allow writing where the page is private again; release old machine pages and slots
//
// For batches of up to some hundreds of pages: the two waits are shared by all. Called by the policies in
// vmm/ on threads outside guest code, holding no lock that a vCPU inside guest code can wait for. Decides
// nothing itself. What is done to a page is an operation, a small object (remap_operations.h); act() may take
// as long as a compression, never as long as I/O, since nobody can write the page meanwhile. An eviction to a
// disk is two batches: stage() gives the content to be written at leisure, evict_staged() takes the page away
// if nobody wrote to it since.
#pragma once

#include <memory>
#include <vector>

#include "mmu/remap_operations.h"

namespace shadowbox {

class RemapBatch {
 public:
    RemapBatch();
    ~RemapBatch();
    RemapBatch(const RemapBatch&) = delete;
    RemapBatch& operator=(const RemapBatch&) = delete;

    // Each adds one operation; the reference is good while the batch lives.
    RemapOperation& move(GuestMemory& memory, Ppn ppn, PageZone zone = PageZone::kAny);
    RemapOperation& share(GuestMemory& memory, Ppn ppn, GuestMemory& other, Ppn other_ppn);
    RemapOperation& merge_zero(GuestMemory& memory, Ppn ppn);
    RemapOperation& duplicate(GuestMemory& memory, Ppn ppn);
    RemapOperation& protect(GuestMemory& memory, Ppn ppn, u8 reasons);
    RemapOperation& evict(GuestMemory& memory, Ppn ppn, EvictPage::Evict evict);
    RemapOperation& drop(GuestMemory& memory, Ppn ppn, PageState to = PageState::kBallooned);
    EvictShared& evict_shared(MachinePool& pool, Mpn mpn, FindGuest find, EvictShared::Evict evict);
    FreezePage& freeze(GuestMemory& memory, Ppn ppn);
    SamplePage& sample(GuestMemory& memory, Ppn ppn);
    StagePage& stage(GuestMemory& memory, Ppn ppn);
    RemapOperation& evict_staged(StagedPage staged, PmapEntry instead);

    /// Does them all; once per batch.
    void run();
    RemapResult result(std::size_t number) const { return operations_[number]->result(); }
    std::size_t size() const { return operations_.size(); }
    u64 done() const;

    // --- for operations ---
    /// Phase 1. Sets the page's 'moving' bit if its state is one of `states` (bits, see state_bit()) and
    /// nobody else has it; kPending if it is ours now.
    RemapResult own(PageOf page, u32 states);
    /// What is dropped in phase 2 (rights to write) or phase 4 (everything). Only for pages with 'cached'
    /// set.
    void drop_writes(PageOf page) { write_drops_.push_back(page); }
    void drop_all(PageOf page) { drops_.push_back(page); }
    /// Phase 3. The owned page's new entry, still 'moving'; its machine page is released at the end.
    void publish(PageOf page, PmapEntry instead);
    /// Phase 3. The owned page keeps its machine page, which has several owners from now on.
    void publish_shared(PageOf page);

 private:
    template <class Operation, class... Arguments>
    Operation& add(Arguments&&... arguments);
    bool owns(PageOf page) const;
    static void drop_and_wait(std::vector<PageOf>& pages, bool write_only);
    void finish();

    struct Replaced {
        PageOf page;
        PmapEntry old;
    };
    std::vector<std::unique_ptr<RemapOperation>> operations_;
    std::vector<PageOf> owned_;  // pages whose 'moving' bit is ours
    std::vector<PageOf> write_drops_, drops_;
    std::vector<Replaced> replaced_;
    bool ran_ = false;
};

}  // namespace shadowbox
