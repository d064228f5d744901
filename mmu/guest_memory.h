// SPDX-License-Identifier: MIT
// The physical memory of one VM: its pmap, and the ways other than a vCPU's TLB to reach its pages (page
// walker, devices, loaders, viewers). MECHANISM only; which page to share or evict is decided in vmm/.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "core/error.h"
#include "mmu/machine_pool.h"
#include "mmu/memory_answer.h"
#include "mmu/page_epochs.h"
#include "mmu/page_types.h"
#include "mmu/pager.h"
#include "mmu/pmap.h"
#include "mmu/safepoint.h"

namespace shadowbox {

class DeviceTables;

/// Hears of stores into pages that hold cached code, from any vCPU or device of the VM.
class CodeWriteListener {
 public:
    virtual ~CodeWriteListener() = default;
    /// Bytes [offset, offset+size) of `ppn` changed. Called on the writing thread after the store.
    virtual void code_written(Ppn ppn, u32 offset, u32 size) = 0;
};

/// Sees every store into pages set_trace() named, after the store or with it; from vCPU and device threads.
class WriteTraceListener {
 public:
    virtual ~WriteTraceListener() = default;
    virtual void traced_write(Ppn ppn) = 0;
};

/// A pinned piece of one guest page, for DMA. While it lives no remap moves the page.
class PinnedPage {
 public:
    PinnedPage() = default;
    PinnedPage(GuestMemory& memory, Ppn ppn, u8* host, bool written)
        : memory_(&memory), ppn_(ppn), host_(host), written_(written) {}
    PinnedPage(PinnedPage&& other) noexcept;
    PinnedPage& operator=(PinnedPage&& other) noexcept;
    ~PinnedPage();
    explicit operator bool() const { return host_ != nullptr; }
    u8* host() const { return host_; }
    Ppn ppn() const { return ppn_; }

 private:
    void release();
    GuestMemory* memory_ = nullptr;
    Ppn ppn_;
    u8* host_ = nullptr;
    bool written_ = false;  // tell the CodeWriteListener on release
};

class GuestMemory {
 public:
    GuestMemory(MachinePool& pool, Pager& pager, VmId vm);
    ~GuestMemory();
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    // --- the physical map; only before start or inside MachineBus::run_exclusive ---
    /// RAM, untouched: demand-zero on first touch.
    void map_ram(Ppn first, u64 count);
    /// Read-only pages holding `content` (padded with zeros to a page). Writes are discarded.
    Expected<void> map_rom(Ppn first, std::span<const u8> content);
    /// Back to MMIO (the state of everything never mapped); frees what was resident.
    void unmap(Ppn first, u64 count);
    /// Pages go with their contents and states to another place (a BAR moved, a PAM shadow switched).
    void relocate(Ppn from, Ppn to, u64 count);
    /// RAM pages that a guest may read but whose writes are discarded (PAM) and back.
    void set_rom(Ppn first, u64 count, bool read_only);
    /// A20 gate: when masked, bit 20 of every guest-physical address that a vCPU uses reads as 0 (A20M# is a
    /// pin of the processor; devices see all bits). Flushes TLBs.
    void set_a20(bool enabled);
    Gpa apply_a20(Gpa gpa) const { return Gpa(gpa.value & a20_mask_); }

    // --- copies; MMIO parts read as all ones and discard writes; false if any part was not RAM or ROM ---
    /// Loaders and threads that are neither a device's nor a vCPU's: may wait for the pager, so no lock is
    /// held. Devices use try_read() and try_write(), viewers peek().
    bool read(Gpa from, std::span<u8> to);
    bool write(Gpa to, std::span<const u8> from);
    /// For viewers: never makes anything resident, untouched pages read as zeros, changes no state.
    bool peek(Gpa from, std::span<u8> to) const;

    // --- DMA ---
    /// Devices: copies that never block. What is not ready stops them, perhaps in the middle; a repeat reads
    /// or writes the same bytes again. MMIO parts read as all ones, discard writes, and do not stop them.
    MemoryAnswer try_read(Gpa from, std::span<u8> to);
    MemoryAnswer try_write(Gpa to, std::span<const u8> from);
    /// Pins one page without blocking. For reading, a shared page stays shared: whoever stores to it gets a
    /// copy, and the pin keeps the machine page with the content that it had. For writing, sharing is broken
    /// first, and ROM answers kNotRam.
    tl::expected<PinnedPage, MemoryAnswer> try_pin(Ppn ppn, PageAccess access);
    /// After kWait or kPoolFull: calls `ready` once, from any thread and with no lock held, perhaps before it
    /// returns. Called with no lock held. Who may be gone by then makes `ready` look.
    void when_ready(MemoryAnswer answer, std::function<void()> ready);
    /// try_pin() that waits: for threads that may, as read(). Empty if the page is not RAM or the pool is
    /// exhausted.
    PinnedPage pin(Ppn ppn, PageAccess access);

    // --- page walker and atomic access: 4 or 8 aligned bytes ---
    /// What the pager said; MMIO answers by `devices`, or reads as all ones. Called inside guest code, or
    /// where no remap can happen.
    PageOutcome walk_load(Gpa where, unsigned size, u64& value, DeviceTables* devices = nullptr);
    /// Compare-and-swap for A/D bits; `swapped` tells whether `expected` was still there.
    PageOutcome walk_compare_exchange(Gpa where, unsigned size, u64 expected, u64 desired, bool& swapped,
                                      DeviceTables* devices = nullptr);

