// SPDX-License-Identifier: MIT
// RemapBatch: see the header for the protocol. While a page's 'moving' bit is ours nobody else changes its
// state or machine page, so between the phases an entry needs no second look; only its lock, to be published.
#include "mmu/remap.h"

#include <algorithm>
#include <cstring>

#include "mmu/guest_access.h"

namespace shadowbox {

namespace {

constexpr u32 bit(PageState state) { return u32{1} << static_cast<unsigned>(state); }

/// Equality of frozen pages; through the accessor, since vCPUs may be reading them.
bool all_zero(const u8* host) {
    for (unsigned i = 0; i < kPageSize; i += 8) {
        if (guest_load<u64>(host + i)) return false;
    }
    return true;
}

}  // namespace

const char* remap_result_name(RemapResult result) {
    static const char* const kNames[] = {"pending", "done",    "pinned",  "busy",    "hazard",
                                         "state",   "differs", "no room", "declined"};
    return kNames[static_cast<unsigned>(result)];
}

RemapBatch::~RemapBatch() = default;

std::size_t RemapBatch::add(Operation operation) {
    VM_CHECK(!ran_);
    operations_.push_back(std::move(operation));
    return operations_.size() - 1;
}

std::size_t RemapBatch::move(GuestMemory& memory, Ppn ppn) {
    return add({Kind::kMove, {&memory, ppn}, {}, 0, {}, {}});
}
std::size_t RemapBatch::share(GuestMemory& memory, Ppn ppn, GuestMemory& other, Ppn other_ppn) {
    return add({Kind::kShare, {&memory, ppn}, {&other, other_ppn}, 0, {}, {}});
}
std::size_t RemapBatch::merge_zero(GuestMemory& memory, Ppn ppn) {
    return add({Kind::kMergeZero, {&memory, ppn}, {}, 0, {}, {}});
}
std::size_t RemapBatch::duplicate(GuestMemory& memory, Ppn ppn) {
    return add({Kind::kDuplicate, {&memory, ppn}, {}, 0, {}, {}});
}
std::size_t RemapBatch::protect(GuestMemory& memory, Ppn ppn, u8 reasons) {
    return add({Kind::kProtect, {&memory, ppn}, {}, reasons, {}, {}});
}
std::size_t RemapBatch::evict(GuestMemory& memory, Ppn ppn, Evict evict) {
    return add({Kind::kEvict, {&memory, ppn}, {}, 0, std::move(evict), {}});
}

u64 RemapBatch::done() const {
    return static_cast<u64>(
        std::count_if(operations_.begin(), operations_.end(),
                      [](const Operation& operation) { return operation.result == RemapResult::kDone; }));
}

void RemapBatch::run() {
    VM_CHECK(!ran_);
    ran_ = true;
    for (Operation& operation : operations_) operation.result = begin(operation);
    drop_and_wait(true);
    for (Operation& operation : operations_) {
        if (operation.result == RemapResult::kPending) operation.result = act(operation);
    }
    drop_and_wait(false);
    finish();
}

// --- phase 1 ---

u32 RemapBatch::states_of(Kind kind) {
    switch (kind) {
        case Kind::kDuplicate: return bit(PageState::kZero) | bit(PageState::kShared);
        case Kind::kShare: return bit(PageState::kResident) | bit(PageState::kShared);
        default: return bit(PageState::kResident);
    }
}

RemapResult RemapBatch::begin(Operation& operation) {
    if (operation.kind == Kind::kProtect) {
        const Page& page = operation.page;
        PmapEntry entry = page.memory->pmap().lock(page.ppn);
        if (entry.state() == PageState::kMmio) return RemapResult::kState;
        page.memory->pmap().unlock(page.ppn, entry.protect(operation.reasons));
        if (entry.cached()) add_drop(page);
        return RemapResult::kPending;
    }
    u32 states = states_of(operation.kind);
    if (RemapResult result = own(operation.page, states); result != RemapResult::kPending) return result;
    if (operation.kind != Kind::kShare) return RemapResult::kPending;
    return own(operation.other, states);
}

bool RemapBatch::owns(Page page) const {
    return std::any_of(owned_.begin(), owned_.end(), [&](const Page& owned) {
        return owned.memory == page.memory && owned.ppn == page.ppn;
    });
}

/// Sets the page's 'moving' bit and protects it; kPending if it is ours now.
RemapResult RemapBatch::own(Page page, u32 states) {
    Pmap& pmap = page.memory->pmap();
    PmapEntry entry = pmap.lock(page.ppn);
    if (entry.state() == PageState::kMmio) return RemapResult::kState;
    RemapResult result = RemapResult::kPending;
    bool ours = false;
    if (!(states & bit(entry.state()))) {
        result = RemapResult::kState;
    } else if (entry.moving()) {
        ours = owns(page);
        if (!ours) result = RemapResult::kBusy;
    } else if (entry.state() != PageState::kZero && page.memory->pool().pinned(entry.mpn())) {
        result = RemapResult::kPinned;
    } else if (page.memory->safepoints().is_hazard(page.ppn)) {
        result = RemapResult::kHazard;
    }
    bool take = result == RemapResult::kPending && !ours;
    pmap.unlock(page.ppn, take ? entry.with(PmapEntry::kMoving).protect(kProtectCow) : entry);
    if (!take) return result;
    owned_.push_back(page);
    // Not 'written' but 'cached': a store through the slow path may be under way without an entry for it.
    if (entry.cached() && entry.state() == PageState::kResident) add_drop(page);
    return result;
}

// --- phases 2 and 4 ---

void RemapBatch::add_drop(Page page) { to_drop_.push_back(page); }

void RemapBatch::drop_and_wait(bool write_only) {
    std::sort(to_drop_.begin(), to_drop_.end(),
              [](const Page& a, const Page& b) { return a.memory < b.memory; });
    std::vector<std::pair<SafepointDomain*, u64>> tickets;
    for (std::size_t i = 0; i < to_drop_.size();) {
        GuestMemory* memory = to_drop_[i].memory;
        DropRequest request;
        request.write_only = write_only;
        for (; i < to_drop_.size() && to_drop_[i].memory == memory; ++i)
            request.ppns.push_back(to_drop_[i].ppn);
        tickets.emplace_back(&memory->safepoints(), memory->safepoints().post(request));
    }
    to_drop_.clear();
    for (auto& [domain, ticket] : tickets) domain->wait(ticket);
}

// --- phase 3 ---

RemapResult RemapBatch::act(Operation& operation) {
    const Page& page = operation.page;
    MachinePool& pool = page.memory->pool();
    PmapEntry entry = page.memory->pmap().load_stable(page.ppn);
    // An earlier operation of this batch may have taken the page elsewhere.
    if (operation.kind != Kind::kProtect && !(states_of(operation.kind) & bit(entry.state())))
        return RemapResult::kState;
    switch (operation.kind) {
        case Kind::kProtect: return RemapResult::kDone;
        case Kind::kMove:
        case Kind::kDuplicate: return act_copy(page);
        case Kind::kMergeZero:
            if (!all_zero(pool.host(entry.mpn()))) return RemapResult::kDiffers;
            publish(page, PageState::kZero, pool.zero_page().value);
            return RemapResult::kDone;
        case Kind::kShare: return act_share(operation);
        case Kind::kEvict: return act_evict(operation);
    }
    return RemapResult::kState;
}

RemapResult RemapBatch::act_copy(Page page) {
    MachinePool& pool = page.memory->pool();
    PmapEntry entry = page.memory->pmap().load_stable(page.ppn);
    std::optional<Mpn> mpn = pool.allocate(page.memory->vm(), page.ppn);
    if (!mpn) return RemapResult::kNoRoom;
    if (entry.state() != PageState::kZero) guest_copy_page(pool.host(*mpn), pool.host(entry.mpn()));
    publish(page, PageState::kResident, mpn->value);
    return RemapResult::kDone;
}

RemapResult RemapBatch::act_share(Operation& operation) {
    Page page = operation.page, other = operation.other;
    MachinePool& pool = page.memory->pool();
    Pmap& other_pmap = other.memory->pmap();
    PmapEntry mine = page.memory->pmap().load_stable(page.ppn);
    PmapEntry theirs = other_pmap.load_stable(other.ppn);
    if (&pool != &other.memory->pool() || !(states_of(Kind::kShare) & bit(theirs.state())))
        return RemapResult::kState;
    if (mine.mpn() == theirs.mpn()) return RemapResult::kDone;
    if (std::memcmp(pool.host(mine.mpn()), pool.host(theirs.mpn()), kPageSize) != 0)
        return RemapResult::kDiffers;
    pool.retain(theirs.mpn(), page.memory->vm(), page.ppn);
    // The other page keeps its machine page: pointers for reading stay good, those for writing went in
    // phase 2.
    theirs = other_pmap.lock(other.ppn);
    other_pmap.unlock(other.ppn, theirs.with_state(PageState::kShared));
    publish(page, PageState::kShared, theirs.mpn().value);
    return RemapResult::kDone;
}

RemapResult RemapBatch::act_evict(Operation& operation) {
    const Page& page = operation.page;
    PmapEntry entry = page.memory->pmap().load_stable(page.ppn);
    const u8* host = page.memory->pool().host(entry.mpn());
    std::optional<PmapEntry> instead = operation.evict(std::span<const u8, kPageSize>(host, kPageSize));
    if (!instead) return RemapResult::kDeclined;
    VM_CHECK(!instead->has_mpn() && instead->state() != PageState::kMmio);
    publish(page, instead->state(), instead->slot());
    // Bytes that come back later are the same bytes, except where the guest gave them up.
    bool lost = instead->state() == PageState::kBallooned || instead->state() == PageState::kUntouched;
    if (lost) page.memory->notify_code_write(page.ppn, 0, kPageSize);
    return RemapResult::kDone;
}

/// The new entry, still 'moving' and protected; the old machine page is released at the end.
void RemapBatch::publish(Page page, PageState state, u64 number) {
    Pmap& pmap = page.memory->pmap();
    PmapEntry entry = pmap.lock(page.ppn);
    if (entry.cached()) add_drop(page);
    if (entry.state() != PageState::kZero) replaced_.push_back({page, entry.mpn()});
    pmap.unlock(page.ppn, entry.with_state(state).with_number(number).without(PmapEntry::kCached |
                                                                              PmapEntry::kWritten));
}

// --- phase 5 ---

void RemapBatch::finish() {
    for (const Page& page : owned_) {
        PageState state = page.memory->pmap().load_stable(page.ppn).state();
        bool read_only = state == PageState::kShared || state == PageState::kZero;
        page.memory->end_move(page.ppn, read_only ? 0 : u64{kProtectCow} << PmapEntry::kReasonShift);
    }
    for (const Replaced& replaced : replaced_) {
        const Page& page = replaced.page;
        page.memory->pool().release(replaced.old, page.memory->vm(), page.ppn);
    }
}

}  // namespace shadowbox
