// SPDX-License-Identifier: MIT
// The machine pages of all guests: one region of host memory, MPN = index into it. Hands out zeroed pages up
// to a cap, counts references, knows every owner of every page (the reverse map), and gives freed memory back
// to the host. Knows nothing of guest page tables, and decides nothing: who gets or loses a page is policy
// (vmm/). Where free frames lie is mmu/frame_blocks.h.
//
// The region is larger than the cap. Only pages really handed out are charged.
//
// Locks: mutex_ for every field that is not atomic, held for bookkeeping only. What takes the host's time
// (asking for large pages, giving memory back, the first touch that may clear 2 MiB) happens without it;
// host_calls_ keeps the host's advice in step with the bookkeeping, and is taken before mutex_. So a page's
// PPN lock (mmu/pmap.h) may be held around retain(), claim_private(), pin() and the looking functions, but
// not around allocate(), release(), unpin() or trim().
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/host/memory_map.h"
#include "core/inspect.h"
#include "mmu/frame_blocks.h"
#include "mmu/page_types.h"
#include "mmu/sharer_chains.h"

namespace shadowbox {

/// What a machine page is used for. Every reserved page is in exactly one of these states.
enum class MachineState : u8 {
    kFree,       ///< not charged
    kReturning,  ///< free, but its host memory still waits to be given back
    kReleasing,  ///< its host memory is being given back just now
    kPrivate,    ///< one owner
    kShared,     ///< any number of owners (one, when the others left), nobody may write
    kDying,      ///< no owner any more, but a DMA pin: freed by the last unpin
    kHost,       ///< the zero page and the rest of its block
};
constexpr unsigned kMachineStates = 7;
const char* machine_state_name(MachineState state);

/// Pages by state; the sum is `reserved`.
struct PoolTotals {
    u64 capacity = 0;  ///< the cap: how many pages may be in use
    u64 reserved = 0;  ///< pages of the region
    u64 in_use = 0;    ///< charged against the cap: private + shared + dying
    u64 by_state[kMachineStates] = {};
    u64 references = 0;       ///< owners of shared pages; references - shared pages = pages saved
    u64 zero_references = 0;  ///< filled in by whoever sums the pmaps; the pool does not count these
    u64 peak_in_use = 0;
};

/// Who may take the last pages.
enum class PagePurpose : u8 {
    kGuest,     ///< leaves the reserve alone
    kProgress,  ///< what must go on so that others get room: a swap-in, a page being rebuilt
};

struct PageRequest {
    PageOwner owner;
    PagePurpose purpose = PagePurpose::kGuest;
    PageZone zone = PageZone::kAny;
};

class MachinePool {
 public:
    /// Owners of one machine page, at most. Chains are searched under the pool's mutex, so they stay short; a
    /// page with more users gets a second copy.
    static constexpr u32 kMostOwners = 512;

    /// `capacity_pages`: the cap. `max_reserved_pages`: size of the region, at least the cap; more gives room
    /// for aligned blocks. Takes no host memory yet.
    static Expected<std::unique_ptr<MachinePool>> create(u64 capacity_pages, u64 max_reserved_pages);
    ~MachinePool();
    MachinePool(const MachinePool&) = delete;
    MachinePool& operator=(const MachinePool&) = delete;

    // --- pages ---
    /// A zeroed private page with one reference, touched, so that the host has memory behind it; nullopt when
    /// the cap (for guests: less the reserve) is reached, or the zone is full.
    std::optional<Mpn> allocate(const PageRequest& request);
    std::optional<Mpn> allocate(VmId vm, Ppn ppn) { return allocate(PageRequest{{vm, ppn}}); }
    /// One more owner; the page is shared from now on. false: it has all that it can have.
    [[nodiscard]] bool retain(Mpn mpn, VmId vm, Ppn ppn);
    /// One owner less; the last one frees the page (or leaves it to the last pin).
    void release(Mpn mpn, VmId vm, Ppn ppn);
    /// If (vm, ppn) is the only owner of a shared page that nobody has pinned: makes it private, returns
    /// true.
    bool claim_private(Mpn mpn, VmId vm, Ppn ppn);
    /// The page of (vm, from) is now at (vm, to).
    void rename_owner(Mpn mpn, VmId vm, Ppn from, Ppn to);
    /// Forgets the block reservations of a guest that ended. Its pages were released before.
    void forget_vm(VmId vm);

    u8* host(Mpn mpn) const { return region_.data() + (mpn.value << kPageShift); }
    Mpn mpn_of(const u8* host) const { return Mpn(static_cast<u64>(host - region_.data()) >> kPageShift); }
    /// The page of zeros: not counted, never freed, and the host traps a write to it.
    Mpn zero_page() const { return Mpn(0); }

