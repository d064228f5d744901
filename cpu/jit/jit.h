// SPDX-License-Identifier: MIT
// The translator of one vCPU: hot blocks of its BlockCache get host code, which runs until something needs
// C++. Everything here belongs to the vCPU's thread; no other thread touches emitted code.
//
//   BlockCache makes a block -> its first cell counts -> translate() -> its first cell is op_enter_jit ->
//   run() run() ends with the interpreter's next cell, or nullptr for the loop in run.cpp; both see exact
//   state.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "core/host/code_memory.h"
#include "core/host/memory_map.h"
#include "core/inspect.h"
#include "cpu/blocks/block.h"
#include "cpu/jit/emitter.h"
#include "cpu/jit/x87_image.h"
#include "mmu/tlb.h"

namespace shadowbox {
class Vcpu;
struct Resolved;
}  // namespace shadowbox

namespace shadowbox::jit {

class TranslationListener;
class Translator;

/// Why emitted code came back.
enum class ExitKind : u32 {
    kLink,      ///< a direct jump that is not linked; argument: Link number
    kIndirect,  ///< an indirect jump whose target is not in the table; the cell performs it
    kCell,      ///< the interpreter does this cell: what has no code here, faults, MMIO, page crossings
    kPoll,      ///< attention is asked for, or the budget is used up: before the block's first instruction
    kLookup,    ///< the block's page is not what this context maps at its RIP (any more)
    kShortcut,  ///< the check that accesses share, or a page slot, failed; argument: ShortcutExit number
    kRip,       ///< the guest's RIP is set: find the block there
    kLeft,      ///< a cell that C++ ran on behalf of emitted code did not complete; exit and RIP are set
    kCache,     ///< an inline cache without a target, or one that misses; argument: InlineCache number
    kCount
};

/// A direct jump from block to block. Unlinked, its site jumps to `thunk`, which exits with kLink.
struct Link {
    u8* site;                   ///< of the rel32, writable view; for a return, of ReturnSite::code
    const u8* thunk;            ///< writable view
    u64 target;                 ///< guest RIP
    bool same_page;             ///< else it enters by the checked entry
    bool host_flags;            ///< guest flags are in RFLAGS on this way; else in the frame
    bool keeps_shadow = false;  ///< behind an STI: no instruction has run since the shadow was cast
    bool returns = false;       ///< a ReturnSite's
    Block* to = nullptr;
    u32 next_incoming = 0;  ///< list of links into `to`; 0 ends (number 0 is not used)
};

/// What an indirect jump or call compares its target with (inline_cache.cpp). Code addresses in the writable
/// view.
struct InlineCache {
    Block* block;  ///< cell `cell` of it is the jump
    u16 cell;
    u32 link = 0;         ///< followed on a hit
    i32 misses_left = 0;  ///< counted down by emitted code
    u64 aimed_at = 0;     ///< host time
    u8* head = nullptr;
    const u8 *lookup = nullptr, *first = nullptr;
};

/// What of a translator's means a block does without, because they failed there again and again.
enum Avoid : u8 { kAvoidGroups = 1, kAvoidSlots = 2 };

/// What emitted code tries first, and counts if it is asked to (-accel jit,hits=on). What is tried again
/// after a miss counts twice.
enum class HitKind : u8 { kSlots, kTlb, kCaches, kReturns, kTable, kCount };
struct HitCount {
    u64 tried = 0, missed = 0;
};

struct JitCounters {
    u64 blocks = 0, instructions = 0, bytes = 0, entries = 0, flushes = 0, links = 0, caches_aimed = 0,
        probe_hits = 0, fills = 0, cells = 0, evictions = 0,
        exits[static_cast<unsigned>(ExitKind::kCount)] = {};
};

/// Where the interpreter goes on: `handler` is not always insn->handler (the first cell of a translated block
/// enters it again).
struct Resume {
    const Insn* insn = nullptr;
    Handler handler = nullptr;
};

class Jit {
 public:
    /// `code_bytes`: of host code, at least kMinBytes.
    static Expected<std::unique_ptr<Jit>> make(Vcpu& cpu, u64 code_bytes = kDefaultCodeBytes);
    ~Jit();

