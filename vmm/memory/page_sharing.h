// SPDX-License-Identifier: MIT
// Content-based page sharing (OSDI'02 4): looks at the guests' private pages in random order, so many a
// second of guest time, and lets pages of equal content have one machine page, copied when somebody writes.
//
//   look        hash of the content, nothing protected       zeros -> the zero page
//     | hash not known: a hint frame, and on
//     v
//   hint        the other page is hashed again; if it changed, the hint is ours now
//     | still the same
//     v
//   share       RemapBatch: both frozen, compared byte by byte, copy-on-write from now on
//
// Hashes are keyed by a secret of the process and by the guest's trust group: guests of different groups
// never share (but for the zero page), and no guest can make a collision on purpose. A false match costs a
// compare.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "vmm/machine/host.h"
#include "vmm/memory/content_index.h"
#include "vmm/memory/scan_order.h"

namespace shadowbox {

struct SharingRates {
    /// Pages a second of guest time of one guest that works (OSDI'02: 50 a guest, 200 a host).
    u64 busy = 50;
    /// Of one whose vCPUs all sleep. Under -icount guests count as busy, so that runs repeat.
    u64 idle = 2000;
    u64 most = 5000;  ///< of all guests
};

class PageSharing {
 public:
    /// Since the start, pages.
    struct Counts {
        u64 looked_at = 0;  ///< hashed
        u64 zero = 0;       ///< became the zero page
        u64 shared = 0;     ///< gave up their machine page for another's
        u64 stale = 0;      ///< hints whose page had changed
        u64 differed = 0;   ///< equal hashes, other bytes: written meanwhile, or a false match
        u64 refused = 0;    ///< wanted by a device, an instruction or another remap at that moment
        u64 rounds = 0;     ///< times that all of a guest was looked at
        u64 time_ns = 0;    ///< that looking and sharing took of a host thread
    };

    /// Looks at nothing before start() or scan().
    PageSharing(Host& host, const SharingRates& rates);
    ~PageSharing() { stop(); }
    PageSharing(const PageSharing&) = delete;
    PageSharing& operator=(const PageSharing&) = delete;

    /// As a service of the host, from now on; stop() leaves shared what is shared.
    void start();
    void stop();
    bool running() const;
    void set_rates(const SharingRates& rates);
    SharingRates rates() const;

    /// Looks at the next `pages` of each guest.
    void scan(u64 pages);

    Counts counts() const;
    /// Of one guest; zeros for one that nobody looked at.
    Counts counts(VmId vm) const;
    ContentIndex::Counts index_counts() const;
    /// Of its own tables.
    u64 bytes() const;

 private:
    struct Guest {
        ScanOrder order;
        double credit = 0;  // pages that it may be looked at, not yet used
        Counts counts;
    };
    /// Pages of one remap batch, and what is hoped of each.
    struct Batch;
    Guest& guest_of(VirtualMachine& vm);
    void forget_ended(const std::vector<VmHandle>& vms);
    void tick(u64 now);
    void scan_guest(const std::vector<VmHandle>& vms, const VmHandle& vm, u64 pages);
    ContentIndex& index();
    void look(Batch& batch, const VmHandle& vm, Ppn ppn);
    void finish(Batch& batch);
    u64 key_of(const VirtualMachine& vm) const;

    Host& host_;
    const u64 secret_;
    mutable std::mutex mutex_;  // all below; held while a batch runs, never inside guest code
    SharingRates rates_;
    std::optional<ContentIndex> index_;  // from the first look on: it takes memory
    std::map<VmId, Guest> guests_;
    Counts ended_;  // of guests that are gone
    std::optional<ServiceId> service_;
    u64 last_tick_ = 0;
};

}  // namespace shadowbox