    /// Calls `told` once, from any thread and with no lock held, when a guest can have a page; at once if it
    /// can now.
    void when_room(std::function<void()> told);

    // --- DMA pins; taken under the PPN's lock (mmu/pmap.h) ---
    void pin(Mpn mpn);
    void unpin(Mpn mpn);
    bool pinned(Mpn mpn) const { return metadata(mpn).pins.load(std::memory_order_acquire) != 0; }

    // --- looking ---
    /// Pages that guests can still have.
    u64 available() const;
    u64 capacity() const { return capacity_; }
    /// Host memory that metadata and chains of owners take beside the pages, bytes.
    u64 overhead_bytes() const;
    bool in_zone(Mpn mpn, PageZone zone) const;
    u64 reserved() const { return reserved_; }
    MachineState state(Mpn mpn) const { return state_word(mpn).load(std::memory_order_acquire); }
    u32 references(Mpn mpn) const { return metadata(mpn).references.load(std::memory_order_acquire); }
    /// All owners of a page, in no special order.
    std::vector<PageOwner> owners(Mpn mpn) const;
    /// A content hash kept for policies (sharing); 0 when a page is handed out.
    u64 hash(Mpn mpn) const { return metadata(mpn).hash.load(std::memory_order_relaxed); }
    void set_hash(Mpn mpn, u64 hash) { metadata(mpn).hash.store(hash, std::memory_order_relaxed); }
    PoolTotals totals() const;
    void inspect(Inspector& inspector) const;

    /// Changes the cap. Pages in use stay, even when there are more than the new cap.
    void set_capacity(u64 pages);
    /// Pages that only PagePurpose::kProgress gets, out of the cap.
    void set_reserve(u64 pages);
    /// The first `pages` of the region (rounded up to 512) are the low zone.
    void set_low_zone(u64 pages);
    /// Gives the memory of all freed pages back to the host now. Otherwise it happens in batches.
    void trim();

 private:
    struct Metadata {
        std::atomic<u64> hash;
        std::atomic<u32> references;
        std::atomic<u32> pins;
        u32 owner_vm;           // of a private page
        u32 owner_ppn_or_head;  // of a private page; of a shared one the head of its chain
    };
    struct Frame {
        Mpn mpn;
        bool dirty = false;  // still holds bytes of its last owner
    };

    explicit MachinePool(u64 blocks) : blocks_(blocks) {}
    Metadata& metadata(Mpn mpn) const { return reinterpret_cast<Metadata*>(metadata_map_.data())[mpn.value]; }
    std::atomic<MachineState>& state_word(Mpn mpn) const {
        return reinterpret_cast<std::atomic<MachineState>*>(state_map_.data())[mpn.value];
    }
    static u64 block_key(VmId vm, u64 block) { return vm.value << 40 | block; }
    // mutex_ held:
    std::optional<Frame> take_frame(const PageRequest& request);
    std::optional<Frame> take_returning(PageZone zone);
    void free_frame(Mpn mpn);
    void change_state(Mpn mpn, MachineState to);
    bool wants_huge(Mpn mpn);
    u64 in_use() const;
    bool has_room() const { return in_use() + reserve_ < capacity_; }
    std::vector<std::function<void()>> take_room_waiters();
    // mutex_ not held:
    void ask_for_huge(u64 block);
    void return_frames();
    void give_to_host(const std::vector<Mpn>& batch, const std::vector<u64>& broken);
    void after_freeing(std::unique_lock<std::mutex> lock);

    std::atomic<u64> capacity_{0};
    u64 reserved_ = 0;
    MemoryMap region_;
    MemoryMap metadata_map_;
    MemoryMap state_map_;
    std::mutex host_calls_;
    mutable std::mutex mutex_;
    FrameBlocks blocks_;
    SharerChains chains_;
    std::vector<Mpn> returning_;  // some may have been handed out again: look at the state
    std::vector<std::function<void()>> room_waiters_;
    u64 reserve_ = 0;
    u64 by_state_[kMachineStates] = {};
    u64 shared_references_ = 0;
    u64 peak_in_use_ = 0;
};

}  // namespace shadowbox

template <>
struct fmt::formatter<shadowbox::VmId> : fmt::formatter<fmt::string_view> {
    template <class Context>
    auto format(shadowbox::VmId vm, Context& context) const {
        return fmt::format_to(context.out(), "vm {}", vm.value);
    }
};
