// SPDX-License-Identifier: MIT
#include "mmu/remap_operations.h"

#include <cstring>
#include <utility>

#include "mmu/guest_access.h"
#include "mmu/remap.h"

namespace shadowbox {

namespace {

/// Equality of frozen pages; through the accessor, since vCPUs may be reading them.
bool all_zero(const u8* host) {
    for (unsigned i = 0; i < kPageSize; i += 8) {
        if (guest_load<u64>(host + i)) return false;
    }
    return true;
}

std::span<const u8, kPageSize> content_of(MachinePool& pool, Mpn mpn) {
    return std::span<const u8, kPageSize>(pool.host(mpn), kPageSize);
}

/// Gives the owned page a machine page of its own with the content of `entry`.
RemapResult copy_to_new(RemapBatch& batch, PageOf page, PmapEntry entry, PageZone zone) {
    MachinePool& pool = page.memory->pool();
    std::optional<Mpn> mpn = pool.allocate({{page.memory->vm(), page.ppn}, PagePurpose::kGuest, zone});
    if (!mpn) return RemapResult::kNoRoom;
    if (entry.state() != PageState::kZero) guest_copy_page(pool.host(*mpn), pool.host(entry.mpn()));
    batch.publish(page, PmapEntry::of(PageState::kResident, mpn->value));
    return RemapResult::kDone;
}

}  // namespace

const char* remap_result_name(RemapResult result) {
    static const char* const kNames[] = {"pending", "done",    "pinned",  "busy",    "hazard",
                                         "state",   "differs", "no room", "declined"};
    return kNames[static_cast<unsigned>(result)];
}

RemapResult OnePage::begin(RemapBatch& batch) { return batch.own(page_, states_); }

RemapResult OnePage::act(RemapBatch& batch) {
    PmapEntry entry = page_.memory->pmap().load_stable(page_.ppn);
    return states_ & state_bit(entry.state()) ? act_on(batch, entry) : RemapResult::kState;
}

RemapResult MovePage::act_on(RemapBatch& batch, PmapEntry entry) {
    return copy_to_new(batch, page_, entry, zone_);
}

RemapResult DuplicatePage::act_on(RemapBatch& batch, PmapEntry entry) {
    return copy_to_new(batch, page_, entry, PageZone::kAny);
}

RemapResult MergeZero::act_on(RemapBatch& batch, PmapEntry entry) {
    MachinePool& pool = page_.memory->pool();
    if (!all_zero(pool.host(entry.mpn()))) return RemapResult::kDiffers;
    batch.publish(page_, PmapEntry::of(PageState::kZero, pool.zero_page().value));
    return RemapResult::kDone;
}

// --- sharing ---

RemapResult SharePages::begin(RemapBatch& batch) {
    constexpr u32 kStates = state_bit(PageState::kResident) | state_bit(PageState::kShared);
    RemapResult result = batch.own(page_, kStates);
    return result == RemapResult::kPending ? batch.own(other_, kStates) : result;
}

RemapResult SharePages::act(RemapBatch& batch) {
    MachinePool& pool = page_.memory->pool();
    PmapEntry mine = page_.memory->pmap().load_stable(page_.ppn);
    PmapEntry theirs = other_.memory->pmap().load_stable(other_.ppn);
    auto sharable = [](PmapEntry entry) {
        return entry.state() == PageState::kResident || entry.state() == PageState::kShared;
    };
    if (&pool != &other_.memory->pool() || !sharable(mine) || !sharable(theirs)) return RemapResult::kState;
    if (mine.mpn() == theirs.mpn()) return RemapResult::kDone;
    if (std::memcmp(pool.host(mine.mpn()), pool.host(theirs.mpn()), kPageSize) != 0)
        return RemapResult::kDiffers;
    if (!pool.retain(theirs.mpn(), page_.memory->vm(), page_.ppn)) return RemapResult::kNoRoom;
    batch.publish_shared(other_);
    batch.publish(page_, PmapEntry::of(PageState::kShared, theirs.mpn().value));
    return RemapResult::kDone;
}

RemapResult FreezePage::act_on(RemapBatch& batch, PmapEntry entry) {
    mpn_ = entry.mpn();
    if (!page_.memory->pool().retain(mpn_, VmId(0), Ppn(mpn_.value))) return RemapResult::kNoRoom;
    batch.publish_shared(page_);
    return RemapResult::kDone;
}

// --- protecting and sampling ---

RemapResult ProtectPage::begin(RemapBatch& batch) {
    PmapEntry entry = page_.memory->pmap().lock(page_.ppn);
    if (entry.state() == PageState::kMmio) return RemapResult::kState;
    page_.memory->pmap().unlock(page_.ppn, entry.protect(reasons_));
    if (entry.cached()) batch.drop_writes(page_);
    return RemapResult::kPending;
}

RemapResult SamplePage::begin(RemapBatch& batch) {
    PmapEntry entry = page_.memory->pmap().lock(page_.ppn);
    if (entry.state() == PageState::kMmio) return RemapResult::kState;
    page_.memory->pmap().unlock(page_.ppn, entry.without(PmapEntry::kAccessed));
    accessed_ = entry.accessed();
    if (entry.cached()) batch.drop_all(page_);
    return RemapResult::kPending;
}

// --- giving up machine pages ---

RemapResult EvictPage::act_on(RemapBatch& batch, PmapEntry entry) {
    std::optional<PmapEntry> instead = evict_(content_of(page_.memory->pool(), entry.mpn()));
    if (!instead) return RemapResult::kDeclined;
    VM_CHECK(!instead->has_mpn() && instead->state() != PageState::kMmio);
    batch.publish(page_, *instead);
    return RemapResult::kDone;
}

DropPage::DropPage(GuestMemory& memory, Ppn ppn, PageState to)
    : OnePage(memory, ppn,
              ((1u << kPageStates) - 1) & ~state_bit(PageState::kMmio) & ~state_bit(PageState::kRom)),
      to_(to) {
    VM_CHECK(to == PageState::kBallooned || to == PageState::kUntouched);
}

RemapResult DropPage::act_on(RemapBatch& batch, PmapEntry) {
    batch.publish(page_, PmapEntry::of(to_));
    // The bytes are lost: code made of them is of no use any more.
    page_.memory->notify_code_write(page_.ppn, 0, kPageSize);
    return RemapResult::kDone;
}

RemapResult EvictShared::begin(RemapBatch& batch) {
    for (const PageOwner& owner : pool_.owners(mpn_)) {
        GuestMemory* memory = find_(owner.vm);
        const PageOf page{memory, owner.ppn};
        if (memory && batch.own(page, state_bit(PageState::kShared)) == RemapResult::kPending)
            owners_.push_back(page);
    }
    return owners_.empty() ? RemapResult::kState : RemapResult::kPending;
}

RemapResult EvictShared::act(RemapBatch& batch) {
    std::erase_if(owners_, [&](const PageOf& page) {
        PmapEntry entry = page.memory->pmap().load_stable(page.ppn);
        return entry.state() != PageState::kShared || entry.mpn() != mpn_;
    });
    if (owners_.empty()) return RemapResult::kState;
    std::optional<PmapEntry> instead = evict_(content_of(pool_, mpn_), owners_.size());
    if (!instead) return RemapResult::kDeclined;
    VM_CHECK(!instead->has_mpn() && instead->state() != PageState::kMmio);
    for (const PageOf& page : owners_) batch.publish(page, *instead);
    return RemapResult::kDone;
}

// --- staged eviction ---

StagedPage::StagedPage(StagedPage&& other) noexcept
    : page_(std::exchange(other.page_, PageOf{})), mpn_(other.mpn_) {}

StagedPage& StagedPage::operator=(StagedPage&& other) noexcept {
    std::swap(page_, other.page_);
    std::swap(mpn_, other.mpn_);
    return *this;
}

const u8* StagedPage::content() const { return page_.memory->pool().host(mpn_); }

void StagedPage::unpin() {
    if (GuestMemory* memory = std::exchange(page_.memory, nullptr)) memory->pool().unpin(mpn_);
}

RemapResult StagePage::begin(RemapBatch& batch) {
    PmapEntry entry = page_.memory->pmap().lock(page_.ppn);
    if (entry.state() == PageState::kMmio) return RemapResult::kState;
    RemapResult result = RemapResult::kPending;
    if (entry.state() != PageState::kResident) {
        result = RemapResult::kState;
    } else if (entry.moving()) {
        result = RemapResult::kBusy;
    } else if (page_.memory->pool().pinned(entry.mpn())) {
        result = RemapResult::kPinned;
    }
    const bool take = result == RemapResult::kPending;
    page_.memory->pmap().unlock(page_.ppn, take ? entry.protect(kProtectSnapshot) : entry);
    if (take && entry.cached()) batch.drop_writes(page_);
    return result;
}

RemapResult StagePage::act(RemapBatch&) {
    PmapEntry entry = page_.memory->pmap().lock(page_.ppn);
    if (entry.state() == PageState::kMmio) return RemapResult::kState;
    const bool unwritten =
        entry.state() == PageState::kResident && !entry.moving() && entry.protects(kProtectSnapshot);
    if (unwritten) {
        page_.memory->pool().pin(entry.mpn());
        staged_ = StagedPage(page_, entry.mpn());
    }
    page_.memory->pmap().unlock(page_.ppn, entry);
    return unwritten ? RemapResult::kDone : RemapResult::kDiffers;
}

RemapResult EvictStaged::begin(RemapBatch& batch) {
    const PageOf page = staged_.page();
    const Mpn mpn = staged_.mpn();
    // Our own pin ends here. Whoever takes the page before we own it either writes, which is seen below, or
    // changes nothing that was read.
    staged_.unpin();
    staged_.page_ = PageOf{};
    RemapResult result = batch.own(page, state_bit(PageState::kResident));
    if (result != RemapResult::kPending) return result;
    PmapEntry entry = page.memory->pmap().load_stable(page.ppn);
    if (entry.mpn() != mpn || !entry.protects(kProtectSnapshot)) return RemapResult::kDiffers;
    batch.publish(page, instead_);
    return RemapResult::kPending;
}

RemapResult EvictStaged::act(RemapBatch&) { return RemapResult::kDone; }

}  // namespace shadowbox
