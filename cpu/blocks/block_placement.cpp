// SPDX-License-Identifier: MIT
// Where the blocks of a code page lie in linear memory. A program draws new addresses for its libraries at
// each start, the pages behind them stay: a page's blocks that nobody has run for a while at their old
// address are taken over by the new one, all at once, instead of decoding the same bytes again and leaving
// the old blocks to the next eviction. What depends on the address is RIP, branch targets and RIP-relative
// operands. Host code goes.
#include "cpu/blocks/block.h"
#include "cpu/decode/opcode_row.h"
#include "cpu/jit/jit.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {
/// Other address spaces that have run since: fewer, and its page may be wanted again soon. A shell's child
/// takes some six switches.
constexpr u64 kIdleSwitches = 32;
constexpr size_t kManySpaces = 4096;
}  // namespace

void BlockCache::enter_space(u64 cr3) {
    const u64 space = cr3 & ~kPageOffsetMask;  // PCID
    if (space == space_) return;
    if (last_run_.size() >= kManySpaces)
        std::erase_if(last_run_, [&](const auto& entry) { return entry.second + kIdleSwitches < switches_; });
    last_run_[space_] = switches_++;
    space_ = space;
}

BlockCache::Placement& BlockCache::placement_of(CodePage& page, const Block& block) {
    const u64 linear = block.linear() & ~kPageOffsetMask;
    const bool long64 = block.mode & mode_bits::kLong64;
    for (Placement& placement : page.placements) {
        if (placement.linear == linear && placement.long64 == long64) return placement;
    }
    return page.placements.emplace_back(Placement{linear, long64, space_, nullptr});
}

/// The page has no blocks at `linear` yet: those that idled longest elsewhere move there, if any have idled
/// long enough.
bool BlockCache::take_over(Ppn ppn, u64 linear) {
    auto found = pages_.find(ppn.value);
    if (found == pages_.end()) return false;
    Placement* oldest = nullptr;
    u64 oldest_run = switches_;
    for (Placement& placement : found->second.placements) {
        if (!placement.long64) continue;
        if (placement.linear == linear) return false;
        u64 run = 0;  // in this space, elsewhere: of a program that was here before
        if (placement.space != space_) {
            auto last = last_run_.find(placement.space);
            run = last == last_run_.end() ? 0 : last->second;
            if (run + kIdleSwitches >= switches_ && run) continue;
        }
        if (!oldest || run < oldest_run) oldest = &placement, oldest_run = run;
    }
    if (oldest) move(*oldest, linear);
    return oldest;
}

void BlockCache::move(Placement& placement, u64 linear) {
    ++moves_;
    ++generation_;
    cpu_.block = nullptr;
    // Links within the page move along. Before any block does: they are told by RIP.
    for (Block* block = placement.first; block; block = block->next_on_page) {
        for (Block*& link : block->link) {
            if (link && ((link->rip & ~kPageOffsetMask) != placement.linear || link->ppn != block->ppn))
                link = nullptr;
        }
    }
    for (Block* block = placement.first; block; block = block->next_on_page) {
        if (block->ppn == kInvalidPpn.value) continue;
        if (block->code.frame_flags) {
            cpu_.jit->forget(*block);
            block->insns[0].handler = jit::op_count;
        }
        block->heat /= 2;  // what each program runs once does not add up
        table_.remove(block);
        if (Block*& slot = jump_[jump_index(block->rip)]; slot == block) slot = nullptr;
        shift(*block, linear - placement.linear);
        table_.insert(block);
    }
    placement.linear = linear;
    placement.space = space_;
}

/// As if it had been decoded `delta` bytes on, a multiple of the page's size.
void BlockCache::shift(Block& block, u64 delta) {
    block.rip += delta;
    for (unsigned i = 0; i < block.cells; ++i) {
        Insn& insn = block.insns[i];
        if (insn.row == kNoRow) continue;
        const bool relative =
            insn.mem && insn.rm == kNoRegister && insn.index == kNoRegister && insn.scale == kRipRelative;
        if (!relative && !insn.fused && !has_relative_target(kOpcodeRows[insn.row])) continue;
        u64 moved = static_cast<u64>(insn.disp) + delta;
        if (relative && insn.asize == 2) moved = static_cast<u32>(moved);
        insn.disp = static_cast<i64>(moved);
    }
}

}  // namespace shadowbox