    /// Runs from `block`, which has code and is to be entered with the vCPU's state. Takes the block's cost
    /// itself.
    Resume run(Block* block);
    /// Gives the block host code, for which the oldest region may have to go. False: no use.
    bool translate(Block& block);
    /// Counts an execution; when it is hot, translates. True if the first cell's handler changed.
    bool warm(Block& block);
    /// The block died: nothing jumps to its code any more.
    void forget(Block& block);
    /// The block lives, its code goes.
    void drop(Block& block);
    /// Blocks that went on without shared checks try them again: pages lose their protection, and data their
    /// place. Comes by itself some seconds after a block has lost them.
    void give_groups_back();
    /// All blocks are about to go.
    void flush();
    /// The oldest region goes, and its memory back to the host. Not while emitted code waits for C++.
    void give_back();
    /// Behind flush(): memory goes back to the host.
    void release();

    const JitCounters& counters() const { return counters_; }
    /// A number given by hand holds for pages whose code keeps dying too.
    void set_hot_entries(u32 entries) {
        hot_entries_ = entries;
        patient_ = false;
    }
    /// From the next translation on: emitted code counts its hits, which costs it some speed.
    void count_hits() { counting_ = true; }
    void set_listener(TranslationListener* listener) { listener_ = listener; }
    u64 bytes_used() const;
    /// Host code, and what there is beside it: links, jump tables.
    u64 bytes_held() const;
    void inspect(Inspector& inspector) const;
    const HitCount& hits(HitKind kind) const { return hits_[static_cast<unsigned>(kind)]; }
    void cell_completed() { cell_done_ = true; }

    static constexpr u64 kRoom = 48u << 10;  ///< more than any translation needs of either part of a region
    static constexpr u64 kCellBytes = sizeof(Block) + 2 * sizeof(Insn);
    static constexpr u64 kMinBytes = kCodeRegions * kRoom * 5 / 2;

 private:
    friend class Translator;
    friend class Stubs;

    struct Exit {
        u32 kind = 0, cell = 0;
        u64 argument = 0, target = 0;
        u32 flags = 0;
        u8 x87_loaded = 0;
        i64 budget = 0;
    };
    /// An exit of kind kShortcut: the translation that it is of, and where the interpreter goes on.
    struct ShortcutExit {
        Block* head;
        Block* block;
        u16 cell;
    };
    /// A piece of the code memory, and what the code in it refers to by number or address. All of it goes at
    /// once. What seldom runs has a part of its own, so that the rest takes fewer lines and pages of the
    /// host's caches.
    struct Region {
        u8 *begin = nullptr, *used = nullptr, *cold_begin = nullptr, *cold_used = nullptr, *end = nullptr,
           *bound = nullptr;  ///< of the memory; code ends at `end`, as the budget allows
        std::vector<Link> links;
        std::vector<ShortcutExit> shortcut_exits;
        std::deque<InlineCache> caches;  ///< emitted code has their addresses, and those of `returns`
        std::deque<ReturnSite> returns;
        std::vector<std::unique_ptr<u8[]>> cells;  ///< one-instruction blocks for run_cell
    };
    struct JumpTable {
        u64 mode = ~u64{0}, last_use = 0;
        MemoryMap memory;
        JumpEntry* entries() const { return reinterpret_cast<JumpEntry*>(memory.data()); }
        void clear();  ///< makes it, if there is none
    };

    explicit Jit(Vcpu& cpu, CodeMemory memory);
    const u8* executable(const u8* writable) const {
        return memory_.executable() + (writable - memory_.writable());
    }
    void select_jump_table(u64 mode);
    // Regions (code_regions.cpp). Numbers of links and group exits: the region above kRegionShift.
    static constexpr unsigned kRegionShift = 24;
    void make_regions();
    void begin_region();
    void next_region();
    void evict(unsigned region);
    static void clear(Region& region);
    static void release(Region& region);
    Region& current() { return regions_[region_]; }
    Link& link(u64 number) {
        return regions_[number >> kRegionShift].links[number & ((1u << kRegionShift) - 1)];
    }
    u32 add_link(const Link& added);
    u32 add_shortcut_exit(const ShortcutExit& exit);
    const ShortcutExit& shortcut_exit(u64 number) const {
        return regions_[number >> kRegionShift].shortcut_exits[number & ((1u << kRegionShift) - 1)];
    }
    u32 add_inline_cache(const InlineCache& added);
    InlineCache& inline_cache(u64 number) {
        return regions_[number >> kRegionShift].caches[number & ((1u << kRegionShift) - 1)];
    }
    static void go_straight_to(const InlineCache& cache, const u8* place);
    void aim(u64 number, Block& to);
    void reconsider(Block& head);
    void connect(Link& link, u32 number, Block& to);
    void disconnect(Link& link, u32 number);
    void point(const Link& link, const u8* target);
    Resume resume_cell(Block* block, unsigned cell);
    static unsigned jump_index(u64 rip) { return static_cast<unsigned>(rip & (kJumpEntries - 1)); }
    // Outside 64-bit mode (legacy_modes.cpp): all modes share one jump table, its keys have the mode's number
    // above EIP.
    u32 mode_number(u64 mode);
    static unsigned jump_salt(u32 mode_number) { return mode_number * 0x9E3Bu & (kJumpEntries - 1); }
    unsigned legacy_jump_index(u64 mode, u64 rip, u64& key);
    void set_jump(u64 mode, u64 rip, const u8* code);
    void inspect_hits(Inspector& inspector) const;
    static void view_segments(const Vcpu& cpu, SegmentView* views);

