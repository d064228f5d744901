// SPDX-License-Identifier: MIT
#include "cpu/blocks/block.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <thread>

#include "core/check.h"
#include "cpu/decode/absent_opcodes.h"
#include "cpu/decode/decoder.h"
#include "cpu/jit/jit.h"
#include "cpu/ops/pseudo.h"
#include "cpu/state/vcpu.h"
#include "mmu/guest_access.h"

namespace shadowbox {

namespace {
constexpr u32 kManyKills = 4;              ///< in quick succession: then blocks of the page die one by one
constexpr GuestNs kThrashing = 5'000'000;  ///< a page whose code dies more often than that is thrashing
constexpr unsigned kMaxCells = kMaxBlockInsns + 1;
constexpr u64 kMaxBlockBytes = sizeof(Block) + kMaxCells * sizeof(Insn);

u64 lines_of(u32 offset, u32 size) {
    u32 first = offset / 64, last = std::min<u32>(offset + size - 1, kPageSize - 1) / 64;
    return (last == 63 ? ~u64{0} : (u64{1} << (last + 1)) - 1) & ~((u64{1} << first) - 1);
}
}  // namespace

/// Bytes from RIP to the end of the code segment.
static u64 bytes_in_segment(const Vcpu& cpu) {
    return cpu.mode & mode_bits::kLong64 ? ~u64{0} : u64{cpu.seg[kCs].limit} + 1 - cpu.rip;
}

u64 Block::linear() const { return mode & mode_bits::kLong64 ? rip : (rip + (mode >> 32)) & 0xFFFFFFFF; }

u64 Block::second_page() const {
    const u64 next = (linear() & ~kPageOffsetMask) + kPageSize;
    return mode & mode_bits::kLong64 ? next : next & 0xFFFFFFFF;
}

bool Block::overlaps(u64 page, u32 offset, u32 size) const {
    const u32 start = static_cast<u32>(linear() & kPageOffsetMask), end = start + byte_count;
    if (page == ppn && offset < end && start < offset + size) return true;
    return page == second_ppn && offset + kPageSize < end;
}

struct BlockCache::Posted {
    struct Write {
        Ppn ppn;
        u32 offset, size;
    };
    std::mutex mutex;
    std::vector<Write> writes;
    std::thread::id owner;
};

BlockCache::BlockCache(Vcpu& cpu, u64 bytes) : cpu_(cpu), posted_(std::make_unique<Posted>()) {
    scratch_ = static_cast<Block*>(std::calloc(1, kMaxBlockBytes));
    VM_CHECK(scratch_);
    static_assert(kMinBytes / kCodeRegions >= kMaxBlockBytes);
    divide(bytes);
}

BlockCache::~BlockCache() { std::free(scratch_); }

Block* BlockCache::probe(const Vcpu& cpu, u64 rip) const {
    Block* block = jump_[jump_index(rip)];
    if (!block || block->rip != rip || block->mode != cpu.mode) return nullptr;
    u64 linear = cpu.mode & mode_bits::kLong64 ? rip : (rip + (cpu.mode >> 32)) & 0xFFFFFFFF;
    const CodeTlbEntry* entry = cpu.mmu.context()->probe_code(linear);
    if (!entry || entry->ppn() != block->ppn) return nullptr;
    return !block->crosses() || still_crosses(cpu, *block) ? block : nullptr;
}

/// The second page is in the code TLB, and the one that the block was made from.
bool BlockCache::still_crosses(const Vcpu& cpu, const Block& block) const {
    const CodeTlbEntry* entry = cpu.mmu.context()->probe_code(block.second_page());
    return entry && entry->ppn() == block.second_ppn;
}

Block* BlockCache::known(const Vcpu& cpu, u64 rip) const {
    u64 linear = cpu.mode & mode_bits::kLong64 ? rip : (rip + (cpu.mode >> 32)) & 0xFFFFFFFF;
    const CodeTlbEntry* entry = cpu.mmu.context()->probe_code(linear);
    if (!entry) return nullptr;
    const u64 ppn = entry->ppn();
    for (Block* block = table_.chain(rip, ppn); block; block = block->next_in_bucket) {
        if (block->rip == rip && block->mode == cpu.mode && block->ppn == ppn &&
            (!block->crosses() || still_crosses(cpu, *block)))
            return block;
    }
    return nullptr;
}

void BlockCache::kill(Block* block) {
    if (block->ppn == kInvalidPpn.value) return;  // by its other page
    if (cpu_.jit) cpu_.jit->forget(*block);
    // The block may be running: its cells from here on look the code up again, as the manual lets a processor
    // do (SDM 3A 8.1.3).
    for (unsigned i = 0; i < block->cells; ++i) block->insns[i].handler = op_stale;
    table_.remove(block);
    if (Block*& slot = jump_[jump_index(block->rip)]; slot == block) slot = nullptr;
    block->ppn = kInvalidPpn.value;
    block->link[0] = block->link[1] = nullptr;
}

void BlockCache::invalidate(Ppn ppn, u32 offset, u32 size) {
    auto found = pages_.find(ppn.value);
    if (found == pages_.end()) { return; }
    if (!(found->second.lines & lines_of(offset, size))) return;
    // In 64-bit mode code and data share no page for long, and its pages soon serve other purposes.
    const std::vector<Placement>& placements = found->second.placements;
    const bool legacy = !placements.empty() && !placements.back().long64;  // what it holds of late
    auto thrashing = killed_.find(ppn.value);
    if (legacy && thrashing != killed_.end() && thrashing->second.times >= kManyKills &&
        !holds_code(ppn, offset, size))
        return;
    ++cpu_.counters.code_invalidations;
    Killed& killed = killed_[ppn.value];
    const GuestNs now = cpu_.now();
    killed.times = now - killed.last < kThrashing ? killed.times + 1 : 0;
    killed.last = now;
    if (legacy && killed.times >= kManyKills && kill_overlapping(found->second, ppn, offset, size)) return;
    // All blocks of the page go, so that the page becomes writable at full speed again until it holds code
    // once more.
    for (const Placement& placement : placements) {
        for (Block* block = placement.first; block; block = block->next_on_page) kill(block);
    }
    for (Block* block : found->second.tails) kill(block);
    pages_.erase(found);
    cpu_.mmu.memory().unmark_code(ppn, &cpu_.safepoint);
}

/// Code that is written again and again is not worth translating: each doubling of the executions that it
/// takes.
u32 BlockCache::patience_of(u64 ppn) const {
    auto found = killed_.find(ppn);
    return found == killed_.end() || found->second.times < kManyKills
               ? 0
               : std::min(found->second.times - kManyKills + 1, 8u);
}

/// Where data lies beside code and changes all the time the page's other blocks stay. False: there are none.
bool BlockCache::kill_overlapping(CodePage& page, Ppn ppn, u32 offset, u32 size) {
    for (Placement& placement : page.placements) {
        for (Block** at = &placement.first; *at;) {
            Block* block = *at;
            if (!block->overlaps(ppn.value, offset, size)) {
                at = &block->next_on_page;
                continue;
            }
            *at = block->next_on_page;
            kill(block);
        }
    }
    std::erase_if(page.placements, [](const Placement& placement) { return !placement.first; });
    std::erase_if(page.tails, [&](Block* block) {
        if (!block->overlaps(ppn.value, offset, size)) return false;
        kill(block);
        return true;
    });
    return !page.placements.empty();
}

bool BlockCache::holds_code(Ppn ppn, u32 offset, u32 size) const {
    auto found = pages_.find(ppn.value);
    if (found == pages_.end() || !(found->second.lines & lines_of(offset, size))) return false;
    for (const Placement& placement : found->second.placements) {
        for (const Block* block = placement.first; block; block = block->next_on_page) {
            if (block->overlaps(ppn.value, offset, size)) return true;
        }
    }
    for (const Block* block : found->second.tails) {
        if (block->overlaps(ppn.value, offset, size)) return true;
    }
    return false;
}

void BlockCache::post_invalidate(Ppn ppn, u32 offset, u32 size) {
    std::lock_guard lock(posted_->mutex);
    posted_->writes.push_back({ppn, offset, size});
    cpu_.post_attention(SafepointParticipant::kAttentionCode);
}

void BlockCache::drain_posted() {
    std::vector<Posted::Write> writes;
    {
        std::lock_guard lock(posted_->mutex);
        writes.swap(posted_->writes);
    }
    for (const auto& write : writes) invalidate(write.ppn, write.offset, write.size);
    if (share_ && share_->take_asked()) give_back();
}

/// The block of RIP in the table of all, with its second page looked at.
Block* BlockCache::search(Vcpu& cpu, Ppn ppn) {
    for (Block* block = table_.chain(cpu.rip, ppn.value); block; block = block->next_in_bucket) {
        if (block->rip != cpu.rip || block->mode != cpu.mode || block->ppn != ppn.value) continue;
        if (block->crosses()) {
            Resolved more = cpu.mmu.resolve(Gva(block->second_page()), 1, MemoryAccess::kExecute);
            if (more.kind != Resolved::Kind::kHost || !still_crosses(cpu, *block)) continue;
        }
        return jump_[jump_index(cpu.rip)] = block;
    }
    return nullptr;
}

Block* BlockCache::find(Vcpu& cpu) {
    ++cpu.counters.block_lookups;
    bool long64 = cpu.mode & mode_bits::kLong64;
    u64 linear = long64 ? cpu.rip : (cpu.rip + cpu.seg[kCs].base) & 0xFFFFFFFF;
    if (long64 ? !is_canonical(linear, cpu.cr4) : cpu.rip > cpu.seg[kCs].limit) {
        cpu.raise(Vector::kGP, 0);
        return nullptr;
    }
    Resolved code;
    const CodeTlbEntry* entry = cpu.mmu.context()->probe_code(linear);
    if (!entry) {
        code = cpu.mmu.resolve(Gva(linear), 1, MemoryAccess::kExecute);
        if (code.kind == Resolved::Kind::kHost) entry = cpu.mmu.context()->probe_code(linear);
    }
    if (!entry) return fetch_failed(cpu, code, linear);
    Ppn ppn(entry->ppn());
    const u8* host_page = reinterpret_cast<const u8*>((linear & ~kPageOffsetMask) + entry->host_delta);
    if (!cpu.single) {
        if (Block* block = search(cpu, ppn)) return block;
        if (long64 && take_over(ppn, linear & ~kPageOffsetMask)) {
            if (Block* block = search(cpu, ppn)) return block;
        }
    }
    return decode(cpu, linear, ppn, host_page);
}

/// The fetch met a fault, a wait or MMIO.
Block* BlockCache::fetch_failed(Vcpu& cpu, const Resolved& code, u64 linear) {
    switch (code.kind) {
        case Resolved::Kind::kFault:
            cpu.raise(Fault{Vector::kPF, true, code.error_code, linear, 0});
            return nullptr;
        case Resolved::Kind::kWait: cpu.want_page(ExitReason::kWaitPage, code.gpa.ppn()); return nullptr;
        case Resolved::Kind::kRefused: cpu.want_page(ExitReason::kRefused, code.gpa.ppn()); return nullptr;
        default: break;
    }
    return fetch_from_device(cpu, code.gpa, linear);
}

/// Code in a device's memory: each instruction is fetched through the bus each time it runs, and no block of
/// it is kept. What lies on the next page is asked for only by an instruction that reaches it.
Block* BlockCache::fetch_from_device(Vcpu& cpu, Gpa where, u64 linear) {
    u8 bytes[32];
    const unsigned room = static_cast<unsigned>(kPageSize - (linear & kPageOffsetMask)),
                   first = std::min(room, 16u);
    for (unsigned i = 0; i < first; ++i) bytes[i] = static_cast<u8>(cpu.bus.mmio_read(where + i, 1));
    unsigned available = first;
    Insn insn;
    if (decode_insn({cpu.mode, cpu.rip, &cpu.model}, bytes, first, insn) == DecodeStatus::kNeedMore &&
        first < bytes_in_segment(cpu)) {
        u64 second = linear + first;
        if (!(cpu.mode & mode_bits::kLong64)) second &= 0xFFFFFFFF;
        const Resolved more = cpu.mmu.resolve(Gva(second), 1, MemoryAccess::kExecute);
        if (more.kind == Resolved::Kind::kMmio) {
            for (unsigned i = 0; i < 16; ++i)
                bytes[first + i] = static_cast<u8>(cpu.bus.mmio_read(more.gpa + i, 1));
        } else if (more.kind == Resolved::Kind::kHost) {
            guest_copy_out(bytes + first, more.host, 16);
        } else {
            return fetch_failed(cpu, more, second);
        }
        available = 16;
    }
    return inside_segment(cpu, decode_scratch(cpu, bytes, available));
}

/// Ends a block: a closing cell after instructions that do not jump.
/// The cell behind a block's last instruction goes on to whatever lies there. It is one of the block's where
/// that instruction does not end it; where it does, the cell still stands there, so that a handler which
/// after all goes on to the next cell finds the next instruction and never garbage.
static void close_block(Block& block, unsigned cells, unsigned bytes, bool ended = false) {
    Insn& last = block.insns[cells];
    last = Insn{};
    last.handler = op_block_end;
    last.rip_offset = static_cast<u16>(bytes);
    block.cells = static_cast<u16>(ended ? cells : cells + 1);
}

Block* BlockCache::decode_scratch(Vcpu& cpu, const u8* bytes, unsigned available) {
    Block& block = *scratch_;
    block = Block{cpu.rip, cpu.mode, kInvalidPpn.value,  kInvalidPpn.value, 1,      0,
                  0,       1,        {nullptr, nullptr}, nullptr,           nullptr};
    DecodeContext context{cpu.mode, cpu.rip, &cpu.model};
    Insn& insn = block.insns[0];
    switch (decode_insn(context, bytes, available, insn)) {
        case DecodeStatus::kOk: choose_handler(context, insn, false); break;
        case DecodeStatus::kUndefined: insn.handler = insn.imm ? op_absent : op_undefined; break;
        default: insn.handler = op_too_long; break;
    }
    if (insn.handler == op_absent || insn.handler == op_undefined || insn.handler == op_too_long)
        insn.row = kNoRow;
    block.byte_count = static_cast<u16>(insn.length);
    close_block(block, 1, insn.length);
    return &block;
}

/// `once`, or #GP(0) if its last byte lies beyond the code segment.
Block* BlockCache::inside_segment(Vcpu& cpu, Block* once) {
    if (once->byte_count <= bytes_in_segment(cpu)) return once;
    cpu.raise(Vector::kGP, 0);
    return nullptr;
}

/// An instruction that crosses into the next page. A processor fetches both pages, so a fault on the second
/// comes before it runs.
Block* BlockCache::decode_crossing(Vcpu& cpu, u64 linear, Ppn ppn, const u8* host_page) {
    u8 bytes[32];
    const unsigned offset = static_cast<unsigned>(linear & kPageOffsetMask),
                   first = static_cast<unsigned>(kPageSize) - offset;
    guest_copy_out(bytes, host_page + offset, std::min(first, 16u));
    if (first >= 16) return decode_scratch(cpu, bytes, 16);
    u64 second = linear + first;
    if (!(cpu.mode & mode_bits::kLong64)) second &= 0xFFFFFFFF;
    Resolved more = cpu.mmu.resolve(Gva(second), 1, MemoryAccess::kExecute);
    if (more.kind == Resolved::Kind::kMmio) {
        for (unsigned i = 0; i < 16; ++i)
            bytes[first + i] = static_cast<u8>(cpu.bus.mmio_read(more.gpa + i, 1));
        return inside_segment(cpu, decode_scratch(cpu, bytes, 16));
    }
    if (more.kind != Resolved::Kind::kHost) return fetch_failed(cpu, more, second);
    guest_copy_out(bytes + first, more.host, 16);
    Block* once = inside_segment(cpu, decode_scratch(cpu, bytes, 16));
    if (!once) return nullptr;
    const CodeTlbEntry* entry = cpu.mmu.context()->probe_code(second);
    const bool decoded = once->insns[0].row != kNoRow && once->byte_count > first;
    if (cpu.single || (cpu.mode & mode_bits::kSingleStep) || !entry || !decoded) return once;
    Block* block = allocate(2);
    *block = *once;
    std::copy_n(once->insns, 2, block->insns);
    block->ppn = ppn.value;
    block->second_ppn = entry->ppn();
    keep(block, offset);
    const Ppn tail(block->second_ppn);
    cpu.mmu.memory().mark_code(tail, 0, block->byte_count - first, &cpu.safepoint);
    pages_[tail.value].lines |= lines_of(0, block->byte_count - first);
    pages_[tail.value].tails.push_back(block);
    u8 again[32];
    guest_copy_out(again, host_page + offset, first);
    guest_copy_out(again + first, more.host, block->byte_count - first);
    if (memcmp(bytes, again, block->byte_count) != 0) kill(block);
    return block->ppn == ppn.value ? block : find(cpu);
}

/// Enters a decoded block into the tables and marks its bytes on its (first) page as code.
void BlockCache::keep(Block* block, u32 offset) {
    block->first = block->insns[0].handler;
    if (cpu_.jit) {
        block->insns[0].handler = jit::op_count;
        block->patience = block->mode & mode_bits::kLong64 ? 0 : patience_of(block->ppn);
    }
    const u32 size = std::min<u32>(block->byte_count, static_cast<u32>(kPageSize) - offset);
    cpu_.mmu.memory().mark_code(Ppn(block->ppn), offset, size, &cpu_.safepoint);
    CodePage& page = pages_[block->ppn];
    page.lines |= lines_of(offset, size);
    Placement& placement = placement_of(page, *block);
    block->next_on_page = placement.first;
    placement.first = block;
    table_.insert(block);
    jump_[jump_index(block->rip)] = block;
}

/// Which of the block's instructions compute flags that nobody can see (backward over the block).
static void find_dead_flags(const Insn* insns, unsigned count, bool* dead) {
    u32 live = rflags::kArithmetic;
    for (unsigned i = count; i-- > 0;) {
        const OpcodeRow& row = kOpcodeRows[insns[i].row];
        bool may_fault =
            insns[i].mem || (row.attributes & (aEnd | aString | aSys | aStack)) || row.select == nullptr;
        dead[i] = row.flags_written && !(row.flags_written & live);
        if (!(row.attributes & aCondFlags)) live &= ~row.flags_written;
        live |= row.flags_read;
        if (row.attributes & aCondFlags) live |= row.flags_written & live;
        if (may_fault) live = rflags::kArithmetic;  // a fault's stack image shows them all
    }
}

Block* BlockCache::decode(Vcpu& cpu, u64 linear, Ppn ppn, const u8* host_page) {
    ++cpu.counters.blocks_decoded;
    u32 offset = static_cast<u32>(linear & kPageOffsetMask);
    bool single = cpu.single || (cpu.mode & mode_bits::kSingleStep);
    alignas(16) u8 code[kPageSize];
    u32 room = static_cast<u32>(kPageSize) - offset;
    u32 span = std::min<u32>(room, single ? 16 : kMaxBlockInsns * 15);
    const bool segment_ends = bytes_in_segment(cpu) <= room;
    if (bytes_in_segment(cpu) < span) span = static_cast<u32>(bytes_in_segment(cpu));
    guest_copy_out(code, host_page + offset, span);

    static thread_local Insn insns[kMaxBlockInsns];
    unsigned cells = 0, bytes = 0;
    bool ended = false;
    unsigned limit = single ? 1 : kMaxBlockInsns;
    DecodeContext context{cpu.mode, cpu.rip, &cpu.model};
    while (cells < limit && !ended) {
        Insn& insn = insns[cells];
        context.rip = cpu.rip + bytes;
        DecodeStatus status = decode_insn(context, code + bytes, span - bytes, insn);
        if (status == DecodeStatus::kNeedMore) {
            if (cells == 0 && segment_ends) {  // in the middle of the instruction
                cpu.raise(Vector::kGP, 0);
                return nullptr;
            }
            if (cells == 0) return decode_crossing(cpu, linear, ppn, host_page);
            break;
        }
        insn.rip_offset = static_cast<u16>(bytes);
        if (status != DecodeStatus::kOk) {
            insn.handler = status != DecodeStatus::kUndefined ? op_too_long
                           : insn.imm                         ? op_absent
                                                              : op_undefined;
            if (insn.length == 0) insn.length = 1;
            insn.row = kNoRow;
            ended = true;
        } else {
            const OpcodeRow& row = kOpcodeRows[insn.row];
            ended = (row.attributes & aEnd) || ((row.attributes & aString) && insn.rep != 0);
        }
        if (status == DecodeStatus::kOk && (kOpcodeRows[insn.row].attributes & aBranch) &&
            !(cpu.mode >> 32 & kPageOffsetMask)) {
            insn.same_page = ((context.rip ^ static_cast<u64>(insn.disp)) & ~kPageOffsetMask) == 0;
        }
        bytes += insn.length;
        ++cells;
        if (offset + bytes >= kPageSize) break;
    }
    bool dead[kMaxBlockInsns] = {};
    unsigned known = insns[cells - 1].row == kNoRow ? cells - 1 : cells;
    find_dead_flags(insns, known, dead);
    for (unsigned i = 0; i < known; ++i) choose_handler(context, insns[i], dead[i] && i + 1 < cells);
    unsigned count = cells;
    if (!single && cells >= 2 && known == cells) cells = fuse_compare_and_branch(insns, cells);

    Block* block = single ? scratch_ : allocate(cells + 1);
    *block = Block{cpu.rip,
                   cpu.mode,
                   ppn.value,
                   kInvalidPpn.value,
                   count,
                   static_cast<u16>(bytes),
                   static_cast<u16>(cells),
                   count,
                   {nullptr, nullptr},
                   nullptr,
                   nullptr};
    std::copy_n(insns, cells, block->insns);
    close_block(*block, cells, bytes, ended);
    if (single) {
        block->ppn = kInvalidPpn.value;
        return block;
    }
    keep(block, offset);
    // Marked first, then compared: a store between reading and marking would go unseen.
    alignas(16) u8 again[kPageSize];
    guest_copy_out(again, host_page + offset, bytes);
    if (memcmp(code, again, bytes) != 0) {
        kill(block);
        return find(cpu);
    }
    return block;
}

}  // namespace shadowbox
