// SPDX-License-Identifier: MIT
// How translations go: one by one with their blocks, and by region. The code memory is filled region by
// region; when all are full the oldest is evicted. Its blocks stay decoded and count again, so that what is
// hot soon has code once more. Evictions happen in translate(), on the vCPU's thread while it is in C++ with
// no emitted code to return to; no other thread enters this vCPU's code. So the memory can be written at
// once: the grace period is over.
#include <algorithm>

#include "cpu/jit/jit.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
constexpr u64 kHotShare = 47;  ///< per cent of a region; the rest is for cold code
}

void Jit::begin_region() {
    Region& region = current();
    const u64 allowed = std::max(cpu_.blocks->room() / 3 / kCodeRegions, kRoom * 5 / 2);
    const u64 bytes = std::min<u64>(static_cast<u64>(region.bound - region.begin), allowed);
    region.cold_begin = region.cold_used = region.begin + bytes * kHotShare / 100 / 16 * 16;
    region.end = region.begin + bytes;
    emitter_.cursor = current().begin;
    cold_cursor_ = current().cold_begin;
}

/// Behind the stubs, which stay.
void Jit::make_regions() {
    u8* at = emitter_.cursor;
    const u64 bytes = static_cast<u64>(memory_.writable() + memory_.size() - at) / kCodeRegions & ~u64{15};
    for (Region& region : regions_) {
        region.begin = at;
        region.bound = region.end = at += bytes;
        region.cold_begin = region.begin;
        clear(region);
    }
    begin_region();
}

void Jit::clear(Region& region) {
    region.used = region.begin;
    region.cold_used = region.cold_begin;
    region.links.resize(1);  // number 0 ends lists
    region.shortcut_exits.clear();
    region.caches.clear();
    region.returns.clear();
    region.cells.clear();
}

u64 Jit::bytes_used() const {
    auto used = [](const Region& r, const u8* hot, const u8* cold) {
        return static_cast<u64>(hot - r.begin + (cold - r.cold_begin));
    };
    u64 bytes = static_cast<u64>(regions_[0].begin - memory_.writable()) +
                used(regions_[region_], emitter_.cursor, cold_cursor_);
    for (unsigned i = 0; i < kCodeRegions; ++i) {
        if (i != region_) bytes += used(regions_[i], regions_[i].used, regions_[i].cold_used);
    }
    return bytes;
}

u64 Jit::bytes_held() const {
    u64 bytes = bytes_used() + legacy_table_.memory.size();
    for (const JumpTable& table : tables_) bytes += table.memory.size();
    for (const Region& r : regions_) {
        bytes += r.links.capacity() * sizeof(Link) + r.shortcut_exits.capacity() * sizeof(ShortcutExit) +
                 r.caches.size() * sizeof(InlineCache) + r.returns.size() * sizeof(ReturnSite) +
                 r.cells.size() * kCellBytes;
    }
    return bytes;
}

u32 Jit::add_link(const Link& added) {
    current().links.push_back(added);
    return static_cast<u32>(region_ << kRegionShift | (current().links.size() - 1));
}

u32 Jit::add_shortcut_exit(const ShortcutExit& exit) {
    current().shortcut_exits.push_back(exit);
    return static_cast<u32>(region_ << kRegionShift | (current().shortcut_exits.size() - 1));
}

void Jit::forget(Block& block) {
    code_died_ = true;
    if (!block.code.frame_flags) return;
    for (u32 number = block.code.incoming; number;) {
        Link& in = link(number);
        number = in.next_incoming;
        in.to = nullptr;
        in.next_incoming = 0;
        point(in, in.thunk);
    }
    if (!(block.mode & mode_bits::kLong64)) set_jump(block.mode, block.rip, nullptr);
    for (JumpTable& table : tables_) {
        if (table.mode != block.mode || !table.memory) continue;
        const unsigned index = jump_index(block.rip);
        if (JumpEntry& entry = table.entries()[index]; entry.rip == block.rip)
            entry = empty_jump_entry(index);
    }
    const u8 avoid = block.code.avoid;
    block.code = BlockCode{};
    block.code.avoid = avoid;
}

void Jit::drop(Block& block) {
    forget(block);
    block.insns[0].handler = op_count;
    block.heat = 0;
}

void Jit::next_region() {
    current().used = emitter_.cursor;
    current().cold_used = cold_cursor_;
    region_ = (region_ + 1) % kCodeRegions;
    if (current().used != current().begin) evict(region_);
    begin_region();
}

void Jit::evict(unsigned number) {
    ++counters_.evictions;
    Region& region = regions_[number];
    cpu_.blocks->each_block([&](Block& block) {
        const u8* code = block.code.frame_flags;
        if (!code) return;
        if (code >= region.begin && code < region.end) return drop(block);
        // Links out of the region, also those of translations that were dead already.
        for (u32* next = &block.code.incoming; *next;) {
            Link& in = link(*next);
            if (*next >> kRegionShift == number)
                *next = in.next_incoming;
            else
                next = &in.next_incoming;
        }
    });
    clear(region);
    cpu_.mmu.forget_returns();
}

void Jit::flush() {
    ++counters_.flushes;
    cpu_.mmu.forget_returns();
    for (Region& region : regions_) clear(region);
    region_ = 0;
    begin_region();
    if (legacy_table_.memory) legacy_table_.clear();
    for (JumpTable& table : tables_) {
        if (table.memory) table.clear();
    }
}

/// As clear(), and what it had on the heap goes too.
void Jit::release(Region& region) {
    Region empty;
    empty.begin = region.begin, empty.cold_begin = region.cold_begin, empty.end = region.end;
    empty.bound = region.bound;
    region = std::move(empty);
    clear(region);
}

void Jit::give_back() {
    current().used = emitter_.cursor;
    current().cold_used = cold_cursor_;
    for (unsigned i = 1; i <= kCodeRegions; ++i) {
        const unsigned oldest = (region_ + i) % kCodeRegions;
        Region& region = regions_[oldest];
        if (region.used == region.begin) continue;
        evict(oldest);
        release(region);
        const u64 begin = (static_cast<u64>(region.begin - memory_.writable()) + kPageOffsetMask) &
                          ~u64{kPageOffsetMask},
                  end = static_cast<u64>(region.bound - memory_.writable()) & ~u64{kPageOffsetMask};
        if (begin < end) memory_.release(begin, end - begin);
        if (oldest == region_) begin_region();
        return;
    }
}

void Jit::release() {
    const u64 first = (static_cast<u64>(regions_[0].begin - memory_.writable()) + kPageSize - 1) &
                      ~u64{kPageOffsetMask};  // behind the stubs
    memory_.release(first, memory_.size() - first);
    for (Region& region : regions_) { release(region); }
    begin_region();
    legacy_table_ = {};
    for (JumpTable& table : tables_) table = {};
    jump_table_ = nullptr;
    table_mode_ = ~u64{0};
}

}  // namespace shadowbox::jit
