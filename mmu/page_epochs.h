// SPDX-License-Identifier: MIT
// Which page was accessed and which was written, exactly, by epochs: what sampling estimates, known (design
// section 3). An epoch ends by dropping all front-TLB entries; the first access of each page after that comes
// through the slow path, which stamps the page with the epoch's number. Only a real write makes an entry with
// the right to write, so 'dirtied' is as exact as 'accessed'. While tracking is off nothing is stamped or
// allocated.
//
// Two 32-bit numbers a page, beside the pmap: 0.2 % of the guest's memory, taken as pages are stamped.
#pragma once

#include <atomic>

#include "mmu/ppn_table.h"

namespace shadowbox {

class PageEpochs {
 public:
    /// Numbers of epochs count from 1; 0: not since tracking began.
    struct Stamp {
        u32 accessed = 0, dirtied = 0;
        friend bool operator==(const Stamp&, const Stamp&) = default;
    };
    /// Pages stamped in one epoch.
    struct Counts {
        u64 accessed = 0, dirtied = 0;
    };

    bool on() const { return now_.load(std::memory_order_relaxed) != 0; }
    /// The running epoch; 0: off.
    u32 now() const { return now_.load(std::memory_order_relaxed); }
    void stamp(Ppn ppn, bool write) {
        if (__builtin_expect(on(), 0)) stamp_now(ppn, write);
    }
    Stamp at(Ppn ppn) const;
    /// Of the epoch that ended last, and of the running one up to now.
    Counts ended() const { return {ended_accessed_.load(), ended_dirtied_.load()}; }
    Counts running() const { return {accessed_.load(), dirtied_.load()}; }

    // --- GuestMemory's: it drops the translations ---
    void make_leaves(Ppn first, u64 count) { table_.make_leaves(first, count); }
    /// Ends the running epoch (from off: begins the first).
    void next();
    void stop();

 private:
    void stamp_now(Ppn ppn, bool write);
    std::atomic<u32> now_{0};
    std::atomic<u32> last_{0};  // the latest epoch there was; numbers are not used again
    PpnTable table_;
    std::atomic<u64> accessed_{0}, dirtied_{0}, ended_accessed_{0}, ended_dirtied_{0};
};

}  // namespace shadowbox
