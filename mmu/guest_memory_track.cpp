// SPDX-License-Identifier: MIT
// GuestMemory: code marks (64 lines of 64 bytes a page), the dirty log and write traces. All three work by a
// protect reason in the pmap: stores then miss in the TLB and come through VcpuMmu::resolve().
#include <algorithm>

#include "mmu/guest_access.h"
#include "mmu/guest_memory.h"

namespace shadowbox {

namespace {

/// The lines that [offset, offset+size) touches, as bits.
u64 line_mask(u32 offset, u32 size) {
    if (size == 0 || offset >= kPageSize) return 0;
    u32 first = offset / 64;
    u32 last = static_cast<u32>(std::min<u64>(u64{offset} + size, kPageSize) - 1) / 64;
    u64 upto_last = last == 63 ? ~u64{0} : (u64{1} << (last + 1)) - 1;
    return upto_last & ~((u64{1} << first) - 1);
}

/// The calling vCPU's bit. Programs without participants share the last one.
u64 holder_bit(const SafepointParticipant* vcpu) {
    return u64{1} << (vcpu && vcpu->number() < 63 ? vcpu->number() : 63);
}

}  // namespace

void GuestMemory::mark_code(Ppn ppn, u32 offset, u32 size, const SafepointParticipant* holder) {
    PmapEntry entry = pmap_.lock(ppn);
    if (entry.state() == PageState::kMmio) return;
    code_marks_.find(ppn)->fetch_or(line_mask(offset, size), std::memory_order_seq_cst);
    code_holders_.find(ppn)->fetch_or(holder_bit(holder), std::memory_order_relaxed);
    bool first = !entry.protects(kProtectCode);
    pmap_.unlock(ppn, entry.protect(kProtectCode));
    if (!first || !entry.written()) return;
    // Some vCPU may store without asking. We are inside guest code and cannot wait for the others; each that
    // loses a right reports the whole page as written when it hears of this.
    bool nobody_else = false;
    safepoints_.post(DropRequest{{ppn}, false, true, true}, nullptr, &nobody_else);
    if (nobody_else) forget_write_rights({&ppn, 1});
}

void GuestMemory::forget_write_rights(std::span<const Ppn> ppns) {
    for (Ppn ppn : ppns) {
        PmapEntry entry = pmap_.lock(ppn);
        if (entry.state() == PageState::kMmio) continue;
        // Without the reason somebody may have the right again.
        pmap_.unlock(ppn, entry.protects(kProtectCode) ? entry.without(PmapEntry::kWritten) : entry);
    }
}

bool GuestMemory::overlaps_code(Ppn ppn, u32 offset, u32 size) const {
    const std::atomic<u64>* marks = code_marks_.find(ppn);
    if (!marks) return false;
    // The store that this asks about comes before the look at the marks; mark_code() orders the other side.
    guest_fence(std::memory_order_seq_cst);
    return marks->load(std::memory_order_relaxed) & line_mask(offset, size);
}

void GuestMemory::unmark_code(Ppn ppn, const SafepointParticipant* holder) {
    PmapEntry entry = pmap_.lock(ppn);
    if (entry.state() == PageState::kMmio) return;
    u64 mine = holder_bit(holder);
    bool last = (code_holders_.find(ppn)->fetch_and(~mine, std::memory_order_relaxed) & ~mine) == 0;
    if (last) code_marks_.find(ppn)->store(0, std::memory_order_seq_cst);
    pmap_.unlock(ppn, last ? entry.unprotect(kProtectCode) : entry);
}

void GuestMemory::notify_code_write(Ppn ppn, u32 offset, u32 size) {
    if (code_listener_ && overlaps_code(ppn, offset, size)) code_listener_->code_written(ppn, offset, size);
}

/// The page is no longer there, or not with these bytes.
void GuestMemory::forget_code(Ppn ppn) {
    notify_code_write(ppn, 0, kPageSize);
    if (std::atomic<u64>* marks = code_marks_.find(ppn)) marks->store(0, std::memory_order_seq_cst);
    if (std::atomic<u64>* holders = code_holders_.find(ppn)) holders->store(0, std::memory_order_relaxed);
}

// --- dirty log: a page without the reason was written since it was last clean ---

void GuestMemory::start_dirty_log() { take_dirty_log(); }

std::vector<Ppn> GuestMemory::take_dirty_log() {
    std::vector<Ppn> written;
    pmap_.for_each([&](Ppn ppn, PmapEntry entry) {
        if (!entry.is_ram() || entry.protects(kProtectDirtyLog)) return;
        entry = pmap_.lock(ppn);
        if (entry.state() == PageState::kMmio) return;
        if (!entry.protects(kProtectDirtyLog)) written.push_back(ppn);
        pmap_.unlock(ppn, entry.protect(kProtectDirtyLog));
    });
    // A store between the mark and the moment its vCPU hears of it belongs to the round that ends here:
    // whoever reads the pages now, after the wait, sees it.
    safepoints_.drop_and_wait(DropRequest{{}, true, true});
    return written;
}

void GuestMemory::stop_dirty_log() {
    pmap_.for_each([&](Ppn ppn, PmapEntry entry) {
        if (!entry.protects(kProtectDirtyLog)) return;
        entry = pmap_.lock(ppn);
        if (entry.state() != PageState::kMmio) pmap_.unlock(ppn, entry.unprotect(kProtectDirtyLog));
    });
}

void GuestMemory::next_epoch() {
    epochs_.next();
    safepoints_.drop_and_wait(DropRequest{{}, true});
}

void GuestMemory::set_trace(Ppn ppn, bool on) {
    PmapEntry entry = pmap_.lock(ppn);
    if (entry.state() == PageState::kMmio) return;
    pmap_.unlock(ppn, on ? entry.protect(kProtectTrace) : entry.unprotect(kProtectTrace));
    if (on) safepoints_.drop_and_wait(DropRequest{{ppn}, false, true});
}

}  // namespace shadowbox