    // --- making pages resident ---
    /// Asks the pager, unless the page is being remapped (kWait).
    PageOutcome demand(Ppn ppn, PageAccess access);
    /// After kWait: blocks until asking again makes sense. No lock and no host pointer held, not inside guest
    /// code. false: the waits were cancelled.
    bool wait_for(Ppn ppn, PageAccess access);
    /// The VM ends: nobody waits for a page any more, now or later.
    void cancel_waits();

    // --- code pages (cpu/'s block caches) ---
    /// Marks bytes of a page as cached code: 64-byte lines; sets the kCode protect reason and drops write
    /// rights.
    void mark_code(Ppn ppn, u32 offset, u32 size,
                   const SafepointParticipant* holder = SafepointDomain::current());
    /// True if any marked line overlaps.
    bool overlaps_code(Ppn ppn, u32 offset, u32 size) const;
    /// The vCPU `holder` has no blocks on the page any more. When no vCPU that marked it has: forgets the
    /// marks and clears the protect reason. A reset empties every vCPU's cache, on the thread of one of them.
    void unmark_code(Ppn ppn, const SafepointParticipant* holder = SafepointDomain::current());
    /// After a store into a code page: tells the listener if the bytes overlap a marked line.
    void notify_code_write(Ppn ppn, u32 offset, u32 size);
    /// No vCPU can store into these code pages unasked any more (SafepointDomain calls this).
    void forget_write_rights(std::span<const Ppn> ppns);
    void set_code_listener(CodeWriteListener* listener) { code_listener_ = listener; }
    CodeWriteListener* code_listener() const { return code_listener_; }

    // --- write tracking ---
    /// From now on pages start clean. Costs one slow store per page and round.
    void start_dirty_log();
    /// The pages written since the last call or the start, in PPN order; they are clean again.
    std::vector<Ppn> take_dirty_log();
    void stop_dirty_log();
    /// Ends the running epoch of access tracking, or begins the first (mmu/page_epochs.h). An access made
    /// between the call and the moment its vCPU hears of it belongs to the epoch that ends.
    void next_epoch();
    void stop_epochs() { epochs_.stop(); }
    PageEpochs& epochs() { return epochs_; }
    const PageEpochs& epochs() const { return epochs_; }
    /// Every store into the page takes the slow path and is told to the listener.
    void set_trace(Ppn ppn, bool on);
    void set_trace_listener(WriteTraceListener* listener) { trace_listener_ = listener; }
    void notify_traced_write(Ppn ppn) {
        if (trace_listener_) trace_listener_->traced_write(ppn);
    }

    /// What stood behind an entry of `ppn` that is not in the pmap any more: the machine page is released, a
    /// slot discarded. No lock held.
    void release_backing(Ppn ppn, PmapEntry entry);

    // --- the 'moving' bit (mmu/remap.h, mmu/fill_page.h) ---
    /// Clears it with its protect reason, and wakes those who wait in wait_for().
    void end_move(Ppn ppn);
    /// Blocks while the page is being remapped; false: cancelled meanwhile.
    bool wait_while_moving(Ppn ppn, std::stop_token cancel = {});

    Pmap& pmap() { return pmap_; }
    const Pmap& pmap() const { return pmap_; }
    MachinePool& pool() { return pool_; }
    Pager& pager() { return pager_; }
    SafepointDomain& safepoints() { return safepoints_; }
    VmId vm() const { return vm_; }
    /// FNV/xxHash of all RAM content in PPN order, untouched pages as zeros: equal for equal guest memories.
    u64 content_hash() const;

 private:
    friend class PinnedPage;
    MachinePool& pool_;
    Pager& pager_;
    VmId vm_;
    Pmap pmap_;
    SafepointDomain safepoints_;
    CodeWriteListener* code_listener_ = nullptr;
    u64 a20_mask_ = ~u64{0};
    // 64 marks per page, one for each line of 64 bytes.
    PpnTable code_marks_;
    PpnTable code_holders_;  // which vCPUs marked the page, by SafepointParticipant::number()
    PageEpochs epochs_;
    WriteTraceListener* trace_listener_ = nullptr;
    std::mutex move_mutex_;
    std::condition_variable_any move_ended_;
    std::vector<std::pair<Ppn, std::function<void()>>> move_waiters_;  // guarded by move_mutex_
    std::stop_source waits_;

    MemoryAnswer read_page(Ppn ppn, u32 offset, std::span<u8> to);
    MemoryAnswer write_page(Ppn ppn, u32 offset, std::span<const u8> from);
    /// Waits for what `answer` names; false: in vain.
    bool wait_after(MemoryAnswer answer);
    bool peek_page(Ppn ppn, u32 offset, std::span<u8> to) const;
    PmapEntry lock_unmoving(Ppn ppn);
    void forget_code(Ppn ppn);
    void make_leaves(Ppn first, u64 count);
    void drop_everything();
};

}  // namespace shadowbox
