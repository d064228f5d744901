// SPDX-License-Identifier: MIT
// Where pages lie that have no machine page: slots of 4 KiB in one file of bounded size. Knows nothing of
// guests. Slots are handed out in runs that lie together, so that what leaves together comes back by one
// read. A slot has references (a shared page is swapped once for all its owners), a generation that changes
// with each of its lives, and a checksum of what was written.
//
// Slot 0 is never handed out. All calls but read() and write() are short and may come from any thread; I/O is
// the caller's to do where nobody waits under a lock.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "core/host/file.h"
#include "mmu/page_types.h"

namespace shadowbox {

/// The medium, so that tests can have one that fails.
class SwapDevice {
 public:
    virtual ~SwapDevice() = default;
    virtual Expected<void> read(u64 offset, std::span<u8> to) = 0;
    virtual Expected<void> write(u64 offset, std::span<const u8> from) = 0;
};

/// A file that is made here, is not there already, and has no name as soon as it is open: however the process
/// ends, nothing stays behind. Pages go past the host's page cache where the file system can.
Expected<std::unique_ptr<SwapDevice>> make_swap_file(const std::string& path, u64 bytes);

class SwapStore {
 public:
    struct Run {
        u64 first = 0, count = 0;
    };
    struct Counts {
        u64 slots = 0, free = 0, written = 0, read = 0;  ///< written, read: pages since the start
    };

    /// `slots`: beside slot 0.
    SwapStore(std::unique_ptr<SwapDevice> device, u64 slots);

    /// Free slots that lie together, `wanted` at most, with one reference each: the first long enough stretch
    /// behind the last one handed out, or the longest. Nothing: the store is full.
    std::optional<Run> allocate(u64 wanted);
    u8 generation(u64 slot) const;
    void add_references(u64 slot, u64 count);
    /// One reference less; the last one frees the slot.
    void release(u64 slot);

    /// Pages from `first` on, all of them in use. After an error their content is undefined; they are still
    /// the caller's.
    Expected<void> write(u64 first, std::span<const u8> pages);
    /// Fails with kCorrupt where a page is not what was written.
    Expected<void> read(u64 first, std::span<u8> pages);

    Counts counts() const;
    /// Bytes of the store's own tables.
    u64 bytes() const { return slots_.size() * sizeof(Slot); }

 private:
    struct Slot {
        u32 references = 0;
        u32 checksum = 0;
        u8 generation = 0;
    };
    std::optional<Run> stretch(u64 from, u64 to, u64 wanted) const;

    const std::unique_ptr<SwapDevice> device_;
    mutable std::mutex mutex_;  // all below; never held across I/O
    std::vector<Slot> slots_;
    u64 cursor_ = 1;
    Counts counts_;
};

}  // namespace shadowbox
