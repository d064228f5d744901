// SPDX-License-Identifier: MIT
// MachinePool: frames and owners; see the header for the locks.
#include "mmu/machine_pool.h"

#include <algorithm>

#include "core/check.h"
#include "mmu/guest_access.h"

namespace shadowbox {

namespace {
/// Freed pages wait for company before the host takes them: one madvise for a run costs as much as for one.
constexpr std::size_t kReturnBatch = 256;
constexpr u64 kBlockBytes = u64{kPagesPerLarge} << kPageShift;
}  // namespace

const char* machine_state_name(MachineState state) {
    static const char* const kNames[kMachineStates] = {"free",   "returning", "releasing", "private",
                                                       "shared", "dying",     "host"};
    return static_cast<unsigned>(state) < kMachineStates ? kNames[static_cast<unsigned>(state)] : "invalid";
}

Expected<std::unique_ptr<MachinePool>> MachinePool::create(u64 capacity_pages, u64 max_reserved_pages) {
    if (capacity_pages == 0) return make_error(ErrorCode::kInvalidArgument, "the pool cannot be empty");
    u64 wanted = std::max(capacity_pages, max_reserved_pages);
    u64 blocks = (wanted + kPagesPerLarge - 1) / kPagesPerLarge + 1;  // block 0 is the host's
    std::unique_ptr<MachinePool> pool(new MachinePool(blocks));
    pool->capacity_ = capacity_pages;
    pool->reserved_ = blocks * kPagesPerLarge;
    Expected<MemoryMap> region = MemoryMap::reserve(pool->reserved_ << kPageShift, kBlockBytes);
    if (!region) return wrap_error(region.error(), "cannot reserve a pool of {} MiB", wanted >> 8);
    Expected<MemoryMap> metadata = MemoryMap::reserve(pool->reserved_ * sizeof(Metadata));
    Expected<MemoryMap> states = MemoryMap::reserve(pool->reserved_ * sizeof(MachineState));
    if (!metadata || !states)
        return wrap_error((metadata ? states : metadata).error(), "cannot reserve the pool's metadata");
    pool->region_ = std::move(*region);
    pool->metadata_map_ = std::move(*metadata);
    pool->state_map_ = std::move(*states);
    // Large host pages are asked for block by block: where the host gives them unasked, a freed page would
    // come back with its neighbours.
    pool->region_.advise_small(0, pool->reserved_ << kPageShift);
    // Only writes trap: nobody may ever change the page of zeros.
    if (!pool->region_.protect(0, kPageSize, MemoryMap::Protection::kRead)) {
        return make_error(ErrorCode::kOutOfMemory, "cannot protect the zero page");
    }
    for (u64 i = 0; i < kPagesPerLarge; ++i) pool->state_word(Mpn(i)) = MachineState::kHost;
    pool->by_state_[static_cast<unsigned>(MachineState::kHost)] = kPagesPerLarge;
    pool->by_state_[static_cast<unsigned>(MachineState::kFree)] = pool->reserved_ - kPagesPerLarge;
    return pool;
}

MachinePool::~MachinePool() = default;

u64 MachinePool::in_use() const {
    return by_state_[static_cast<unsigned>(MachineState::kPrivate)] +
           by_state_[static_cast<unsigned>(MachineState::kShared)] +
           by_state_[static_cast<unsigned>(MachineState::kDying)];
}

void MachinePool::change_state(Mpn mpn, MachineState to) {
    std::atomic<MachineState>& state = state_word(mpn);
    --by_state_[static_cast<unsigned>(state.load(std::memory_order_relaxed))];
    ++by_state_[static_cast<unsigned>(to)];
    state.store(to, std::memory_order_release);
}

// --- frames ---

/// A freed frame that the host still has memory for.
std::optional<MachinePool::Frame> MachinePool::take_returning(PageZone zone) {
    while (!returning_.empty()) {
        const Mpn mpn = returning_.back();
        if (state(mpn) == MachineState::kReturning && !blocks_.in_zone(mpn, zone)) return std::nullopt;
        returning_.pop_back();
        if (state(mpn) == MachineState::kReturning) return Frame{mpn, true};
    }
    return std::nullopt;
}

std::optional<MachinePool::Frame> MachinePool::take_frame(const PageRequest& request) {
    const u64 block = request.owner.ppn.value / kPagesPerLarge;
    if (std::optional<u64> number = blocks_.block_for(block_key(request.owner.vm, block), request.zone)) {
        const Mpn wanted(*number * kPagesPerLarge + request.owner.ppn.value % kPagesPerLarge);
        if (blocks_.take_exactly(wanted)) return Frame{wanted};
        if (state(wanted) == MachineState::kReturning) return Frame{wanted, true};
    }
    if (std::optional<Frame> frame = take_returning(request.zone)) return frame;
    if (std::optional<Mpn> mpn = blocks_.take_scattered(request.zone)) return Frame{*mpn};
    return std::nullopt;
}

void MachinePool::free_frame(Mpn mpn) {
    metadata(mpn).references = 0;
    metadata(mpn).hash.store(0, std::memory_order_relaxed);
    change_state(mpn, MachineState::kReturning);
    returning_.push_back(mpn);
}

/// What has to follow once the bookkeeping is done: those who wait for room are told, the host gets a full
/// batch.
void MachinePool::after_freeing(std::unique_lock<std::mutex> lock) {
    std::vector<std::function<void()>> told = take_room_waiters();
    const bool full = returning_.size() >= kReturnBatch;
    lock.unlock();
    for (auto& tell : told) tell();
    if (full) return_frames();
}

void MachinePool::return_frames() {
    std::lock_guard calls(host_calls_);
    std::vector<Mpn> batch;
    std::vector<u64> broken;  // blocks that lose a part
    {
        std::lock_guard lock(mutex_);
        batch.swap(returning_);
        std::sort(batch.begin(), batch.end());
        batch.erase(std::unique(batch.begin(), batch.end()), batch.end());
        std::erase_if(batch, [&](Mpn mpn) { return state(mpn) != MachineState::kReturning; });
        for (std::size_t first = 0, end; first < batch.size(); first = end) {
            const u64 block = batch[first].value / kPagesPerLarge;
            for (end = first; end < batch.size() && batch[end].value / kPagesPerLarge == block; ++end)
                change_state(batch[end], MachineState::kReleasing);
            const bool whole = blocks_.free_frames(block) + (end - first) == kPagesPerLarge;
            if (whole || !blocks_.huge(block)) continue;
            blocks_.set_huge(block, false);
            broken.push_back(block);
        }
    }
    give_to_host(batch, broken);
}

void MachinePool::trim() {
    return_frames();
    // A large host page took 2 MiB at its first touch, also for frames that nobody has asked for since.
    std::lock_guard calls(host_calls_);
    std::vector<Mpn> batch;
    std::vector<u64> broken;
    {
        std::lock_guard lock(mutex_);
        for (u64 block = 1; block < reserved_ / kPagesPerLarge; ++block) {
            if (!blocks_.huge(block) || blocks_.free_frames(block) == 0) continue;
            blocks_.set_huge(block, false);
            broken.push_back(block);
            for (u64 i = 0; i < kPagesPerLarge; ++i) {
                const Mpn mpn(block * kPagesPerLarge + i);
                if (!blocks_.take_exactly(mpn)) continue;
                change_state(mpn, MachineState::kReleasing);
                batch.push_back(mpn);
            }
        }
    }
    give_to_host(batch, broken);
}

/// `batch`: frames in state kReleasing, in order. host_calls_ is held.
void MachinePool::give_to_host(const std::vector<Mpn>& batch, const std::vector<u64>& broken) {
    // Un-asked first, else the host would make the large page whole again, freed parts and all.
    for (u64 block : broken) region_.advise_small(block * kBlockBytes, kBlockBytes);
    std::vector<bool> gone(batch.size());
    for (std::size_t first = 0, end; first < batch.size(); first = end) {
        for (end = first + 1; end < batch.size() && batch[end] == batch[end - 1] + 1; ++end) {}
        const bool ok = region_.release(batch[first].value << kPageShift, (end - first) << kPageShift);
        std::fill(gone.begin() + static_cast<std::ptrdiff_t>(first),
                  gone.begin() + static_cast<std::ptrdiff_t>(end), ok);
    }
    std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (gone[i]) {
            change_state(batch[i], MachineState::kFree);
            blocks_.give_back(batch[i]);
        } else {
            // The host refused (locked memory): the page stays usable, it is cleared when handed out.
            change_state(batch[i], MachineState::kReturning);
            returning_.push_back(batch[i]);
        }
    }
}

