// SPDX-License-Identifier: MIT
// Safepoints. The handshake between leave()/enter() and post()/wait() is Dekker's: each side first publishes
// its own word (inside_, attention), then reads the other's, all sequentially consistent, so at least one of
// them sees the other.
#include "mmu/safepoint.h"

#include <algorithm>

#include "core/check.h"
#include "mmu/vcpu_mmu.h"

namespace shadowbox {

namespace {
thread_local SafepointParticipant* inside_on_this_thread = nullptr;
/// A sleeping vCPU would collect requests for ever; beyond this many it is told to forget everything, and
/// reports what it owes.
constexpr std::size_t kMostPending = 64;
}  // namespace

SafepointParticipant* SafepointDomain::current() { return inside_on_this_thread; }

// --- the vCPU's side ---

void SafepointParticipant::enter() {
    inside_.store(true, std::memory_order_seq_cst);
    inside_on_this_thread = this;
    while (attention.load(std::memory_order_seq_cst) & kAttentionSafepoint) {
        if (!domain_) {
            attention.fetch_and(~static_cast<u32>(kAttentionSafepoint));
            return;
        }
        domain_->apply_pending(*this);
    }
}

void SafepointParticipant::leave() {
    inside_.store(false, std::memory_order_seq_cst);
    if (inside_on_this_thread == this) inside_on_this_thread = nullptr;
    if (domain_ && attention.load(std::memory_order_seq_cst) & kAttentionSafepoint) domain_->wake_waiters();
}

void SafepointParticipant::poll() {
    if (!(attention.load(std::memory_order_acquire) & kAttentionSafepoint)) return;
    if (domain_) domain_->apply_pending(*this);
    if (++polls_since_hazard_ == kHazardPolls) clear_hazards();
}

void SafepointParticipant::add_hazard(Ppn ppn) {
    hazards_[next_hazard_++ % kHazards].store(ppn.value + 1, std::memory_order_release);
    polls_since_hazard_ = 0;
}

void SafepointParticipant::clear_hazards() {
    for (std::atomic<u64>& slot : hazards_) slot.store(0, std::memory_order_release);
}

bool SafepointParticipant::is_hazard(Ppn ppn) const {
    for (const std::atomic<u64>& slot : hazards_) {
        if (slot.load(std::memory_order_acquire) == ppn.value + 1) return true;
    }
    return false;
}

// --- the domain ---

void SafepointDomain::attach(VcpuMmu& mmu) {
    std::lock_guard lock(mutex_);
    alone_.push_back(&mmu);
}

void SafepointDomain::detach(VcpuMmu& mmu) {
    std::lock_guard lock(mutex_);
    std::erase(alone_, &mmu);
}

void SafepointDomain::add(SafepointParticipant& participant, VcpuMmu& mmu) {
    std::lock_guard lock(mutex_);
    VM_CHECK(participant.domain_ == nullptr);
    std::erase(alone_, &mmu);
    participant.domain_ = this;
    auto taken = [&](unsigned number) {
        return std::any_of(participants_.begin(), participants_.end(),
                           [&](const SafepointParticipant* other) { return other->number_ == number; });
    };
    participant.number_ = 0;
    while (taken(participant.number_)) ++participant.number_;
    participant.mmu_ = &mmu;
    participant.acknowledged_ = sequence_;
    mmu.participant_ = &participant;
    participants_.push_back(&participant);
}

void SafepointDomain::remove(SafepointParticipant& participant) {
    std::lock_guard lock(mutex_);
    if (participant.domain_ != this) return;
    std::erase(participants_, &participant);
    participant.mmu_->participant_ = nullptr;
    participant.mmu_->apply(DropRequest{{}, true});
    alone_.push_back(participant.mmu_);
    participant.pending_.clear();
    participant.attention.fetch_and(~static_cast<u32>(SafepointParticipant::kAttentionSafepoint));
    participant.domain_ = nullptr;
    acknowledged_changed_.notify_all();
}

void SafepointDomain::wake_waiters() {
    std::lock_guard lock(mutex_);
    acknowledged_changed_.notify_all();
}

void SafepointDomain::apply_pending(SafepointParticipant& participant) {
    std::vector<DropRequest> requests;
    u64 seen;
    {
        std::lock_guard lock(mutex_);
        requests.swap(participant.pending_);
        seen = sequence_;
        participant.attention.fetch_and(~static_cast<u32>(SafepointParticipant::kAttentionSafepoint));
    }
    VcpuMmu& mmu = *participant.mmu_;
    GuestMemory& memory = mmu.memory();
    bool wrote = false;
    for (const DropRequest& request : requests) {
        wrote |= mmu.apply(request);
        if (!request.code_marked) continue;
        // The last one to hear knows that nobody can store into the page unasked any more.
        if (request.unheard->fetch_sub(1) == 1) memory.forget_write_rights(request.ppns);
        CodeWriteListener* listener = memory.code_listener();
        if (!wrote || !listener) continue;
        for (Ppn ppn : request.ppns) listener->code_written(ppn, 0, kPageSize);
    }
    std::lock_guard lock(mutex_);
    participant.acknowledged_ = std::max(participant.acknowledged_, seen);
    acknowledged_changed_.notify_all();
}

u64 SafepointDomain::post(const DropRequest& request, SafepointParticipant* self, bool* nobody_else) {
    SafepointParticipant* here = inside_on_this_thread;
    if (!self && here && here->domain_ == this) self = here;
    u64 ticket;
    bool heard_by_all;
    {
        std::lock_guard lock(mutex_);
        ticket = ++sequence_;
        auto unheard = request.code_marked ? std::make_shared<std::atomic<u32>>(1) : nullptr;
        for (SafepointParticipant* participant : participants_) {
            if (participant == self) continue;
            std::vector<DropRequest>& pending = participant->pending_;
            pending.push_back(request);
            pending.back().unheard = unheard;
            participant->attention.fetch_or(SafepointParticipant::kAttentionSafepoint);
            if (participant->inside_.load(std::memory_order_seq_cst)) {
                if (unheard) unheard->fetch_add(1);
                continue;
            }
            // Outside: it applies the request before its next store, so it has nothing to report, and the
            // kind of request no longer matters.
            pending.back().code_marked = false;
            if (pending.size() <= kMostPending) continue;
            // Those that it still owes a report for (posted while it was inside) stay what they are.
            std::erase_if(pending, [](const DropRequest& old) { return !old.code_marked; });
            pending.push_back(DropRequest{{}, true});
        }
        for (VcpuMmu* mmu : alone_) mmu->apply(request);
        heard_by_all = !unheard || unheard->load() == 1;
        // From here on the count is the others' alone; they cannot have started, for want of the mutex.
        if (unheard) unheard->fetch_sub(1);
    }
    if (self) self->mmu_->apply(request);
    if (nobody_else) *nobody_else = heard_by_all;
    return ticket;
}

void SafepointDomain::wait(u64 ticket, SafepointParticipant* self) {
    SafepointParticipant* here = inside_on_this_thread;
    if (!self && here && here->domain_ == this) self = here;
    // While waiting this vCPU is as good as outside: two vCPUs may wait for each other.
    OutsideScope outside(self);
    std::unique_lock lock(mutex_);
    acknowledged_changed_.wait(lock, [&] {
        for (const SafepointParticipant* participant : participants_) {
            if (participant == self || participant->acknowledged_ >= ticket) continue;
            if (participant->inside_.load(std::memory_order_seq_cst)) return false;
        }
        return true;
    });
}

void SafepointDomain::drop_and_wait(const DropRequest& request, SafepointParticipant* self) {
    wait(post(request, self), self);
}

bool SafepointDomain::is_hazard(Ppn ppn) const {
    std::lock_guard lock(mutex_);
    for (const SafepointParticipant* participant : participants_) {
        if (participant->is_hazard(ppn)) return true;
    }
    return false;
}

}  // namespace shadowbox
