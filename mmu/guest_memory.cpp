// SPDX-License-Identifier: MIT
// GuestMemory: the physical map (what is RAM, ROM or neither) and the waits for pager and remaps. Copies and
// pins are in guest_memory_copy.cpp, code marks and write tracking in guest_memory_track.cpp.
#include "mmu/guest_memory.h"

#include "mmu/guest_access.h"

namespace shadowbox {

GuestMemory::GuestMemory(MachinePool& pool, Pager& pager, VmId vm) : pool_(pool), pager_(pager), vm_(vm) {}

GuestMemory::~GuestMemory() {
    pmap_.for_each([&](Ppn ppn, PmapEntry entry) { release_backing(ppn, entry); });
    pool_.forget_vm(vm_);
}

void GuestMemory::release_backing(Ppn ppn, PmapEntry entry) {
    switch (entry.state()) {
        case PageState::kResident:
        case PageState::kShared:
        case PageState::kRom: pool_.release(entry.mpn(), vm_, ppn); break;
        case PageState::kSwapped:
        case PageState::kCompressed:
        case PageState::kPatched: pager_.discard(*this, entry); break;
        default: break;
    }
}

void GuestMemory::drop_everything() { safepoints_.drop_and_wait(DropRequest{{}, true}); }

void GuestMemory::make_leaves(Ppn first, u64 count) {
    pmap_.make_leaves(first, count);
    code_marks_.make_leaves(first, count);
    code_holders_.make_leaves(first, count);
    epochs_.make_leaves(first, count);
}

/// Locks a page that nobody is remapping. The remapper waits for vCPUs, never for us.
PmapEntry GuestMemory::lock_unmoving(Ppn ppn) {
    for (;;) {
        PmapEntry entry = pmap_.lock(ppn);
        if (!entry.moving()) return entry;
        pmap_.unlock(ppn, entry);
        wait_while_moving(ppn);
    }
}

// --- the physical map ---

void GuestMemory::map_ram(Ppn first, u64 count) {
    unmap(first, count);
    make_leaves(first, count);
    for (u64 i = 0; i < count; ++i) pmap_.set(first + i, PmapEntry::of(PageState::kUntouched));
}

Expected<void> GuestMemory::map_rom(Ppn first, std::span<const u8> content) {
    u64 count = (content.size() + kPageSize - 1) >> kPageShift;
    unmap(first, count);
    make_leaves(first, count);
    for (u64 i = 0; i < count; ++i) {
        std::optional<Mpn> mpn = pool_.allocate(vm_, first + i);
        if (!mpn) {
            unmap(first, i);
            return make_error(ErrorCode::kOutOfMemory, "the page pool ({} KiB) has no room for {} KiB of ROM",
                              pool_.capacity() * 4, count * 4);
        }
        std::span<const u8> part = content.subspan(i << kPageShift);
        if (part.size() > kPageSize) part = part.first(kPageSize);
        guest_copy_in(pool_.host(*mpn), part.data(), part.size());
        pmap_.set(first + i, PmapEntry::of(PageState::kRom, mpn->value));
    }
    return {};
}

void GuestMemory::unmap(Ppn first, u64 count) {
    std::vector<std::pair<Ppn, PmapEntry>> removed;
    for (u64 i = 0; i < count; ++i) {
        PmapEntry entry = lock_unmoving(first + i);
        if (entry.state() == PageState::kMmio) continue;
        pmap_.unlock(first + i, PmapEntry());
        removed.emplace_back(first + i, entry);
    }
    if (removed.empty()) return;
    drop_everything();
    for (auto& [ppn, entry] : removed) {
        release_backing(ppn, entry);
        forget_code(ppn);
    }
}

void GuestMemory::relocate(Ppn from, Ppn to, u64 count) {
    if (from == to) return;
    // The pages leave their old place before the new one is cleared: the ranges may overlap.
    std::vector<PmapEntry> entries(count);
    for (u64 i = 0; i < count; ++i) {
        entries[i] = lock_unmoving(from + i);
        if (entries[i].state() == PageState::kMmio) continue;
        pmap_.unlock(from + i, PmapEntry());
        forget_code(from + i);
    }
    drop_everything();
    unmap(to, count);
    make_leaves(to, count);
    auto place = [&](u64 i) {
        PmapEntry entry = entries[i];
        if (entry.has_mpn() && entry.state() != PageState::kZero)
            pool_.rename_owner(entry.mpn(), vm_, from + i, to + i);
        pmap_.set(to + i, entry.without(PmapEntry::kCached | PmapEntry::kWritten).unprotect(kProtectCode));
    };
    for (u64 i = 0; i < count; ++i) place(i);
}

void GuestMemory::set_rom(Ppn first, u64 count, bool read_only) {
    for (u64 i = 0; i < count; ++i) {
        PmapEntry entry = lock_unmoving(first + i);
        if (entry.state() == PageState::kMmio) continue;
        if (!read_only && entry.state() == PageState::kRom) entry = entry.with_state(PageState::kResident);
        entry = read_only ? entry.protect(kProtectRom) : entry.unprotect(kProtectRom);
        pmap_.unlock(first + i, entry);
    }
    drop_everything();
}

void GuestMemory::set_a20(bool enabled) {
    u64 mask = enabled ? ~u64{0} : ~(u64{1} << 20);
    if (mask == a20_mask_) return;
    a20_mask_ = mask;
    drop_everything();
}

// --- waiting ---

PageOutcome GuestMemory::demand(Ppn ppn, PageAccess access) {
    PmapEntry entry = pmap_.load_stable(ppn);
    if (entry.moving() && !(access == PageAccess::kRead && entry.has_mpn())) return PageOutcome::kWait;
    return pager_.make_resident(*this, ppn, access);
}

bool GuestMemory::wait_for(Ppn ppn, PageAccess access) {
    std::stop_token cancel = waits_.get_token();
    if (pmap_.load_stable(ppn).moving()) return wait_while_moving(ppn, cancel);
    return pager_.wait_resident(*this, ppn, access, cancel);
}

void GuestMemory::when_ready(MemoryAnswer answer, std::function<void()> ready) {
    if (answer.outcome == MemoryOutcome::kPoolFull) return pool_.when_room(std::move(ready));
    {
        std::lock_guard lock(move_mutex_);  // end_move() clears the bit under it
        if (pmap_.load_stable(answer.ppn).moving()) {
            move_waiters_.emplace_back(answer.ppn, std::move(ready));
            return;
        }
    }
    pager_.when_ready(*this, answer.ppn, answer.access, std::move(ready));
}

bool GuestMemory::wait_after(MemoryAnswer answer) {
    return answer.outcome == MemoryOutcome::kWait && wait_for(answer.ppn, answer.access);
}

void GuestMemory::cancel_waits() { waits_.request_stop(); }

void GuestMemory::end_move(Ppn ppn) {
    std::vector<std::function<void()>> told;
    {
        std::lock_guard lock(move_mutex_);
        PmapEntry entry = pmap_.lock(ppn);
        pmap_.unlock(ppn, entry.without(PmapEntry::kMoving).unprotect(kProtectMove));
        std::erase_if(move_waiters_, [&](auto& waiter) {
            if (waiter.first != ppn) return false;
            told.push_back(std::move(waiter.second));
            return true;
        });
    }
    move_ended_.notify_all();
    for (auto& tell : told) tell();
}

bool GuestMemory::wait_while_moving(Ppn ppn, std::stop_token cancel) {
    std::unique_lock lock(move_mutex_);
    return move_ended_.wait(lock, cancel, [&] { return !pmap_.load_stable(ppn).moving(); });
}

}  // namespace shadowbox
