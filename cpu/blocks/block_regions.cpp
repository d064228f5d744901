// SPDX-License-Identifier: MIT
// The memory of decoded blocks: regions that are filled in turn, the oldest evicted when there is no other.
// A block dies at an eviction as it does when its bytes change, but here its memory is used again at once.
// What could still point to it is other blocks' links, translations that go on with it, and the tables of
// pages: all are looked through. Nothing else does: eviction happens inside find(), on the vCPU's thread and
// outside emitted code, and who calls find() compares generation() before touching a block that was found
// earlier. No other thread enters this vCPU's blocks, so there is no grace period to wait for.
#include <algorithm>

#include "core/check.h"
#include "cpu/blocks/block.h"
#include "cpu/jit/jit.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {
constexpr u64 kSmallStart = 2u << 20;
constexpr u64 kNoteBytes = 64u << 10;  ///< so many make the budget look again; a power of two
}  // namespace

void BlockCache::resize(u64 bytes) {
    flush();
    divide(bytes);
}

void BlockCache::divide(u64 bytes) {
    VM_CHECK(bytes >= kMinBytes);
    region_bytes_ = bytes / kCodeRegions & ~u64{alignof(Block) - 1};
    Expected<MemoryMap> arena =
        MemoryMap::reserve(region_bytes_ * kCodeRegions);  // takes host memory only where blocks are
    VM_CHECK(arena.has_value());
    arena_ = std::move(*arena);
    // Few blocks, as of a guest that idles, do not take a large page.
    if (arena_.size() > kSmallStart) arena_.advise_huge(kSmallStart, arena_.size() - kSmallStart);
    region_limit_ = region_limit();
}

void BlockCache::flush() {
    for (auto& [ppn, page] : pages_) cpu_.mmu.memory().unmark_code(Ppn(ppn), &cpu_.safepoint);
    std::fill(std::begin(jump_), std::end(jump_), nullptr);
    table_.clear();
    pages_.clear();
    last_run_.clear();
    if (cpu_.jit) cpu_.jit->flush();
    regions_.fill({});
    region_ = 0;
    ++generation_;
    cpu_.block = nullptr;
}

void BlockCache::release() {
    flush();
    (void)arena_.release(0, arena_.size());
    table_ = BlockTable();
    killed_ = {};
    if (cpu_.jit) cpu_.jit->release();
    note_bytes();
}

void BlockCache::join(CodeBudget& budget) {
    share_ = std::make_unique<CodeBudget::Share>(
        budget, [this] { cpu_.post_attention(SafepointParticipant::kAttentionCode); });
    region_limit_ = region_limit();
}

void BlockCache::note_bytes() {
    if (share_) share_->set(bytes_used() + (cpu_.jit ? cpu_.jit->bytes_held() : 0));
}

/// Blocks take twice what their host code takes. A smaller region goes sooner, and makes less of a gap.
u64 BlockCache::region_limit() const {
    return std::max(std::min(room() / 3 * 2 / kCodeRegions, region_bytes_), kMinBytes / kCodeRegions);
}

/// The oldest region of blocks and that of host code; those that are being filled only if there are no
/// others.
void BlockCache::give_back() {
    for (unsigned i = 1; i <= kCodeRegions; ++i) {
        const unsigned oldest = (region_ + i) % kCodeRegions;
        if (!regions_[oldest].used) continue;
        evict(oldest);
        const u64 begin = (oldest * region_bytes_ + kPageSize - 1) & ~u64{kPageOffsetMask},
                  end = (oldest + 1) * region_bytes_ & ~u64{kPageOffsetMask};
        if (begin < end) (void)arena_.release(begin, end - begin);
        break;
    }
    if (cpu_.jit) cpu_.jit->give_back();
    note_bytes();
}

u64 BlockCache::bytes_used() const {
    u64 bytes = 0;
    for (const Region& region : regions_) bytes += region.used;
    return bytes;
}

u64 BlockCache::block_count() const {
    u64 blocks = 0;
    for (const Region& region : regions_) blocks += region.count;
    return blocks;
}

Block* BlockCache::allocate(unsigned cells) {
    const u64 bytes = sizeof(Block) + cells * sizeof(Insn);
    if (regions_[region_].used + bytes > region_limit_) {
        region_ = (region_ + 1) % kCodeRegions;
        if (regions_[region_].used) evict(region_);
        region_limit_ = region_limit();
    }
    Region& region = regions_[region_];
    if (share_ && (region.used ^ (region.used + bytes)) >= kNoteBytes) note_bytes();
    auto* block = reinterpret_cast<Block*>(arena_.data() + region_ * region_bytes_ + region.used);
    region.used += bytes;
    ++region.count;
    return block;
}

void BlockCache::evict(unsigned region) {
    ++evictions_;
    ++generation_;
    cpu_.block = nullptr;
    auto evicted = [&](const Block* block) { return block && region_of(block) == region; };
    auto dead = [&](const Block* block) { return block->ppn == kInvalidPpn.value || evicted(block); };
    for (auto at = pages_.begin(); at != pages_.end();) {
        CodePage& page = at->second;
        for (Placement& placement : page.placements) {
            for (Block** next = &placement.first; *next;) {
                Block* block = *next;
                if (dead(block)) {
                    *next = block->next_on_page;
                    kill(block);
                    continue;
                }
                if (block->code.regions >> region & 1) cpu_.jit->drop(*block);
                for (Block*& link : block->link) {
                    if (evicted(link)) link = nullptr;
                }
                next = &block->next_on_page;
            }
        }
        std::erase_if(page.placements, [](const Placement& placement) { return !placement.first; });
        std::erase_if(page.tails, dead);
        const bool empty = page.empty();
        if (empty) cpu_.mmu.memory().unmark_code(Ppn(at->first), &cpu_.safepoint);
        at = empty ? pages_.erase(at) : std::next(at);
    }
    regions_[region] = {};
}

}  // namespace shadowbox