/// A large host page takes 2 MiB at its first touch. That stays within what --pool promises only while all
/// reserved blocks together fit the cap.
bool MachinePool::wants_huge(Mpn mpn) {
    const u64 block = mpn.value / kPagesPerLarge;
    return blocks_.take_fresh(block) && !blocks_.huge(block) &&
           blocks_.reserved_blocks() * kPagesPerLarge <= capacity_;
}

void MachinePool::ask_for_huge(u64 block) {
    // Advice, not worth waiting for somebody who gives much memory back.
    std::unique_lock calls(host_calls_, std::try_to_lock);
    if (!calls) return;
    {
        std::lock_guard lock(mutex_);
        if (blocks_.free_frames(block) == kPagesPerLarge) return;  // freed meanwhile
        blocks_.set_huge(block, true);
    }
    region_.advise_huge(block * kBlockBytes, kBlockBytes);
}

// --- pages ---

std::optional<Mpn> MachinePool::allocate(const PageRequest& request) {
    Frame frame;
    bool huge;
    for (;;) {
        std::unique_lock lock(mutex_);
        if (in_use() + (request.purpose == PagePurpose::kGuest ? reserve_ : 0) >= capacity_)
            return std::nullopt;
        std::optional<Frame> taken = take_frame(request);
        if (!taken) {
            if (!by_state_[static_cast<unsigned>(MachineState::kReleasing)]) return std::nullopt;
            lock.unlock();
            std::lock_guard until_released(host_calls_);
            continue;
        }
        frame = *taken;
        change_state(frame.mpn, MachineState::kPrivate);
        Metadata& meta = metadata(frame.mpn);
        meta.references = 1;
        meta.owner_vm = static_cast<u32>(request.owner.vm.value);
        meta.owner_ppn_or_head = static_cast<u32>(request.owner.ppn.value);
        meta.hash.store(0, std::memory_order_relaxed);
        peak_in_use_ = std::max(peak_in_use_, in_use());
        huge = wants_huge(frame.mpn);
        break;
    }
    if (huge) ask_for_huge(frame.mpn.value / kPagesPerLarge);
    // A frame of the host's is zero already, and its first touch is here; one of ours still has its last
    // owner's bytes.
    if (frame.dirty)
        guest_zero_page(host(frame.mpn));
    else
        guest_store<u64>(host(frame.mpn), 0);
    return frame.mpn;
}

