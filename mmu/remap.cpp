// SPDX-License-Identifier: MIT
// RemapBatch: the phases; see the header. What the operations do is in remap_operations.cpp.
#include "mmu/remap.h"

#include <algorithm>

namespace shadowbox {

RemapBatch::RemapBatch() = default;
RemapBatch::~RemapBatch() = default;

template <class Operation, class... Arguments>
Operation& RemapBatch::add(Arguments&&... arguments) {
    VM_CHECK(!ran_);
    auto operation = std::make_unique<Operation>(std::forward<Arguments>(arguments)...);
    Operation& added = *operation;
    operations_.push_back(std::move(operation));
    return added;
}

RemapOperation& RemapBatch::move(GuestMemory& memory, Ppn ppn, PageZone zone) {
    return add<MovePage>(memory, ppn, zone);
}
RemapOperation& RemapBatch::share(GuestMemory& memory, Ppn ppn, GuestMemory& other, Ppn other_ppn) {
    return add<SharePages>(PageOf{&memory, ppn}, PageOf{&other, other_ppn});
}
RemapOperation& RemapBatch::merge_zero(GuestMemory& memory, Ppn ppn) { return add<MergeZero>(memory, ppn); }
RemapOperation& RemapBatch::duplicate(GuestMemory& memory, Ppn ppn) {
    return add<DuplicatePage>(memory, ppn);
}
RemapOperation& RemapBatch::protect(GuestMemory& memory, Ppn ppn, u8 reasons) {
    return add<ProtectPage>(memory, ppn, reasons);
}
RemapOperation& RemapBatch::evict(GuestMemory& memory, Ppn ppn, EvictPage::Evict evict) {
    return add<EvictPage>(memory, ppn, std::move(evict));
}
RemapOperation& RemapBatch::drop(GuestMemory& memory, Ppn ppn, PageState to) {
    return add<DropPage>(memory, ppn, to);
}
EvictShared& RemapBatch::evict_shared(MachinePool& pool, Mpn mpn, FindGuest find, EvictShared::Evict evict) {
    return add<EvictShared>(pool, mpn, std::move(find), std::move(evict));
}
FreezePage& RemapBatch::freeze(GuestMemory& memory, Ppn ppn) { return add<FreezePage>(memory, ppn); }
SamplePage& RemapBatch::sample(GuestMemory& memory, Ppn ppn) { return add<SamplePage>(memory, ppn); }
StagePage& RemapBatch::stage(GuestMemory& memory, Ppn ppn) { return add<StagePage>(memory, ppn); }
RemapOperation& RemapBatch::evict_staged(StagedPage staged, PmapEntry instead) {
    return add<EvictStaged>(std::move(staged), instead);
}

u64 RemapBatch::done() const {
    return static_cast<u64>(std::count_if(operations_.begin(), operations_.end(), [](const auto& operation) {
        return operation->result_ == RemapResult::kDone;
    }));
}

void RemapBatch::run() {
    VM_CHECK(!ran_);
    ran_ = true;
    for (auto& operation : operations_) operation->result_ = operation->begin(*this);
    drop_and_wait(write_drops_, true);
    for (auto& operation : operations_) {
        if (operation->result_ == RemapResult::kPending) operation->result_ = operation->act(*this);
    }
    drop_and_wait(drops_, false);
    finish();
}

// --- phase 1 ---

bool RemapBatch::owns(PageOf page) const {
    return std::any_of(owned_.begin(), owned_.end(), [&](const PageOf& owned) {
        return owned.memory == page.memory && owned.ppn == page.ppn;
    });
}

RemapResult RemapBatch::own(PageOf page, u32 states) {
    Pmap& pmap = page.memory->pmap();
    PmapEntry entry = pmap.lock(page.ppn);
    if (entry.state() == PageState::kMmio) return RemapResult::kState;
    RemapResult result = RemapResult::kPending;
    bool ours = false;
    if (!(states & state_bit(entry.state()))) {
        result = RemapResult::kState;
    } else if (entry.moving()) {
        ours = owns(page);
        if (!ours) result = RemapResult::kBusy;
    } else if (entry.has_mpn() && entry.state() != PageState::kZero &&
               page.memory->pool().pinned(entry.mpn())) {
        result = RemapResult::kPinned;
    } else if (page.memory->safepoints().is_hazard(page.ppn)) {
        result = RemapResult::kHazard;
    }
    bool take = result == RemapResult::kPending && !ours;
    pmap.unlock(page.ppn, take ? entry.with(PmapEntry::kMoving).protect(kProtectMove) : entry);
    if (!take) return result;
    owned_.push_back(page);
    // Not 'written' but 'cached': a store through the slow path may be under way without an entry for it.
    if (entry.cached() && entry.state() == PageState::kResident) drop_writes(page);
    return result;
}

// --- phases 2 and 4 ---

void RemapBatch::drop_and_wait(std::vector<PageOf>& pages, bool write_only) {
    std::sort(pages.begin(), pages.end(),
              [](const PageOf& a, const PageOf& b) { return a.memory < b.memory; });
    std::vector<std::pair<SafepointDomain*, u64>> tickets;
    for (std::size_t i = 0; i < pages.size();) {
        GuestMemory* memory = pages[i].memory;
        DropRequest request;
        request.write_only = write_only;
        for (; i < pages.size() && pages[i].memory == memory; ++i) request.ppns.push_back(pages[i].ppn);
        tickets.emplace_back(&memory->safepoints(), memory->safepoints().post(request));
    }
    pages.clear();
    for (auto& [domain, ticket] : tickets) domain->wait(ticket);
}

// --- phase 3 ---

void RemapBatch::publish(PageOf page, PmapEntry instead) {
    Pmap& pmap = page.memory->pmap();
    PmapEntry entry = pmap.lock(page.ppn);
    if (entry.cached()) drop_all(page);
    replaced_.push_back({page, entry});
    const bool several = instead.state() == PageState::kShared || instead.state() == PageState::kZero;
    const PmapEntry now = entry.with_state(instead.state())
                              .with_number(instead.number())
                              .without(PmapEntry::kCached | PmapEntry::kWritten);
    pmap.unlock(page.ppn, several ? now.protect(kProtectCow) : now.unprotect(kProtectCow));
}

void RemapBatch::publish_shared(PageOf page) {
    Pmap& pmap = page.memory->pmap();
    // Pointers for reading stay good, those for writing went in phase 2.
    PmapEntry entry = pmap.lock(page.ppn);
    pmap.unlock(page.ppn, entry.with_state(PageState::kShared).protect(kProtectCow));
}

// --- phase 5 ---

void RemapBatch::finish() {
    for (const PageOf& page : owned_) page.memory->end_move(page.ppn);
    for (const Replaced& replaced : replaced_)
        replaced.page.memory->release_backing(replaced.page.ppn, replaced.old);
}

}  // namespace shadowbox
