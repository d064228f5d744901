// SPDX-License-Identifier: MIT
// Demand zero and copy-on-write breaks.
#include "mmu/fill_page.h"

#include "mmu/guest_access.h"

namespace shadowbox {

namespace {

constexpr u64 kFresh = PmapEntry::kCached | PmapEntry::kWritten;

/// The entry for a machine page that no vCPU has seen yet: other protect reasons stay.
PmapEntry private_entry(PmapEntry before, Mpn mpn) {
    return before.with_state(PageState::kResident).with_mpn(mpn).unprotect(kProtectCow).without(kFresh);
}

PageOutcome fill_untouched(GuestMemory& memory, Ppn ppn, PmapEntry entry, bool write) {
    Pmap& pmap = memory.pmap();
    if (!write) {
        pmap.unlock(ppn, entry.with_state(PageState::kZero)
                             .with_mpn(memory.pool().zero_page())
                             .protect(kProtectCow)
                             .without(kFresh));
        return PageOutcome::kReady;
    }
    std::optional<Mpn> mpn = memory.pool().allocate(memory.vm(), ppn);
    pmap.unlock(ppn, mpn ? private_entry(entry, *mpn) : entry);
    return mpn ? PageOutcome::kReady : PageOutcome::kRefused;
}

/// The copy of a zero or shared page; nullopt when the pool is exhausted.
std::optional<Mpn> copy_of(GuestMemory& memory, Ppn ppn, PmapEntry entry, bool overwrite) {
    std::optional<Mpn> mpn = memory.pool().allocate(memory.vm(), ppn);
    if (mpn && entry.state() == PageState::kShared && !overwrite) {
        guest_copy_page(memory.pool().host(*mpn), memory.pool().host(entry.mpn()));
    }
    return mpn;
}

/// Entry locked, state zero or shared.
PageOutcome break_sharing(GuestMemory& memory, Ppn ppn, PmapEntry entry, bool overwrite) {
    Pmap& pmap = memory.pmap();
    MachinePool& pool = memory.pool();
    bool shared = entry.state() == PageState::kShared;
    if (shared && pool.claim_private(entry.mpn(), memory.vm(), ppn)) {
        // The others left. The machine page stays, so pointers to it stay good.
        pmap.unlock(ppn, entry.with_state(PageState::kResident).unprotect(kProtectCow));
        return PageOutcome::kReady;
    }
    if (entry.cached()) {
        pmap.unlock(ppn, entry);
        return pool.available() ? PageOutcome::kWait : PageOutcome::kRefused;
    }
    std::optional<Mpn> mpn = copy_of(memory, ppn, entry, overwrite);
    pmap.unlock(ppn, mpn ? private_entry(entry, *mpn) : entry);
    if (!mpn) return PageOutcome::kRefused;
    if (shared) pool.release(entry.mpn(), memory.vm(), ppn);
    return PageOutcome::kReady;
}

}  // namespace

PageOutcome fill_page(GuestMemory& memory, Ppn ppn, PageAccess access) {
    Pmap& pmap = memory.pmap();
    bool write = access != PageAccess::kRead;
    PmapEntry entry = pmap.lock(ppn);
    if (entry.state() == PageState::kMmio) return PageOutcome::kReady;
    if (entry.moving()) {
        pmap.unlock(ppn, entry);
        return entry.has_mpn() && !write ? PageOutcome::kReady : PageOutcome::kWait;
    }
    switch (entry.state()) {
        case PageState::kUntouched:
        case PageState::kBallooned: return fill_untouched(memory, ppn, entry, write);
        case PageState::kZero:
        case PageState::kShared:
            if (write) return break_sharing(memory, ppn, entry, access == PageAccess::kOverwrite);
            break;
        case PageState::kResident:
            // Protected by a remap that gave up: nobody shares the page.
            if (write) entry = entry.unprotect(kProtectCow);
            break;
        case PageState::kRom: break;
        default: pmap.unlock(ppn, entry); return PageOutcome::kRefused;
    }
    pmap.unlock(ppn, entry);
    return PageOutcome::kReady;
}

void finish_fill(GuestMemory& memory, Ppn ppn) {
    Pmap& pmap = memory.pmap();
    PmapEntry entry = pmap.lock(ppn);
    if (entry.state() == PageState::kMmio) return;
    if (entry.moving()) {
        pmap.unlock(ppn, entry);
        memory.wait_while_moving(ppn);
        return;
    }
    bool breakable = entry.state() == PageState::kZero || entry.state() == PageState::kShared;
    std::optional<Mpn> mpn = breakable ? copy_of(memory, ppn, entry, false) : std::nullopt;
    if (!mpn) {
        pmap.unlock(ppn, entry);
        return;
    }
    // Old and new have equal bytes and neither can be written, so it does not matter which one a vCPU reads
    // until all have forgotten the old one.
    pmap.unlock(ppn, private_entry(entry, *mpn).protect(kProtectCow).with(PmapEntry::kMoving));
    memory.safepoints().drop_and_wait(DropRequest{{ppn}});
    memory.end_move(ppn, u64{kProtectCow} << PmapEntry::kReasonShift);
    if (entry.state() == PageState::kShared) memory.pool().release(entry.mpn(), memory.vm(), ppn);
}

bool install_page(GuestMemory& memory, Ppn ppn, PmapEntry expected, Mpn mpn) {
    PmapEntry entry = memory.pmap().lock(ppn);
    if (entry.state() == PageState::kMmio) return false;
    bool same = entry.state() == expected.state() && entry.slot() == expected.slot();
    same = same && !entry.has_mpn() && !entry.moving();
    memory.pmap().unlock(ppn, same ? private_entry(entry, mpn) : entry);
    return same;
}

}  // namespace shadowbox