bool MachinePool::retain(Mpn mpn, VmId vm, Ppn ppn) {
    std::lock_guard lock(mutex_);
    Metadata& meta = metadata(mpn);
    VM_CHECK(state(mpn) == MachineState::kPrivate || state(mpn) == MachineState::kShared);
    if (meta.references >= kMostOwners) return false;
    if (state(mpn) == MachineState::kPrivate) {
        meta.owner_ppn_or_head =
            chains_.push(SharerChains::kEnd, {VmId(meta.owner_vm), Ppn(meta.owner_ppn_or_head)});
        ++shared_references_;
        change_state(mpn, MachineState::kShared);
    }
    meta.owner_ppn_or_head = chains_.push(meta.owner_ppn_or_head, {vm, ppn});
    ++meta.references;
    ++shared_references_;
    return true;
}

void MachinePool::release(Mpn mpn, VmId vm, Ppn ppn) {
    std::unique_lock lock(mutex_);
    Metadata& meta = metadata(mpn);
    VM_CHECK(meta.references > 0);
    if (state(mpn) == MachineState::kShared) {
        meta.owner_ppn_or_head = chains_.remove(meta.owner_ppn_or_head, {vm, ppn});
        --shared_references_;
    } else {
        VM_CHECK(meta.owner_vm == vm.value && meta.owner_ppn_or_head == ppn.value);
    }
    if (--meta.references > 0) return;
    if (meta.pins.load(std::memory_order_relaxed)) {
        change_state(mpn, MachineState::kDying);
        return;
    }
    free_frame(mpn);
    after_freeing(std::move(lock));
}

bool MachinePool::claim_private(Mpn mpn, VmId vm, Ppn ppn) {
    std::lock_guard lock(mutex_);
    Metadata& meta = metadata(mpn);
    if (state(mpn) == MachineState::kPrivate)
        return meta.owner_vm == vm.value && meta.owner_ppn_or_head == ppn.value;
    if (state(mpn) != MachineState::kShared || meta.references != 1 || meta.pins != 0) return false;
    const u32 chain = meta.owner_ppn_or_head;
    VM_CHECK((chains_.first(chain) == PageOwner{vm, ppn}));
    chains_.remove(chain, {vm, ppn});
    --shared_references_;
    meta.owner_vm = static_cast<u32>(vm.value);
    meta.owner_ppn_or_head = static_cast<u32>(ppn.value);
    change_state(mpn, MachineState::kPrivate);
    return true;
}