    Block* make_cell(const Block& block, unsigned cell, unsigned done);
    /// The bytes of a block as they are now; false if it is mapped elsewhere.
    bool read_code(const Block& block, u8* to) const;
    void report(const Translator& translator) const;
    // Called by emitted code.
    static u32 fill_tlb(Vcpu* cpu, u64 gva, u32 size_and_write, Frame* frame);
    static u64 read_time(Vcpu* cpu);
    static void run_cell(Jit* jit, Block* cell, Frame* frame);
    bool may_write_beside_code(u64 gva, unsigned size, const Resolved& found);
    void take_x87();  ///< the stored x87 image becomes the vCPU's state

    Vcpu& cpu_;
    CodeMemory memory_;
    Emitter emitter_;
    u8* cold_cursor_ = nullptr;
    Exit exit_;
    std::unique_ptr<X87Image> x87_image_;
    TlbContext* tlb_ = nullptr;
    JumpEntry* jump_table_ = nullptr;
    JumpTable tables_[4];
    JumpTable legacy_table_;
    std::unordered_map<u64, u32> mode_numbers_;
    SegmentView segments_[6];  ///< for the entry stub
    u64 table_clock_ = 0, table_mode_ = ~u64{0};
    std::array<Region, kCodeRegions> regions_;
    unsigned region_ = 0;                                ///< that is being filled; behind it comes the oldest
    u32 hot_entries_ = 30;                               ///< executions before a block is translated
    bool patient_ = true;                                ///< Block::patience counts
    unsigned next_read_slot_ = 0, next_write_slot_ = 0;  ///< page slots are dealt out in turn
    u64 slots_looked_at_ = 0;                            ///< host time
    u64 groups_back_at_ = ~u64{0};                       ///< host time of give_groups_back()
    bool cell_done_ = false, code_died_ = false, slots_miss_ = false;
    bool group_fails_ = false;   ///< its accesses lie on two pages, or one needs less than the group
    bool wide_vectors_ = false;  ///< the guest has AVX, and the host all that its rows need
    /// fill_tlb() lets one write into a page with code go on here: offset and host address of the page.
    struct {
        u64 offset = 0;
        u8* page = nullptr;
    } beside_code_;
    JitCounters counters_;
    bool counting_ = false;
    HitCount hits_[static_cast<unsigned>(HitKind::kCount)];
    TranslationListener* listener_ = nullptr;
    std::vector<u64> by_row_run_,
        by_row_left_;  ///< cells run for emitted code, and exits to cells, by opcode row
    // Stubs, writable view.
    using EnterCode = void (*)(const u8* code, u32 flags);
    EnterCode enter_ = nullptr, enter_legacy_ = nullptr;
    u8 *exit_host_flags_ = nullptr, *exit_stub_ = nullptr, *fill_stub_ = nullptr, *time_stub_ = nullptr,
       *cell_stub_ = nullptr, *load_vectors_ = nullptr, *load_wide_ = nullptr, *load_x87_ = nullptr,
       *read_slot_ = nullptr, *write_slot_ = nullptr;
};

/// First cell of a block that counts its executions, and of one that has code.
const Insn* op_count(Vcpu& cpu, const Insn* insn);
const Insn* op_enter_jit(Vcpu& cpu, const Insn* insn);
/// Closes a cell that C++ runs on behalf of emitted code.
const Insn* op_cell_done(Vcpu& cpu, const Insn* insn);

/// RFLAGS bits of a frame's flags image, and back.
u64 flags_of_image(u32 image);
u32 image_of_flags(u64 bits);

}  // namespace shadowbox::jit
