// SPDX-License-Identifier: MIT
// Demand zero and copy-on-write breaks. A new machine page is taken, and touched for the first time, before
// the PPN lock: the host may have to clear 2 MiB for it.
#include "mmu/fill_page.h"

#include <utility>

#include "mmu/guest_access.h"

namespace shadowbox {

namespace {

constexpr u64 kFresh = PmapEntry::kCached | PmapEntry::kWritten;
constexpr u8 kOwnPage = kProtectCow | kProtectMove;

/// The entry for a machine page that no vCPU has seen yet: other protect reasons stay.
PmapEntry private_entry(PmapEntry before, Mpn mpn) {
    return before.with_state(PageState::kResident).with_mpn(mpn).unprotect(kOwnPage).without(kFresh);
}

bool reads_as_zeros(PageState state) {
    return state == PageState::kUntouched || state == PageState::kBallooned;
}
bool breakable(PageState state) { return state == PageState::kZero || state == PageState::kShared; }
bool is_elsewhere(PageState state) {
    return state == PageState::kSwapped || state == PageState::kCompressed || state == PageState::kPatched;
}

/// A machine page allocated before the PPN lock; goes back if it was not needed.
class SpareFrame {
 public:
    explicit SpareFrame(GuestMemory& memory, Ppn ppn) : memory_(memory), ppn_(ppn) {}
    SpareFrame(const SpareFrame&) = delete;
    SpareFrame& operator=(const SpareFrame&) = delete;
    ~SpareFrame() {
        if (mpn_) memory_.pool().release(*mpn_, memory_.vm(), ppn_);
    }
    /// false: the pool is exhausted.
    bool get() {
        if (!mpn_) mpn_ = memory_.pool().allocate(memory_.vm(), ppn_);
        return mpn_.has_value();
    }
    explicit operator bool() const { return mpn_.has_value(); }
    Mpn take() { return *std::exchange(mpn_, std::nullopt); }

 private:
    GuestMemory& memory_;
    Ppn ppn_;
    std::optional<Mpn> mpn_;
};

/// One try under the lock. nullopt: a frame is needed first.
std::optional<PageOutcome> try_fill(GuestMemory& memory, Ppn ppn, PageAccess access, SpareFrame& spare) {
    Pmap& pmap = memory.pmap();
    MachinePool& pool = memory.pool();
    const bool write = access != PageAccess::kRead;
    PmapEntry entry = pmap.lock(ppn);
    if (entry.state() == PageState::kMmio) return PageOutcome::kReady;
    auto leave = [&](PageOutcome outcome, PmapEntry now) {
        pmap.unlock(ppn, now);
        return outcome;
    };
    if (entry.moving())
        return leave(entry.has_mpn() && !write ? PageOutcome::kReady : PageOutcome::kWait, entry);
    if (reads_as_zeros(entry.state()) && !write) {
        return leave(PageOutcome::kReady, entry.with_state(PageState::kZero)
                                              .with_mpn(pool.zero_page())
                                              .protect(kProtectCow)
                                              .without(kFresh));
    }
    if (is_elsewhere(entry.state())) return leave(PageOutcome::kRefused, entry);
    if (!write || !(reads_as_zeros(entry.state()) || breakable(entry.state())))
        return leave(PageOutcome::kReady, entry);
    const bool shared = entry.state() == PageState::kShared;
    if (shared && pool.claim_private(entry.mpn(), memory.vm(), ppn)) {
        // The others left. The machine page stays, so pointers to it stay good.
        return leave(PageOutcome::kReady, entry.with_state(PageState::kResident).unprotect(kProtectCow));
    }
    if (entry.cached() && breakable(entry.state()))
        return leave(pool.available() || spare ? PageOutcome::kWait : PageOutcome::kRefused, entry);
    if (!spare) {
        pmap.unlock(ppn, entry);
        return std::nullopt;
    }
    Mpn mpn = spare.take();
    if (shared && access != PageAccess::kOverwrite) guest_copy_page(pool.host(mpn), pool.host(entry.mpn()));
    pmap.unlock(ppn, private_entry(entry, mpn));
    if (shared) pool.release(entry.mpn(), memory.vm(), ppn);
    return PageOutcome::kReady;
}

}  // namespace

PageOutcome fill_page(GuestMemory& memory, Ppn ppn, PageAccess access) {
    SpareFrame spare(memory, ppn);
    for (;;) {
        if (std::optional<PageOutcome> outcome = try_fill(memory, ppn, access, spare)) return *outcome;
        if (!spare.get()) return PageOutcome::kRefused;
    }
}

bool finish_fill(GuestMemory& memory, Ppn ppn, std::stop_token cancel) {
    Pmap& pmap = memory.pmap();
    MachinePool& pool = memory.pool();
    // The frame first: see above. Nobody is in a hurry here, so it costs nothing to find it was not needed.
    SpareFrame spare(memory, ppn);
    if (breakable(pmap.load_stable(ppn).state())) spare.get();
    PmapEntry entry = pmap.lock(ppn);
    if (entry.state() == PageState::kMmio) return true;
    if (entry.moving()) {
        pmap.unlock(ppn, entry);
        return memory.wait_while_moving(ppn, cancel);
    }
    if (!breakable(entry.state()) || !spare) {
        pmap.unlock(ppn, entry);
        return true;
    }
    Mpn mpn = spare.take();
    if (entry.state() == PageState::kShared) guest_copy_page(pool.host(mpn), pool.host(entry.mpn()));
    // Old and new have equal bytes and neither can be written, so it does not matter which one a vCPU reads
    // until all have forgotten the old one.
    pmap.unlock(ppn, private_entry(entry, mpn).protect(kProtectMove).with(PmapEntry::kMoving));
    memory.safepoints().drop_and_wait(DropRequest{{ppn}});
    memory.end_move(ppn);
    if (entry.state() == PageState::kShared) pool.release(entry.mpn(), memory.vm(), ppn);
    return true;
}

// --- PageFill ---

PageFill PageFill::take(GuestMemory& memory, Ppn ppn) {
    PmapEntry entry = memory.pmap().lock(ppn);
    if (entry.state() == PageState::kMmio) return {};
    const bool take = is_elsewhere(entry.state()) && !entry.moving();
    memory.pmap().unlock(ppn, take ? entry.with(PmapEntry::kMoving) : entry);
    return take ? PageFill(memory, ppn, entry) : PageFill();
}

PageFill::PageFill(PageFill&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), ppn_(other.ppn_), entry_(other.entry_) {}

PageFill& PageFill::operator=(PageFill&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(ppn_, other.ppn_);
    std::swap(entry_, other.entry_);
    return *this;
}

PageFill::~PageFill() {
    if (memory_) memory_->end_move(ppn_);
}

void PageFill::install(Mpn mpn) {
    PmapEntry entry = memory_->pmap().lock(ppn_);
    memory_->pmap().unlock(ppn_, private_entry(entry, mpn));
    std::exchange(memory_, nullptr)->end_move(ppn_);
}

}  // namespace shadowbox
