// SPDX-License-Identifier: MIT
// The machine pages of all guests: one region of host memory, MPN = index into it. Hands out zeroed pages up
// to a cap, counts references, knows every owner of every page (the reverse map), and gives freed memory back
// to the host. Knows nothing of guest page tables, and decides nothing: who gets or loses a page is policy
// (vmm/).
//
// The region is larger than the cap. A first touch reserves an aligned block of 512 MPNs for the guest's 512
// PPNs around it, so that MPN and PPN agree in their low 9 bits and the host can use large pages; only pages
// really handed out are charged.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "core/host/memory_map.h"
#include "core/inspect.h"
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

/// What a machine page is used for. Every reserved page is in exactly one of these states.
enum class MachineState : u8 {
    kFree,       ///< not charged
    kReturning,  ///< free, but its host memory still waits to be given back
    kPrivate,    ///< one owner
    kShared,     ///< any number of owners (one, when the others left), nobody may write
    kDying,      ///< no owner any more, but a DMA pin: freed by the last unpin
    kHost,       ///< the zero page and the rest of its block
};
constexpr unsigned kMachineStates = 6;
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

class MachinePool {
 public:
    /// `capacity_pages`: the cap. `max_reserved_pages`: size of the region, at least the cap; more gives room
    /// for aligned blocks. Takes no host memory yet.
    static Expected<std::unique_ptr<MachinePool>> create(u64 capacity_pages, u64 max_reserved_pages);
    ~MachinePool();
    MachinePool(const MachinePool&) = delete;
    MachinePool& operator=(const MachinePool&) = delete;

    // --- pages ---
    /// A zeroed private page with one reference; nullopt when the cap is reached.
    std::optional<Mpn> allocate(VmId vm, Ppn ppn);
    /// One more owner; the page is shared from now on.
    void retain(Mpn mpn, VmId vm, Ppn ppn);
    /// One owner less; the last one frees the page (or leaves it to the last pin).
    void release(Mpn mpn, VmId vm, Ppn ppn);
    /// If (vm, ppn) is the only owner of a shared page: makes it private and returns true.
    bool claim_private(Mpn mpn, VmId vm, Ppn ppn);
    /// The page of (vm, from) is now at (vm, to).
    void rename_owner(Mpn mpn, VmId vm, Ppn from, Ppn to);
    /// Forgets the block reservations of a guest that ended. Its pages were released before.
    void forget_vm(VmId vm);

    u8* host(Mpn mpn) const { return region_.data() + (mpn.value << kPageShift); }
    Mpn mpn_of(const u8* host) const { return Mpn(static_cast<u64>(host - region_.data()) >> kPageShift); }
    /// The page of zeros: not counted, never freed, and the host traps a write to it.
    Mpn zero_page() const { return Mpn(0); }

    // --- DMA pins; taken under the PPN's lock (mmu/pmap.h) ---
    void pin(Mpn mpn);
    void unpin(Mpn mpn);
    bool pinned(Mpn mpn) const { return metadata(mpn).pins.load(std::memory_order_acquire) != 0; }

    // --- looking ---
    /// Pages that can still be allocated.
    u64 available() const;
    u64 capacity() const { return capacity_; }
    u64 reserved() const { return reserved_; }
    MachineState state(Mpn mpn) const { return metadata(mpn).state.load(std::memory_order_acquire); }
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
    /// Gives the memory of all freed pages back to the host now. Otherwise it happens in batches.
    void trim();

 private:
    struct Metadata {
        std::atomic<MachineState> state;
        std::atomic<u32> references;
        std::atomic<u32> pins;
        u32 owner_vm;  // of a private page, or of a shared one's first owner
        u64 owner_ppn;
        std::atomic<u64> hash;
    };
    static constexpr u64 kNoKey = ~u64{0};
    struct Block {         // 512 MPNs
        u64 free[8] = {};  // bit set: state kFree, reads as zeros
        u32 free_count = 0;
        bool reserved = false;
        bool huge = false;
        u64 key = kNoKey;  ///< kNoKey: serves scattered pages
    };

    MachinePool() = default;
    Metadata& metadata(Mpn mpn) const { return reinterpret_cast<Metadata*>(metadata_map_.data())[mpn.value]; }
    static u64 block_key(VmId vm, Ppn ppn) { return vm.value << 40 | ppn.value / kPagesPerLarge; }
    struct Frame {
        Mpn mpn;
        bool dirty = false;  ///< still holds bytes of its last owner
    };
    // All below: mutex_ held.
    std::optional<Frame> take_frame(VmId vm, Ppn ppn);
    std::optional<Frame> take_scattered();
    std::optional<u64> block_for(u64 key);
    Frame take_from(u64 block, unsigned index);
    std::optional<u64> new_block();
    void free_frame(Mpn mpn);
    void frame_is_clean(Mpn mpn);
    void change_state(Mpn mpn, MachineState to);
    void return_batch();
    u64 in_use() const;

    std::atomic<u64> capacity_{0};
    u64 reserved_ = 0;
    MemoryMap region_;
    MemoryMap metadata_map_;
    mutable std::mutex mutex_;
    std::vector<Block> blocks_;
    std::vector<u64> free_blocks_;               // unreserved, all 512 frames free
    std::unordered_map<u64, u64> block_of_key_;  // (VM, PPN / 512) -> block
    std::unordered_map<u64, std::vector<PageOwner>>
        sharers_;  // of shared MPNs with more than the first owner
    std::vector<Mpn> returning_;
    u64 reserved_blocks_ = 0;
    u64 scatter_cursor_ = 0;
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
