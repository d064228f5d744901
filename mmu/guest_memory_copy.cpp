// SPDX-License-Identifier: MIT
// GuestMemory: copies for devices and viewers, DMA pins, and the page walker's loads and compare-and-swaps. A
// copy holds the PPN lock, so a page cannot change its machine page half way.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "mmu/device_tables.h"
#include "mmu/guest_access.h"
#include "mmu/guest_memory.h"

namespace shadowbox {

namespace {

/// Calls piece(ppn, offset, bytes) for each page that [start, start + bytes.size()) touches.
template <class Byte, class Piece>
bool by_pages(Gpa start, std::span<Byte> bytes, Piece piece) {
    bool all = true;
    while (!bytes.empty()) {
        std::size_t size = std::min<std::size_t>(bytes.size(), kPageSize - start.offset());
        all &= piece(start.ppn(), static_cast<u32>(start.offset()), bytes.first(size));
        start += size;
        bytes = bytes.subspan(size);
    }
    return all;
}

bool reads_as_zeros(PageState state) {
    return state == PageState::kUntouched || state == PageState::kBallooned;
}

/// What a pager's kWait or kRefused means to somebody who does not wait.
MemoryAnswer not_ready(PageOutcome outcome, Ppn ppn, PageAccess access) {
    return {outcome == PageOutcome::kWait ? MemoryOutcome::kWait : MemoryOutcome::kPoolFull, ppn, access};
}

}  // namespace

// The blocking forms go on with the page that was not ready: what was copied before stays copied.
bool GuestMemory::read(Gpa from, std::span<u8> to) {
    return by_pages(from, to, [&](Ppn ppn, u32 offset, std::span<u8> part) {
        for (;;) {
            MemoryAnswer answer = read_page(ppn, offset, part);
            if (!answer.must_wait()) return answer.ready();
            if (!wait_after(answer)) return false;
        }
    });
}

bool GuestMemory::write(Gpa to, std::span<const u8> from) {
    return by_pages(to, from, [&](Ppn ppn, u32 offset, std::span<const u8> part) {
        for (;;) {
            MemoryAnswer answer = write_page(ppn, offset, part);
            if (!answer.must_wait()) return answer.ready();
            if (!wait_after(answer)) return false;
        }
    });
}

MemoryAnswer GuestMemory::try_read(Gpa from, std::span<u8> to) {
    MemoryAnswer worst;
    by_pages(from, to, [&](Ppn ppn, u32 offset, std::span<u8> part) {
        if (worst.must_wait()) return false;
        MemoryAnswer answer = read_page(ppn, offset, part);
        if (!answer.ready()) worst = answer;
        return answer.ready();
    });
    return worst;
}

MemoryAnswer GuestMemory::try_write(Gpa to, std::span<const u8> from) {
    MemoryAnswer worst;
    by_pages(to, from, [&](Ppn ppn, u32 offset, std::span<const u8> part) {
        if (worst.must_wait()) return false;
        MemoryAnswer answer = write_page(ppn, offset, part);
        if (!answer.ready()) worst = answer;
        return answer.ready();
    });
    return worst;
}

bool GuestMemory::peek(Gpa from, std::span<u8> to) const {
    return by_pages(from, to,
                    [&](Ppn ppn, u32 offset, std::span<u8> part) { return peek_page(ppn, offset, part); });
}

MemoryAnswer GuestMemory::read_page(Ppn ppn, u32 offset, std::span<u8> to) {
    for (;;) {
        PmapEntry entry = pmap_.lock(ppn);
        if (entry.state() == PageState::kMmio) {
            std::memset(to.data(), 0xFF, to.size());
            return {MemoryOutcome::kNotRam, ppn};
        }
        if (entry.has_mpn()) {
            guest_copy_out(to.data(), pool_.host(entry.mpn()) + offset, to.size());
            pmap_.unlock(ppn, entry.with(PmapEntry::kAccessed));
            epochs_.stamp(ppn, false);
            return {};
        }
        pmap_.unlock(ppn, entry);
        if (reads_as_zeros(entry.state()) && !entry.moving()) {
            std::memset(to.data(), 0, to.size());
            return {};
        }
        PageOutcome outcome = demand(ppn, PageAccess::kRead);
        if (outcome != PageOutcome::kReady) return not_ready(outcome, ppn, PageAccess::kRead);
    }
}

MemoryAnswer GuestMemory::write_page(Ppn ppn, u32 offset, std::span<const u8> from) {
    PageAccess access = from.size() == kPageSize ? PageAccess::kOverwrite : PageAccess::kWrite;
    for (;;) {
        PmapEntry entry = pmap_.lock(ppn);
        if (entry.state() == PageState::kMmio) return {MemoryOutcome::kNotRam, ppn, access};
        if (entry.state() == PageState::kRom || entry.protects(kProtectRom)) {
            pmap_.unlock(ppn, entry);
            return {};
        }
        if (entry.writable_now()) {
            guest_copy_in(pool_.host(entry.mpn()) + offset, from.data(), from.size());
            pmap_.unlock(ppn, entry.unprotect(kProtectUntilWrite).with(PmapEntry::kAccessed));
            epochs_.stamp(ppn, true);
            if (entry.protects(kProtectCode)) notify_code_write(ppn, offset, static_cast<u32>(from.size()));
            if (entry.protects(kProtectTrace)) notify_traced_write(ppn);
            return {};
        }
        pmap_.unlock(ppn, entry);
        PageOutcome outcome = demand(ppn, access);
        if (outcome != PageOutcome::kReady) return not_ready(outcome, ppn, access);
    }
}

bool GuestMemory::peek_page(Ppn ppn, u32 offset, std::span<u8> to) const {
    Pmap& pmap = const_cast<Pmap&>(pmap_);  // only the lock bit changes
    PmapEntry entry = pmap.lock(ppn);
    if (entry.state() == PageState::kMmio) {
        std::memset(to.data(), 0xFF, to.size());
        return false;
    }
    if (entry.has_mpn()) guest_copy_out(to.data(), pool_.host(entry.mpn()) + offset, to.size());
    pmap.unlock(ppn, entry);
    if (entry.has_mpn()) return true;
    std::memset(to.data(), 0, to.size());
    if (reads_as_zeros(entry.state())) return true;
    u8 whole[kPageSize];
    if (!pager_.peek(*this, ppn, whole)) return false;
    std::memcpy(to.data(), whole + offset, to.size());
    return true;
}

u64 GuestMemory::content_hash() const {
    XXH64_state_t state;
    XXH64_reset(&state, 0);
    u8 page[kPageSize];
    pmap_.for_each([&](Ppn ppn, PmapEntry entry) {
        if (!entry.is_ram()) return;
        peek_page(ppn, 0, page);
        XXH64_update(&state, page, sizeof page);
    });
    return XXH64_digest(&state);
}

// --- DMA pins ---

PinnedPage GuestMemory::pin(Ppn ppn, PageAccess access) {
    for (;;) {
        tl::expected<PinnedPage, MemoryAnswer> pinned = try_pin(ppn, access);
        if (pinned) return std::move(*pinned);
        if (!wait_after(pinned.error())) return {};
    }
}

tl::expected<PinnedPage, MemoryAnswer> GuestMemory::try_pin(Ppn ppn, PageAccess access) {
    const bool write = access != PageAccess::kRead;
    const MemoryAnswer not_ram{MemoryOutcome::kNotRam, ppn, access};
    for (;;) {
        PmapEntry entry = pmap_.lock(ppn);
        if (entry.state() == PageState::kMmio) return tl::make_unexpected(not_ram);
        if (write && (entry.state() == PageState::kRom || entry.protects(kProtectRom))) {
            pmap_.unlock(ppn, entry);
            return tl::make_unexpected(not_ram);
        }
        // A move in progress would take the machine page from under the pin; its end tells us. The zero page
        // is immortal, and a shared page that somebody writes to is left to us by claim_private() and the
        // remap's own look at pins.
        if (!entry.moving() && (write ? entry.writable_now() : entry.has_mpn())) {
            if (entry.state() != PageState::kZero) pool_.pin(entry.mpn());
            if (write) entry = entry.unprotect(kProtectUntilWrite);
            pmap_.unlock(ppn, entry.with(PmapEntry::kAccessed));
            epochs_.stamp(ppn, write);
            return PinnedPage(*this, ppn, pool_.host(entry.mpn()), write);
        }
        pmap_.unlock(ppn, entry);
        if (entry.moving()) return tl::make_unexpected(MemoryAnswer{MemoryOutcome::kWait, ppn, access});
        PageOutcome outcome = demand(ppn, access);
        if (outcome != PageOutcome::kReady) return tl::make_unexpected(not_ready(outcome, ppn, access));
    }
}

PinnedPage::PinnedPage(PinnedPage&& other) noexcept
    : memory_(other.memory_), ppn_(other.ppn_), host_(other.host_), written_(other.written_) {
    other.host_ = nullptr;
}

PinnedPage& PinnedPage::operator=(PinnedPage&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(ppn_, other.ppn_);
    std::swap(host_, other.host_);
    std::swap(written_, other.written_);
    return *this;
}

PinnedPage::~PinnedPage() { release(); }

void PinnedPage::release() {
    if (!host_) return;
    Mpn mpn = memory_->pool_.mpn_of(host_);
    host_ = nullptr;
    memory_->epochs_.stamp(ppn_, written_);  // it was in use until now
    if (written_) {
        // The page may have been cleaned, marked or traced while it was pinned, or be mapped elsewhere by
        // now.
        PmapEntry entry = memory_->pmap_.lock(ppn_);
        if (entry.state() != PageState::kMmio) {
            bool same = entry.has_mpn() && entry.mpn() == mpn;
            memory_->pmap_.unlock(ppn_, same ? entry.unprotect(kProtectUntilWrite) : entry);
            if (same && entry.protects(kProtectCode)) memory_->notify_code_write(ppn_, 0, kPageSize);
            if (same && entry.protects(kProtectTrace)) memory_->notify_traced_write(ppn_);
        }
    }
    if (mpn != memory_->pool_.zero_page()) memory_->pool_.unpin(mpn);
}

// --- the page walker ---

PageOutcome GuestMemory::walk_load(Gpa where, unsigned size, u64& value, DeviceTables* devices) {
    where = apply_a20(where);
    for (;;) {
        PmapEntry entry = pmap_.load_stable(where.ppn());
        if (__builtin_expect(entry.has_mpn(), 1)) {
            // As for a TLB entry: who changes the page sees the bit and waits for our safepoint.
            constexpr u64 kMarks = PmapEntry::kCached | PmapEntry::kAccessed;
            if ((entry.word() & kMarks) != kMarks && !pmap_.exchange(where.ppn(), entry, entry.with(kMarks)))
                continue;
            const u8* host = pool_.host(entry.mpn()) + where.offset();
            value = size == 8 ? guest_load<u64>(host) : guest_load<u32>(host);
            epochs_.stamp(where.ppn(), false);
            return PageOutcome::kReady;
        }
        if (entry.state() == PageState::kMmio) {
            if (devices) return devices->load(where, size, value);
            value = size == 8 ? ~u64{0} : u64{0xFFFF'FFFF};
            return PageOutcome::kReady;
        }
        if (reads_as_zeros(entry.state()) && !entry.moving()) {
            value = 0;
            return PageOutcome::kReady;
        }
        PageOutcome outcome = demand(where.ppn(), PageAccess::kRead);
        if (outcome != PageOutcome::kReady) return outcome;
    }
}

PageOutcome GuestMemory::walk_compare_exchange(Gpa where, unsigned size, u64 expected, u64 desired,
                                               bool& swapped, DeviceTables* devices) {
    where = apply_a20(where);
    Ppn ppn = where.ppn();
    for (;;) {
        PmapEntry entry = pmap_.lock(ppn);
        swapped = true;  // what cannot be written counts as written: the walk goes on
        if (entry.state() == PageState::kMmio)
            return devices ? devices->compare_exchange(where, size, expected, desired, swapped)
                           : PageOutcome::kReady;
        if (entry.state() == PageState::kRom || entry.protects(kProtectRom)) {
            pmap_.unlock(ppn, entry);
            return PageOutcome::kReady;
        }
        if (entry.writable_now()) {
            u8* host = pool_.host(entry.mpn()) + where.offset();
            if (size == 8) {
                swapped = __atomic_compare_exchange_n(reinterpret_cast<u64*>(host), &expected, desired, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
            } else {
                u32 old = static_cast<u32>(expected);
                swapped =
                    __atomic_compare_exchange_n(reinterpret_cast<u32*>(host), &old, static_cast<u32>(desired),
                                                false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
            }
            pmap_.unlock(ppn, entry.unprotect(kProtectUntilWrite).with(PmapEntry::kAccessed));
            epochs_.stamp(ppn, true);
            if (entry.protects(kProtectCode)) notify_code_write(ppn, static_cast<u32>(where.offset()), size);
            if (entry.protects(kProtectTrace)) notify_traced_write(ppn);
            return PageOutcome::kReady;
        }
        pmap_.unlock(ppn, entry);
        PageOutcome outcome = demand(ppn, PageAccess::kWrite);
        if (outcome != PageOutcome::kReady) return outcome;
    }
}

}  // namespace shadowbox
