// SPDX-License-Identifier: MIT
// The 16 MiB of the display adapter: RAM pages of the guest's own physical map, so that guests draw at RAM
// speed through BAR 0. While the BAR is not decoded the pages are parked at a place no guest uses. Changes of
// the map happen while no vCPU runs. Used by Vga (vga.h) only.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "core/archive.h"
#include "mmu/guest_memory.h"

namespace shadowbox {

class VgaMemory {
 public:
    static constexpr u32 kBytes = 16u << 20;
    static constexpr u64 kPages = kBytes / kPageSize;
    /// Half of the 40-bit space up: beyond any RAM and any BAR that firmware sets.
    static constexpr Ppn kParked{u64{1} << 27};
    using RunExclusive = std::function<void(std::function<void()>)>;

    VgaMemory(GuestMemory& memory, RunExclusive run_exclusive);

    /// BAR 0 moved (nullopt: not decoded). Takes effect before the guest's next instruction.
    void place(std::optional<u64> where);
    /// Where the pages are now.
    Ppn location() const { return Ppn(location_.load(std::memory_order_acquire)); }

    /// The window at A0000H shows at most kWindowPages, from page `first` on. Under the device lock.
    static constexpr unsigned kWindowPages = 64;  ///< four planes of 64 KiB
    void show(u64 first) { window_.store(first, std::memory_order_release); }
    /// Pins what it shows, so that no access to it finds a page away; what is in the way if they cannot be
    /// pinned now. From any thread, before the access, without the device lock.
    MemoryAnswer hold_window();
    /// The pages are the remapper's again.
    void let_window_go();

    // --- for the device; nothing beyond kBytes, and nothing that is away ---
    u8 load8(u32 offset);
    u32 load32(u32 offset);
    void store8(u32 offset, u8 value);
    void store32(u32 offset, u32 value);
    /// For renderers: makes nothing resident; what is beyond the end reads as zeros.
    void peek(u64 offset, std::span<u8> to) const;
    /// Zeros, of whole pages: as before they were ever touched. Takes effect before the guest's next
    /// instruction.
    void clear(u64 bytes);
    /// The location only: whoever restores guest memory restores the pages there.
    void serialize(Archive& archive);

 private:
    void move_to(Ppn to);
    bool is_free(Ppn first) const;
    Gpa at(u32 offset) const { return start_of(location()) + offset; }

    GuestMemory& memory_;
    RunExclusive run_exclusive_;
    static constexpr u64 kNowhere = ~u64{0};
    std::atomic<u64> window_{0}, held_{kNowhere};  // first pages: shown, and pinned whole
    std::mutex pins_mutex_;
    u64 pinned_ = kNowhere;         // guarded by pins_mutex_: the first page, and those from there on
    std::vector<PinnedPage> pins_;  // guarded by pins_mutex_
    std::atomic<u64> location_{kParked.value};  // changed by the exclusive work, without the device lock
};

}  // namespace shadowbox
