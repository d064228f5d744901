// SPDX-License-Identifier: MIT
// MachinePool: frames, blocks and owners. Every change happens under one mutex; what is read without it is
// atomic.
#include "mmu/machine_pool.h"

#include <algorithm>
#include <bit>

#include "core/check.h"
#include "core/host/host_memory.h"
#include "mmu/guest_access.h"

namespace shadowbox {

namespace {
/// Freed pages wait for company before the host takes them: one madvise for a run costs as much as for one.
constexpr std::size_t kReturnBatch = 256;
constexpr u64 kBlockBytes = u64{kPagesPerLarge} << kPageShift;
}  // namespace

const char* machine_state_name(MachineState state) {
    static const char* const kNames[kMachineStates] = {"free",   "returning", "private",
                                                       "shared", "dying",     "host"};
    return static_cast<unsigned>(state) < kMachineStates ? kNames[static_cast<unsigned>(state)] : "invalid";
}

Expected<std::unique_ptr<MachinePool>> MachinePool::create(u64 capacity_pages, u64 max_reserved_pages) {
    if (capacity_pages == 0) return make_error(ErrorCode::kInvalidArgument, "the pool cannot be empty");
    u64 wanted = std::max(capacity_pages, max_reserved_pages);
    u64 blocks = (wanted + kPagesPerLarge - 1) / kPagesPerLarge + 1;  // block 0 is the host's
    std::unique_ptr<MachinePool> pool(new MachinePool);
    pool->capacity_ = capacity_pages;
    pool->reserved_ = blocks * kPagesPerLarge;
    Expected<MemoryMap> region = MemoryMap::reserve(pool->reserved_ << kPageShift, kBlockBytes);
    if (!region) return wrap_error(region.error(), "cannot reserve a pool of {} MiB", wanted >> 8);
    Expected<MemoryMap> metadata = MemoryMap::reserve(pool->reserved_ * sizeof(Metadata));
    if (!metadata) return wrap_error(metadata.error(), "cannot reserve the pool's metadata");
    pool->region_ = std::move(*region);
    pool->metadata_map_ = std::move(*metadata);
    // Only writes trap: nobody may ever change the page of zeros.
    if (!pool->region_.protect(0, kPageSize, MemoryMap::Protection::kRead)) {
        return make_error(ErrorCode::kOutOfMemory, "cannot protect the zero page");
    }
    pool->blocks_.resize(blocks);
    pool->blocks_[0].reserved = true;
    for (u64 i = 0; i < kPagesPerLarge; ++i) pool->metadata(Mpn(i)).state = MachineState::kHost;
    pool->by_state_[static_cast<unsigned>(MachineState::kHost)] = kPagesPerLarge;
    pool->by_state_[static_cast<unsigned>(MachineState::kFree)] = pool->reserved_ - kPagesPerLarge;
    for (u64 block = blocks - 1; block > 0; --block) {
        std::fill_n(pool->blocks_[block].free, 8, ~u64{0});
        pool->blocks_[block].free_count = kPagesPerLarge;
        pool->free_blocks_.push_back(block);
    }
    return pool;
}

MachinePool::~MachinePool() = default;

u64 MachinePool::in_use() const {
    return by_state_[static_cast<unsigned>(MachineState::kPrivate)] +
           by_state_[static_cast<unsigned>(MachineState::kShared)] +
           by_state_[static_cast<unsigned>(MachineState::kDying)];
}

void MachinePool::change_state(Mpn mpn, MachineState to) {
    std::atomic<MachineState>& state = metadata(mpn).state;
    --by_state_[static_cast<unsigned>(state.load(std::memory_order_relaxed))];
    ++by_state_[static_cast<unsigned>(to)];
    state.store(to, std::memory_order_release);
}

// --- frames and blocks ---

std::optional<u64> MachinePool::new_block() {
    if (free_blocks_.empty()) return std::nullopt;
    u64 number = free_blocks_.back();
    free_blocks_.pop_back();
    Block& block = blocks_[number];
    block.reserved = true;
    block.key = kNoKey;
    ++reserved_blocks_;
    // A large host page takes 2 MiB at its first touch. That stays within what --pool promises only while all
    // reserved blocks together fit the cap.
    if (!block.huge && reserved_blocks_ * kPagesPerLarge <= capacity_) {
        region_.advise_huge(number * kBlockBytes, kBlockBytes);
        block.huge = true;
    }
    return number;
}

std::optional<u64> MachinePool::block_for(u64 key) {
    auto found = block_of_key_.find(key);
    if (found != block_of_key_.end()) return found->second;
    std::optional<u64> number = new_block();
    if (!number) return std::nullopt;
    blocks_[*number].key = key;
    block_of_key_.emplace(key, *number);
    return number;
}

MachinePool::Frame MachinePool::take_from(u64 number, unsigned index) {
    Block& block = blocks_[number];
    block.free[index / 64] &= ~(u64{1} << index % 64);
    --block.free_count;
    return {Mpn(number * kPagesPerLarge + index), false};
}

std::optional<MachinePool::Frame> MachinePool::take_scattered() {
    // Freed pages first: they are in the host's memory already.
    while (!returning_.empty()) {
        Mpn mpn = returning_.back();
        returning_.pop_back();
        if (state(mpn) == MachineState::kReturning) return Frame{mpn, true};
    }
    auto usable = [&](u64 number) { return blocks_[number].reserved && blocks_[number].free_count > 0; };
    if (!usable(scatter_cursor_)) {
        u64 start = scatter_cursor_, number = start;
        do {
            number = number + 1 == blocks_.size() ? 0 : number + 1;
        } while (number != start && !(usable(number) && blocks_[number].key == kNoKey));
        if (number == start) {
            if (std::optional<u64> fresh = new_block()) {
                number = *fresh;
            } else {
                // No block of our own to be had: take from what was reserved for others.
                do {
                    number = number + 1 == blocks_.size() ? 0 : number + 1;
                } while (number != start && !usable(number));
                if (!usable(number)) return std::nullopt;
            }
        }
        scatter_cursor_ = number;
    }
    const Block& block = blocks_[scatter_cursor_];
    for (unsigned word = 0; word < 8; ++word) {
        if (block.free[word]) {
            return take_from(scatter_cursor_,
                             word * 64 + static_cast<unsigned>(std::countr_zero(block.free[word])));
        }
    }
    return std::nullopt;
}

std::optional<MachinePool::Frame> MachinePool::take_frame(VmId vm, Ppn ppn) {
    if (std::optional<u64> number = block_for(block_key(vm, ppn))) {
        unsigned index = static_cast<unsigned>(ppn.value % kPagesPerLarge);
        if (blocks_[*number].free[index / 64] >> index % 64 & 1) return take_from(*number, index);
        Mpn wanted(*number * kPagesPerLarge + index);
        if (state(wanted) == MachineState::kReturning) return Frame{wanted, true};
    }
    return take_scattered();
}

void MachinePool::free_frame(Mpn mpn) {
    metadata(mpn).references = 0;
    metadata(mpn).hash.store(0, std::memory_order_relaxed);
    change_state(mpn, MachineState::kReturning);
    returning_.push_back(mpn);
    if (returning_.size() >= kReturnBatch) return_batch();
}

void MachinePool::frame_is_clean(Mpn mpn) {
    change_state(mpn, MachineState::kFree);
    u64 number = mpn.value / kPagesPerLarge;
    unsigned index = static_cast<unsigned>(mpn.value % kPagesPerLarge);
    Block& block = blocks_[number];
    block.free[index / 64] |= u64{1} << index % 64;
    if (++block.free_count < kPagesPerLarge) return;
    block.reserved = false;
    if (block.key != kNoKey) block_of_key_.erase(block.key);
    block.key = kNoKey;
    --reserved_blocks_;
    free_blocks_.push_back(number);
}

void MachinePool::return_batch() {
    std::vector<Mpn> batch;
    batch.swap(returning_);
    std::sort(batch.begin(), batch.end());
    batch.erase(std::unique(batch.begin(), batch.end()), batch.end());
    // An entry may be stale: the frame was handed out again meanwhile.
    std::erase_if(batch, [&](Mpn mpn) { return state(mpn) != MachineState::kReturning; });
    for (std::size_t first = 0, end; first < batch.size(); first = end) {
        for (end = first + 1; end < batch.size() && batch[end] == batch[end - 1] + 1; ++end) {}
        if (region_.release(batch[first].value << kPageShift, (end - first) << kPageShift)) {
            for (std::size_t i = first; i < end; ++i) frame_is_clean(batch[i]);
        } else {
            // The host refused (locked memory): the pages stay usable, they are cleared when handed out.
            for (std::size_t i = first; i < end; ++i) returning_.push_back(batch[i]);
        }
    }
}

void MachinePool::trim() {
    std::lock_guard lock(mutex_);
    return_batch();
    // A large host page took 2 MiB at its first touch, also for frames that nobody has asked for since.
    for (u64 number = 0; number < blocks_.size(); ++number) {
        Block& block = blocks_[number];
        if (!block.reserved || !block.huge || !block.free_count) continue;
        refuse_huge_pages(region_.data() + number * kBlockBytes, kBlockBytes);
        block.huge = false;
        const auto is_free = [&](unsigned i) {
            return i < kPagesPerLarge && (block.free[i / 64] >> i % 64 & 1);
        };
        for (unsigned i = 0; i < kPagesPerLarge; ++i) {
            const unsigned first = i;
            while (is_free(i)) ++i;
            if (i > first)
                (void)region_.release(number * kBlockBytes + (u64{first} << kPageShift),
                                      u64{i - first} << kPageShift);
        }
    }
}

// --- pages ---

std::optional<Mpn> MachinePool::allocate(VmId vm, Ppn ppn) {
    Frame frame;
    {
        std::lock_guard lock(mutex_);
        if (in_use() >= capacity_) return std::nullopt;
        std::optional<Frame> taken = take_frame(vm, ppn);
        if (!taken) return std::nullopt;
        frame = *taken;
        change_state(frame.mpn, MachineState::kPrivate);
        Metadata& meta = metadata(frame.mpn);
        meta.references = 1;
        meta.owner_vm = static_cast<u32>(vm.value);
        meta.owner_ppn = ppn.value;
        meta.hash.store(0, std::memory_order_relaxed);
        peak_in_use_ = std::max(peak_in_use_, in_use());
    }
    // A frame of the host's is zero already; one of ours still has its last owner's bytes.
    if (frame.dirty) guest_zero_page(host(frame.mpn));
    return frame.mpn;
}

void MachinePool::retain(Mpn mpn, VmId vm, Ppn ppn) {
    std::lock_guard lock(mutex_);
    Metadata& meta = metadata(mpn);
    VM_CHECK(state(mpn) == MachineState::kPrivate || state(mpn) == MachineState::kShared);
    std::vector<PageOwner>& owners = sharers_[mpn.value];
    if (state(mpn) == MachineState::kPrivate) {
        owners.assign(1, PageOwner{VmId(meta.owner_vm), Ppn(meta.owner_ppn)});
        ++shared_references_;
        change_state(mpn, MachineState::kShared);
    }
    owners.push_back({vm, ppn});
    ++meta.references;
    ++shared_references_;
}

void MachinePool::release(Mpn mpn, VmId vm, Ppn ppn) {
    std::lock_guard lock(mutex_);
    Metadata& meta = metadata(mpn);
    VM_CHECK(meta.references > 0);
    if (state(mpn) == MachineState::kShared) {
        std::vector<PageOwner>& owners = sharers_[mpn.value];
        auto owner = std::find(owners.begin(), owners.end(), PageOwner{vm, ppn});
        VM_CHECK(owner != owners.end());
        *owner = owners.back();
        owners.pop_back();
        --shared_references_;
    } else {
        VM_CHECK(meta.owner_vm == vm.value && meta.owner_ppn == ppn.value);
    }
    if (--meta.references > 0) return;
    sharers_.erase(mpn.value);
    if (meta.pins.load(std::memory_order_relaxed)) {
        change_state(mpn, MachineState::kDying);
    } else {
        free_frame(mpn);
    }
}

bool MachinePool::claim_private(Mpn mpn, VmId vm, Ppn ppn) {
    std::lock_guard lock(mutex_);
    Metadata& meta = metadata(mpn);
    if (state(mpn) == MachineState::kPrivate) return meta.owner_vm == vm.value && meta.owner_ppn == ppn.value;
    if (state(mpn) != MachineState::kShared || meta.references != 1) return false;
    VM_CHECK((sharers_[mpn.value].front() == PageOwner{vm, ppn}));
    sharers_.erase(mpn.value);
    --shared_references_;
    meta.owner_vm = static_cast<u32>(vm.value);
    meta.owner_ppn = ppn.value;
    change_state(mpn, MachineState::kPrivate);
    return true;
}

void MachinePool::rename_owner(Mpn mpn, VmId vm, Ppn from, Ppn to) {
    std::lock_guard lock(mutex_);
    Metadata& meta = metadata(mpn);
    if (state(mpn) == MachineState::kShared) {
        for (PageOwner& owner : sharers_[mpn.value]) {
            if (owner == PageOwner{vm, from}) {
                owner.ppn = to;
                return;
            }
        }
        VM_CHECK(!"an owner of the shared page");
    }
    VM_CHECK(meta.owner_vm == vm.value && meta.owner_ppn == from.value);
    meta.owner_ppn = to.value;
}

void MachinePool::forget_vm(VmId vm) {
    std::lock_guard lock(mutex_);
    return_batch();
    // Frames of these blocks may serve other guests as scattered pages; the blocks stay, without their key.
    std::erase_if(block_of_key_, [&](const auto& entry) {
        if (entry.first >> 40 != vm.value) return false;
        blocks_[entry.second].key = kNoKey;
        return true;
    });
}

void MachinePool::pin(Mpn mpn) {
    std::lock_guard lock(mutex_);
    VM_CHECK(metadata(mpn).references > 0);
    ++metadata(mpn).pins;
}

void MachinePool::unpin(Mpn mpn) {
    std::lock_guard lock(mutex_);
    VM_CHECK(metadata(mpn).pins > 0);
    if (--metadata(mpn).pins == 0 && state(mpn) == MachineState::kDying) free_frame(mpn);
}

// --- looking ---

u64 MachinePool::available() const {
    std::lock_guard lock(mutex_);
    u64 used = in_use();
    return used < capacity_ ? capacity_ - used : 0;
}

void MachinePool::set_capacity(u64 pages) {
    std::lock_guard lock(mutex_);
    capacity_ = std::min(pages, reserved_ - kPagesPerLarge);
}

std::vector<PageOwner> MachinePool::owners(Mpn mpn) const {
    std::lock_guard lock(mutex_);
    if (mpn.value >= reserved_) return {};
    if (state(mpn) == MachineState::kPrivate) {
        return {PageOwner{VmId(metadata(mpn).owner_vm), Ppn(metadata(mpn).owner_ppn)}};
    }
    auto found = sharers_.find(mpn.value);
    return found == sharers_.end() ? std::vector<PageOwner>() : found->second;
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
