// SPDX-License-Identifier: MIT
// Decoded blocks and the per-vCPU cache that holds them. A block is a run of instructions on one page,
// decoded once for one (RIP, mode, PPN); it ends at a control transfer, a mode-changing instruction, the
// page's end or kMaxInsns. An instruction that crosses into the next page is a block of its own, good while
// that page too is mapped as it was. Invalidation replaces the handlers of a dead block by one that looks the
// code up again, so links into it need no check. The memory of blocks is divided into regions, filled in
// turn: when all are full the oldest is evicted (block_regions.cpp).
#pragma once

#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/host/memory_map.h"
#include "cpu/blocks/block_table.h"
#include "cpu/blocks/code_budget.h"
#include "cpu/decode/insn.h"
#include "mmu/machine_bus.h"
#include "mmu/page_types.h"

namespace shadowbox {

class Vcpu;
struct Resolved;

/// Blocks and host code each lie in so many regions; what is evicted, is evicted by region.
constexpr unsigned kCodeRegions = 8;
/// Of host code, for each vCPU, and twice as much for blocks: addresses only, CodeBudget bounds the memory. A
/// compiler's run wants some 100 MiB of code: with 64 MiB, its second run took 9.2 s instead of 6.2.
constexpr u64 kDefaultCodeBytes = 256u << 20;
constexpr u64 kBlockBytesPerCodeByte = 2;

/// Where a block's host code is entered (cpu/jit); all null without code. In the writable view.
struct BlockCode {
    u8* frame_flags = nullptr;  ///< guest flags are in the frame
    u8* host_flags = nullptr;   ///< guest flags are in the host's
    u8* checked = nullptr;      ///< flags in the frame; first checks that the page is still mapped here
    u32 incoming = 0;           ///< list of links into it
    u8 group_failures = 0;      ///< how often the check that accesses share failed, in failure_window
    u8 failure_window = 0;      ///< a number, of host time
    u8 misses : 4 = 0;          ///< how often its page slots were found to miss all the time
    u8 avoid : 4 = 0;           ///< TranslationOptions that did not do; survives the code
    u8 regions = 0;  ///< of the BlockCache, one bit each: where the blocks lie that the code was made from
};

struct Block {
    u64 rip;         ///< of the first instruction (EIP or IP outside 64-bit mode)
    u64 mode;        ///< mode_bits the decoding depended on, and CS.base above them
    u64 ppn;         ///< physical page that holds the code; dead or not kept: kInvalidPpn
    u64 second_ppn;  ///< page of the rest of an instruction that crosses; else kInvalidPpn
    u32 insn_count;  ///< guest instructions
    u16 byte_count;  ///< bytes of code
    u16 cells;       ///< Insn cells, the closing one included
    u64 cost;        ///< budget taken at entry: insn_count
    Block* link[2];  ///< direct successors once known: [0] taken or only, [1] fall-through
    Block* next_on_page;
    Block* next_in_bucket;
    Handler first;  ///< handler of the first cell, where one that counts or enters host code stands in for it
    u32 heat;       ///< executions counted
    u32 patience;   ///< doublings of the executions before translation (BlockCache::patience_of)
    BlockCode code;
    u64 linear() const;       ///< linear address of the first instruction
    u64 second_page() const;  ///< linear address of the page behind this block's
    bool overlaps(u64 page, u32 offset,
                  u32 size) const;  ///< with the block's code bytes; dead ones have none
    bool crosses() const { return second_ppn != kInvalidPpn.value; }
    Insn insns[];  ///< cells; the last one is always a control transfer or the closing pseudo instruction
};

constexpr unsigned kMaxBlockInsns = 64;
constexpr u16 kNoRow = 0xFFFF;  ///< Insn::row of a cell that decoded to no row

/// Merges a compare or test and the conditional branch after it, both last in `insns`, into one cell where a
/// handler for the pair exists (ops/fused.cpp). Returns the new number of cells.
unsigned fuse_compare_and_branch(Insn* insns, unsigned cells);

/// The blocks of one vCPU. Other threads only post invalidations (queue under a mutex, then attention).
class BlockCache {
 public:
    explicit BlockCache(Vcpu& cpu, u64 bytes = kBlockBytesPerCodeByte * kDefaultCodeBytes);
    ~BlockCache();

