// SPDX-License-Identifier: MIT
// Safepoints (design section 3): how a thread that changes the physical map waits until no vCPU of a VM holds
// a stale host pointer. A vCPU is Outside (HLT, paused, waiting) or Inside guest code; Inside it polls its
// attention word at block ends, and a poll that was TAKEN is a safepoint.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "mmu/page_types.h"

namespace shadowbox {

class VcpuMmu;

/// What a remap batch asks vCPUs to forget before they answer.
struct DropRequest {
    std::vector<Ppn> ppns;     ///< drop all translations of these, or
    bool everything = false;   ///< all translations
    bool write_only = false;   ///< only the right to write
    bool code_marked = false;  ///< with write_only: who loses a right to write tells the CodeWriteListener,
                               ///< because it may have stored after the bytes were read for translation
    std::shared_ptr<std::atomic<u32>> unheard =
        nullptr;  ///< code_marked: vCPUs still to hear of it; made by post()
};

/// One vCPU's side. `attention` is the word the vCPU polls: any nonzero bit means "leave the fast path".
class SafepointParticipant {
 public:
    enum Attention : u32 {
        kAttentionSafepoint = 1,  ///< a DropRequest is pending
        kAttentionInterrupt = 2,  ///< an interrupt, NMI, INIT or SIPI may be deliverable
        kAttentionStop = 4,       ///< pause, stop or exclusive work
        kAttentionCode = 8,       ///< code invalidations from other threads are queued
    };
    /// Polled by the owner at block ends (relaxed load), set by anyone (release or stronger).
    std::atomic<u32> attention{0};

    /// Called on the vCPU thread around guest code. enter() first applies pending drop requests.
    void enter();
    void leave();
    /// At a taken poll: applies pending drop requests and acknowledges them.
    void poll();
    bool inside() const { return inside_.load(std::memory_order_acquire); }
    /// Distinct among the vCPUs of one domain, from 0.
    unsigned number() const { return number_; }

    /// Hazard slots: pages that an instruction waited for and will need when it restarts. Remapping skips
    /// them, so that two pages of one instruction cannot keep evicting each other. VcpuMmu::wait_for_page()
    /// adds; a slot ends by being overwritten, by clear_hazards(), or after some taken polls.
    void add_hazard(Ppn ppn);
    void clear_hazards();
    bool is_hazard(Ppn ppn) const;

 private:
    friend class SafepointDomain;
    class SafepointDomain* domain_ = nullptr;
    VcpuMmu* mmu_ = nullptr;
    unsigned number_ = 0;
    std::atomic<bool> inside_{false};
    std::vector<DropRequest> pending_;  // guarded by the domain's mutex
    u64 acknowledged_ = 0;              // guarded by the domain's mutex

    static constexpr unsigned kHazards = 8, kHazardPolls = 8;
    std::atomic<u64> hazards_[kHazards] = {};  // PPN + 1; 0: none
    unsigned next_hazard_ = 0, polls_since_hazard_ = 0;
};

/// Marks the vCPU Outside while it takes a lock that a remapping thread may hold (the VM's device lock), or
/// sleeps. The caller holds no host pointer of guest memory across it.
class OutsideScope {
 public:
    explicit OutsideScope(SafepointParticipant* participant)
        : participant_(participant && participant->inside() ? participant : nullptr) {
        if (participant_) participant_->leave();
    }
    ~OutsideScope() {
        if (participant_) participant_->enter();
    }
    OutsideScope(const OutsideScope&) = delete;
    OutsideScope& operator=(const OutsideScope&) = delete;

 private:
    SafepointParticipant* participant_;
};

class SafepointDomain {
 public:
    void add(SafepointParticipant& participant, VcpuMmu& mmu);
    void remove(SafepointParticipant& participant);
    /// Posts `request` to every vCPU and waits until each is Outside or has taken a safepoint since. `self`
    /// (the calling vCPU, at its own safepoint, or nullptr) applies it at once and is not waited for. The
    /// caller holds no lock that a vCPU inside guest code can wait for. When `self` is not given but the
    /// calling thread is inside guest code of this VM, that vCPU is taken.
    void drop_and_wait(const DropRequest& request, SafepointParticipant* self = nullptr);
    /// The two halves of drop_and_wait, so that a batch over several VMs waits for all of them at once.
    /// post() takes no time and may be called inside guest code; wait() takes what post() returned.
    /// `nobody_else` (optional) is told whether no other vCPU was inside guest code.
    u64 post(const DropRequest& request, SafepointParticipant* self = nullptr, bool* nobody_else = nullptr);
    void wait(u64 ticket, SafepointParticipant* self = nullptr);
    bool is_hazard(Ppn ppn) const;

    /// A VcpuMmu without a participant (tools, tests) belongs to a single-threaded program: requests are
    /// applied to it at once, by whoever posts them. VcpuMmu's constructor and destructor call these.
    void attach(VcpuMmu& mmu);
    void detach(VcpuMmu& mmu);
    /// The participant of the vCPU that is inside guest code on the calling thread, or nullptr.
    static SafepointParticipant* current();

 private:
    friend class SafepointParticipant;
    void apply_pending(SafepointParticipant& participant);  // on the participant's thread; takes the mutex
    void wake_waiters();
    mutable std::mutex mutex_;
    std::condition_variable acknowledged_changed_;
    std::vector<SafepointParticipant*> participants_;
    std::vector<VcpuMmu*> alone_;  // attached, without a participant
    u64 sequence_ = 0;
};

}  // namespace shadowbox