void MachinePool::rename_owner(Mpn mpn, VmId vm, Ppn from, Ppn to) {
    std::lock_guard lock(mutex_);
    Metadata& meta = metadata(mpn);
    if (state(mpn) == MachineState::kShared) {
        chains_.rename(meta.owner_ppn_or_head, {vm, from}, to);
        return;
    }
    VM_CHECK(meta.owner_vm == vm.value && meta.owner_ppn_or_head == from.value);
    meta.owner_ppn_or_head = static_cast<u32>(to.value);
}

void MachinePool::forget_vm(VmId vm) {
    return_frames();
    std::lock_guard lock(mutex_);
    blocks_.forget_keys(block_key(vm, 0), block_key(vm, (u64{1} << 40) - 1));
}

void MachinePool::pin(Mpn mpn) {
    std::lock_guard lock(mutex_);
    VM_CHECK(metadata(mpn).references > 0);
    ++metadata(mpn).pins;
}

void MachinePool::unpin(Mpn mpn) {
    std::unique_lock lock(mutex_);
    VM_CHECK(metadata(mpn).pins > 0);
    if (--metadata(mpn).pins != 0 || state(mpn) != MachineState::kDying) return;
    free_frame(mpn);
    after_freeing(std::move(lock));
}

// --- room ---

std::vector<std::function<void()>> MachinePool::take_room_waiters() {
    std::vector<std::function<void()>> told;
    if (has_room()) told.swap(room_waiters_);
    return told;
}

void MachinePool::when_room(std::function<void()> told) {
    {
        std::lock_guard lock(mutex_);
        if (!has_room()) {
            room_waiters_.push_back(std::move(told));
            return;
        }
    }
    told();
}

u64 MachinePool::available() const {
    std::lock_guard lock(mutex_);
    return has_room() ? capacity_ - reserve_ - in_use() : 0;
}

void MachinePool::set_capacity(u64 pages) {
    std::unique_lock lock(mutex_);
    capacity_ = std::min(pages, reserved_ - kPagesPerLarge);
    after_freeing(std::move(lock));
}

void MachinePool::set_reserve(u64 pages) {
    std::unique_lock lock(mutex_);
    reserve_ = pages;
    after_freeing(std::move(lock));
}

void MachinePool::set_low_zone(u64 pages) {
    std::lock_guard lock(mutex_);
    blocks_.set_low_zone((pages + kPagesPerLarge - 1) / kPagesPerLarge);
}

// --- looking ---

bool MachinePool::in_zone(Mpn mpn, PageZone zone) const {
    std::lock_guard lock(mutex_);
    return blocks_.in_zone(mpn, zone);
}

u64 MachinePool::overhead_bytes() const {
    std::lock_guard lock(mutex_);
    return chains_.bytes() + (by_state_[static_cast<unsigned>(MachineState::kHost)] + peak_in_use_) *
                                 (sizeof(Metadata) + sizeof(MachineState));
}

std::vector<PageOwner> MachinePool::owners(Mpn mpn) const {
    std::lock_guard lock(mutex_);
    std::vector<PageOwner> owners;
    if (mpn.value >= reserved_) return owners;
    const Metadata& meta = metadata(mpn);
    if (state(mpn) == MachineState::kPrivate)
        owners.push_back({VmId(meta.owner_vm), Ppn(meta.owner_ppn_or_head)});
    if (state(mpn) == MachineState::kShared)
        chains_.for_each(meta.owner_ppn_or_head, [&](PageOwner owner) { owners.push_back(owner); });
    return owners;
}

PoolTotals MachinePool::totals() const {
    std::lock_guard lock(mutex_);
    PoolTotals totals;
    totals.capacity = capacity_;
    totals.reserved = reserved_;
    totals.in_use = in_use();
    std::copy(std::begin(by_state_), std::end(by_state_), std::begin(totals.by_state));
    totals.references = shared_references_;
    totals.peak_in_use = peak_in_use_;
    return totals;
}

void MachinePool::inspect(Inspector& inspector) const {
    PoolTotals now = totals();
    inspector.field("capacity", now.capacity);
    inspector.field("reserved", now.reserved);
    inspector.field("in use", now.in_use);
    inspector.field("peak in use", now.peak_in_use);
    for (unsigned i = 0; i < kMachineStates; ++i) {
        inspector.field(machine_state_name(static_cast<MachineState>(i)), now.by_state[i]);
    }
    u64 shared = now.by_state[static_cast<unsigned>(MachineState::kShared)];
    inspector.field("owners of shared pages", now.references);
    inspector.field("saved by sharing", now.references - shared);
}

}  // namespace shadowbox