    /// The block at cpu.rip in cpu.mode; decodes it if new. Raises the fetch fault and returns nullptr
    /// otherwise.
    Block* find(Vcpu& cpu);
    /// Fast look-up for indirect transfers: nullptr on a miss.
    Block* probe(const Vcpu& cpu, u64 rip) const;
    /// Like probe(), but searches all blocks: slower, never misses one that the code TLB lets it see.
    Block* known(const Vcpu& cpu, u64 rip) const;
    /// Bytes of a page changed: kills the blocks that overlap. On the owner's thread.
    void invalidate(Ppn ppn, u32 offset, u32 size);
    /// The bytes are decoded code of this vCPU.
    bool holds_code(Ppn ppn, u32 offset, u32 size) const;
    /// From any thread: queues invalidate() for the owner.
    void post_invalidate(Ppn ppn, u32 offset, u32 size);
    void drain_posted();
    void flush();
    /// All blocks go, with their host code, and the memory of both goes back to the host.
    void release();
    /// CR3 was written.
    void enter_space(u64 cr3);
    /// From now on what this vCPU's blocks and host code take is part of `budget`.
    void join(CodeBudget& budget);
    /// Tells the budget what they take now.
    void note_bytes();
    /// What they may take; without a budget no bound but their regions'.
    u64 room() const { return share_ ? share_->room() : ~u64{0}; }
    /// Room for blocks from now on, at least kMinBytes; all that there are go.
    void resize(u64 bytes);

    u64 bytes_used() const;
    u64 block_count() const;
    /// Regions evicted.
    u64 evictions() const { return evictions_; }
    /// Pages of decoded code that were taken over from another linear address.
    u64 moves() const { return moves_; }
    /// The region that `block`, which is kept, lies in.
    unsigned region_of(const Block* block) const {
        return static_cast<unsigned>((reinterpret_cast<const u8*>(block) - arena_.data()) / region_bytes_);
    }
    /// All blocks that are alive.
    template <class Visit>
    void each_block(Visit visit);
    /// Grows with each flush(), eviction and move: blocks found before one may be gone, or be another
    /// address's.
    u64 generation() const { return generation_; }

    static constexpr unsigned kJumpEntries = 8192;
    static constexpr u64 kMinBytes = 32u << 10;
    static unsigned jump_index(u64 rip) {
        return static_cast<unsigned>((rip ^ rip >> 13) & (kJumpEntries - 1));
    }

 private:
    struct CodePage;
    Block* search(Vcpu& cpu, Ppn ppn);
    Block* decode(Vcpu& cpu, u64 linear, Ppn ppn, const u8* host_page);
    Block* decode_scratch(Vcpu& cpu, const u8* bytes, unsigned available);
    Block* decode_crossing(Vcpu& cpu, u64 linear, Ppn ppn, const u8* host_page);
    bool still_crosses(const Vcpu& cpu, const Block& block) const;
    void keep(Block* block, u32 offset);
    Block* inside_segment(Vcpu& cpu, Block* once);
    bool kill_overlapping(CodePage& page, Ppn ppn, u32 offset, u32 size);
    u32 patience_of(u64 ppn) const;
    Block* fetch_failed(Vcpu& cpu, const Resolved& code, u64 linear);
    Block* fetch_from_device(Vcpu& cpu, Gpa where, u64 linear);
    Block* allocate(unsigned cells);
    void kill(Block* block);
    void divide(u64 bytes);
    void evict(unsigned region);
    void give_back();
    u64 region_limit() const;

    /// The blocks of a code page that were decoded for one linear address of it.
    struct Placement {
        u64 linear;   ///< of the page
        bool long64;  ///< else they stay where they are
        u64 space;    ///< address space that they were decoded in
        Block* first = nullptr;
    };
    struct CodePage {
        u64 lines = 0;
        std::vector<Placement> placements;
        std::vector<Block*> tails;  ///< blocks of the page before whose instruction ends here
        bool empty() const { return placements.empty() && tails.empty(); }
    };
    // block_placement.cpp
    Placement& placement_of(CodePage& page, const Block& block);
    bool take_over(Ppn ppn, u64 linear);
    void move(Placement& placement, u64 linear);
    static void shift(Block& block, u64 delta);
    /// How often a page's code died in quick succession, and when last.
    struct Killed {
        u32 times = 0;
        GuestNs last = 0;
    };
    struct Posted;
    Vcpu& cpu_;
    Block* jump_[kJumpEntries] = {};
    BlockTable table_;
    std::unordered_map<u64, CodePage> pages_;
    u64 space_ = 0, switches_ = 0;           ///< address space that runs, and how many have before it
    std::unordered_map<u64, u64> last_run_;  ///< space -> switches_ when it was left
    std::unordered_map<u64, Killed> killed_;
    struct Region {
        u64 used = 0, count = 0;
    };
    MemoryMap arena_;
    u64 region_bytes_ = 0, region_limit_ = 0;  ///< the latter: of the one that is being filled
    std::array<Region, kCodeRegions> regions_;
    unsigned region_ = 0;  ///< that is being filled; behind it comes the oldest
    u64 generation_ = 0, evictions_ = 0, moves_ = 0;
    Block* scratch_ = nullptr;  // holds the one-instruction blocks that are not kept
    std::unique_ptr<Posted> posted_;
    std::unique_ptr<CodeBudget::Share> share_;
};

template <class Visit>
void BlockCache::each_block(Visit visit) {
    for (auto& [ppn, page] : pages_) {
        for (const Placement& placement : page.placements) {
            for (Block* block = placement.first; block; block = block->next_on_page) {
                if (block->ppn != kInvalidPpn.value) visit(*block);
            }
        }
    }
}

}  // namespace shadowbox
