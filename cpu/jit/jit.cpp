// SPDX-License-Identifier: MIT
#include "cpu/jit/jit.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/host/host_time.h"
#include "cpu/blocks/dispatch.h"
#include "cpu/jit/stubs.h"
#include "cpu/jit/translation_listener.h"
#include "cpu/jit/translator.h"
#include "cpu/ops/pseudo.h"
#include "cpu/state/cpu_model.h"
#include "mmu/guest_access.h"

namespace shadowbox::jit {

namespace {
constexpr u8 kMaxGroupFailures = 16;  ///< within kFailureWindowNs; then a block is translated again without
                                      ///< shared checks, for a time
constexpr u64 kFailureWindowNs = 1 << 27, kWithoutGroupsNs = 10'000'000'000;
constexpr u64 kEntriesBetweenLooks = 64;  ///< whether that time has passed
constexpr u8 kMaxMisses = 3;              ///< then without page slots
constexpr u64 kFrequentMissNs = 160;
}  // namespace

u64 flags_of_image(u32 image) { return (image >> 8 & 0xD5) | (image & 1 ? rflags::kOF : 0); }
u32 image_of_flags(u64 bits) {
    return static_cast<u32>((bits & 0xD5) << 8) | 0x200 | (bits & rflags::kOF ? 1 : 0);
}

Expected<std::unique_ptr<Jit>> Jit::make(Vcpu& cpu, u64 code_bytes) {
    VM_CHECK(code_bytes >= kMinBytes);
    Expected<CodeMemory> memory = CodeMemory::reserve(code_bytes);
    if (!memory) return tl::unexpected(memory.error());
    return std::unique_ptr<Jit>(new Jit(cpu, std::move(*memory)));
}

Jit::Jit(Vcpu& cpu, CodeMemory memory)
    : cpu_(cpu), memory_(std::move(memory)), x87_image_(std::make_unique<X87Image>()) {
    emitter_.cursor = memory_.writable();
    wide_vectors_ = cpu.model.has(OpFeature::Avx) && host_runs_v3();
    Stubs(*this, wide_vectors_).make();
    by_row_run_.resize(kOpcodeRowCount);
    by_row_left_.resize(kOpcodeRowCount);
    make_regions();
}

Jit::~Jit() = default;

bool Jit::translate(Block& block) {
    block.heat = 0;
    if (!(block.mode & mode_bits::kLong64) && block.mode != cpu_.mode)
        return false;  // CS.limit is what the code is made for
    if (emitter_.cursor + kRoom > current().cold_begin || cold_cursor_ + kRoom > current().end) next_region();
    Translator translator(*this, cpu_, block);
    if (!translator.run()) return false;
    if (listener_) report(translator);
    emitter_.cursor = reinterpret_cast<u8*>((reinterpret_cast<u64>(emitter_.cursor) + 15) & ~u64{15});
    VM_CHECK(emitter_.cursor <= current().cold_begin && cold_cursor_ <= current().end);
    for (const Part& part : translator.parts())
        block.code.regions |= static_cast<u8>(1u << cpu_.blocks->region_of(part.block));
    ++counters_.blocks;
    cpu_.blocks->note_bytes();
    return true;
}

void Jit::report(const Translator& translator) const {
    std::vector<std::array<u8, kMaxBlockInsns * 15>> bytes(translator.parts().size());
    std::vector<Translation::GuestCode> guest;
    for (const Part& part : translator.parts()) {
        if (&part > translator.parts().data() && part.block == translator.parts().front().block)
            break;  // a loop's second copy
        u8* copy = bytes[guest.size()].data();
        if (read_code(*part.block, copy))
            guest.push_back({part.block->linear(), part.block->insn_count, {copy, part.block->byte_count}});
    }
    if (guest.empty()) return;
    const u64 mode = translator.parts().front().block->mode;
    const unsigned bits = mode & mode_bits::kLong64 ? 64 : mode & mode_bits::kCode32 ? 32 : 16;
    auto host = [&](std::span<const u8> bytes) {
        return Translation::HostCode{bytes, reinterpret_cast<u64>(executable(bytes.data()))};
    };
    listener_->translated({cpu_.index, bits, guest, host(translator.code()), host(translator.cold_code())});
}

bool Jit::read_code(const Block& block, u8* to) const {
    const u64 linear = block.linear();
    const CodeTlbEntry* entry = cpu_.mmu.context()->probe_code(linear);
    if (!entry || entry->ppn() != block.ppn) return false;
    const unsigned on_page =
        std::min<unsigned>(block.byte_count, static_cast<unsigned>(kPageSize - (linear & kPageOffsetMask)));
    guest_copy_out(to, reinterpret_cast<const u8*>(linear + entry->host_delta), on_page);
    if (!block.crosses()) return true;
    const CodeTlbEntry* second = cpu_.mmu.context()->probe_code(block.second_page());
    if (!second || second->ppn() != block.second_ppn) return false;
    guest_copy_out(to + on_page, reinterpret_cast<const u8*>(block.second_page() + second->host_delta),
                   block.byte_count - on_page);
    return true;
}

bool Jit::warm(Block& block) {
    if (++block.heat < hot_entries_ << (patient_ ? block.patience : 0)) return false;
    block.insns[0].handler = translate(block) ? op_enter_jit : block.first;
    return true;
}

Block* Jit::make_cell(const Block& block, unsigned cell, unsigned done) {
    Block* one =
        reinterpret_cast<Block*>(current().cells.emplace_back(std::make_unique<u8[]>(kCellBytes)).get());
    *one = Block{};
    const Insn& insn = block.insns[cell];
    one->rip = block.rip;
    one->mode = block.mode;
    one->ppn = kInvalidPpn.value;
    one->insn_count = 1;
    bool ends = (kOpcodeRows[insn.row].attributes & aEnd) || insn.rep;
    one->cells = ends ? 1 : 2;  // 1: the instruction ends its block
    // If the instruction does not complete, leave_at() gives `cost` back: what the block took for it and all
    // behind it.
    one->cost = cpu_.translated_counts ? block.cost - done : 0;
    one->insns[0] = insn;
    if (cell == 0) one->insns[0].handler = block.first;
    one->insns[1] = Insn{};
    one->insns[1].handler = op_cell_done;
    return one;
}

void Jit::run_cell(Jit* jit, Block* cell, Frame* frame) {
    Vcpu& cpu = jit->cpu_;
    ++jit->by_row_run_[cell->insns[0].row];
    if (frame->x87_loaded) {
        jit->take_x87();
        frame->x87_loaded = 0;
    }
    cpu.flags.set(flags_of_image(frame->flags));
    if (cpu.translated_counts) cpu.budget = frame->budget;
    cpu.block = cell;
    cpu.exit = ExitReason::kNone;
    jit->cell_done_ = jit->code_died_ = false;
    const Insn* insn = cell->insns;
    cpu.in_cell = true;
    cpu.interrupt_shadow = false;
    do insn = insn->handler(cpu, insn);
    while (insn);
    cpu.in_cell = false;
    if (cpu.exact_time) {
        // Whatever interrupt comes, it comes at a later count: the next instruction has run by then.
        if (cpu.budget > 0 && !cpu.safepoint.attention.load(std::memory_order_relaxed))
            cpu.interrupt_shadow = false;
    }
    // An instruction that ends its block set RIP, or went on to the cell behind it: then what lies there is
    // next.
    if (cell->cells == 1 && jit->cell_done_) cpu.rip = next_rip(cpu, cell->insns);
    // A shadow that it casts holds at least for the next
    // instruction. Whatever else must be looked at first is run()'s.
    bool ended = cell->cells == 1 && cpu.exit == ExitReason::kNone && cpu.budget > 0 &&
                 cpu.mode == cell->mode && !cpu.safepoint.attention.load(std::memory_order_relaxed);
    frame->cell_done = jit->cell_done_ || ended;
    if (jit->cell_done_ && jit->code_died_) {
        // It may be the code behind this very instruction.
        frame->cell_done = 0;
        cpu.rip = next_rip(cpu, cell->insns);
        if (cpu.translated_counts) cpu.budget += static_cast<i64>(cell->cost) - 1;
    }
    frame->flags = image_of_flags(cpu.flags.value());
    frame->budget = cpu.budget;
    if (cell->cells == 1 && !(cpu.mode & mode_bits::kLong64))
        view_segments(cpu, frame->segments);  // nothing else changes them
    jit->tlb_ = cpu.mmu.context();
}

u64 Jit::read_time(Vcpu* cpu) { return cpu->read_tsc(); }

u32 Jit::fill_tlb(Vcpu* cpu, u64 gva, u32 size_and_write, Frame* frame) {
    const unsigned size = size_and_write & kFillSize;
    const bool write = size_and_write & kFillWrite;
    Jit& jit = *cpu->jit;
    if (frame->slot_misses < 0) {
        frame->slot_misses = kSlotMisses;
        const u64 now = host_monotonic_ns();
        jit.slots_miss_ = now - std::exchange(jit.slots_looked_at_, now) < kSlotMisses * kFrequentMissNs;
        if (jit.slots_miss_) return 0;
    }
    ++jit.counters_.fills;
    jit.group_fails_ = (gva & kPageOffsetMask) + size > kPageSize;
    if (jit.group_fails_ || cpu->alignment_checked || !is_canonical(gva, cpu->cr4)) return 0;
    const u64 moved = cpu->mmu.counters().pages_moved;
    const MemoryAccess access = write ? MemoryAccess::kWrite : MemoryAccess::kRead;
    const auto sides =
        size_and_write & kFillNeedsWrite ? VcpuMmu::FillSides::kBoth : VcpuMmu::FillSides::kAsked;
    Resolved found = cpu->mmu.resolve(Gva(gva), size, access, false, sides);
    // A slot or a checked group may hold where the page was.
    if (found.kind != Resolved::Kind::kHost || cpu->mmu.counters().pages_moved != moved) return 0;
    const TlbContext* tlb = cpu->mmu.context();
    if (found.code_page && write && jit.may_write_beside_code(gva, size, found)) return 2;
    if (!(size_and_write & kFillNeedsWrite)) return tlb->probe_read(gva, size) != nullptr;
    const bool writable = tlb->probe_write(gva, size) != nullptr;
    jit.group_fails_ = !writable && !write;  // the group wants more than this access needs
    return writable;
}

// --- links ---

void Jit::point(const Link& link, const u8* target) {
    if (link.returns)
        *reinterpret_cast<const u8**>(link.site) = executable(target);
    else
        Emitter::bind(Fixup{link.site, false}, target);
}

void Jit::connect(Link& link, u32 number, Block& to) {
    if (!link.site || link.to) return;
    link.to = &to;
    link.next_incoming = to.code.incoming;
    to.code.incoming = number;
    point(link, !link.same_page   ? to.code.checked
                : link.host_flags ? to.code.host_flags
                                  : to.code.frame_flags);
    ++counters_.links;
}

void Jit::disconnect(Link& link, u32 number) {
    if (!link.to) return;
    u32* next = &link.to->code.incoming;
    while (*next != number) next = &this->link(*next).next_incoming;
    *next = link.next_incoming;
    link.to = nullptr;
    link.next_incoming = 0;
    point(link, link.thunk);
}

void Jit::JumpTable::clear() {
    if (!memory) {
        Expected<MemoryMap> made = MemoryMap::reserve(kJumpEntries * sizeof(JumpEntry));
        VM_CHECK(made.has_value());
        memory = std::move(*made);
    } else if (!memory.release(0, memory.size())) {
        std::memset(memory.data(), 0, memory.size());
    }
    // A zeroed entry is of RIP 0, which is looked up in one place only, and takes no host memory.
    static_assert(empty_jump_entry(0).rip != 0);
    entries()[0] = empty_jump_entry(0);
}

void Jit::select_jump_table(u64 mode) {
    table_mode_ = mode;
    cpu_.mmu.forget_returns();
    if (!(mode & mode_bits::kLong64)) {
        if (!legacy_table_.memory) legacy_table_.clear();
        jump_table_ = legacy_table_.entries();
        return;
    }
    JumpTable* chosen = tables_;
    for (JumpTable& table : tables_) {
        if (table.mode == mode && table.memory) {
            chosen = &table;
            break;
        }
        if (table.last_use < chosen->last_use) chosen = &table;
    }
    if (chosen->mode != mode || !chosen->memory) {
        chosen->clear();
        chosen->mode = mode;
    }
    chosen->last_use = ++table_clock_;
    jump_table_ = chosen->entries();
}

/// A group check or a page slot of its translation failed.
void Jit::reconsider(Block& head) {
    u8 avoid = head.code.avoid;
    if (std::exchange(group_fails_, false)) {
        const u64 now = host_monotonic_ns();
        const u8 window = static_cast<u8>(now / kFailureWindowNs);
        if (std::exchange(head.code.failure_window, window) != window) head.code.group_failures = 0;
        if (++head.code.group_failures == kMaxGroupFailures) {
            avoid |= kAvoidGroups;
            groups_back_at_ = std::min(groups_back_at_, now + kWithoutGroupsNs);
        }
    }
    if (std::exchange(slots_miss_, false) && ++head.code.misses == kMaxMisses) avoid |= kAvoidSlots;
    if (avoid == head.code.avoid || head.ppn == kInvalidPpn.value) return;
    forget(head);
    head.code.avoid = avoid;
    if (!translate(head)) head.insns[0].handler = head.first;
}

void Jit::give_groups_back() {
    groups_back_at_ = ~u64{0};
    cpu_.blocks->each_block([&](Block& block) {
        if (!(block.code.avoid & kAvoidGroups)) return;
        block.code.avoid &= static_cast<u8>(~kAvoidGroups);
        if (block.code.frame_flags) drop(block);
    });
}

// --- running ---

Resume Jit::resume_cell(Block* block, unsigned cell) {
    cpu_.block = block;
    // The interpreter takes it at entry.
    if (!cpu_.translated_counts) cpu_.budget -= static_cast<i64>(block->cost);
    const Insn* insn = &block->insns[cell];
    if (insn->row < by_row_left_.size()) ++by_row_left_[insn->row];
    return {insn, cell == 0 && block->first ? block->first : insn->handler};
}

Resume Jit::run(Block* block) {
    for (;;) {
        if (table_mode_ != cpu_.mode) select_jump_table(cpu_.mode);
        tlb_ = cpu_.mmu.context();
        ++counters_.entries;
        const bool long64 = cpu_.mode & mode_bits::kLong64;
        if (!long64) view_segments(cpu_, segments_);
        (long64 ? enter_ : enter_legacy_)(executable(block->code.frame_flags),
                                          image_of_flags(cpu_.flags.value()));
        cpu_.flags.set(flags_of_image(exit_.flags));
        if (exit_.x87_loaded) take_x87();
        if (cpu_.translated_counts) cpu_.budget = exit_.budget;
        ++counters_.exits[exit_.kind];
        if (groups_back_at_ != ~u64{0} && counters_.entries % kEntriesBetweenLooks == 0 &&
            host_monotonic_ns() >= groups_back_at_)
            give_groups_back();
        // An instruction has run since the one that cast the shadow (STI, MOV SS), if there was one.
        // A cell that C++ ran may have cast it itself.
        const ExitKind kind = static_cast<ExitKind>(exit_.kind);
        const bool ran = kind == ExitKind::kLink
                             ? !link(exit_.argument).keeps_shadow
                             : kind != ExitKind::kLeft && kind != ExitKind::kRip && exit_.cell > 0;
        if (ran) cpu_.interrupt_shadow = false;
        Block* from = reinterpret_cast<Block*>(exit_.argument);
        switch (kind) {
            case ExitKind::kCell: return resume_cell(from, exit_.cell);
            case ExitKind::kShortcut: {
                const ShortcutExit exit = shortcut_exit(exit_.argument);
                reconsider(*exit.head);
                return resume_cell(exit.block, exit.cell);
            }
            case ExitKind::kCache: from = inline_cache(exit_.argument).block; [[fallthrough]];
            case ExitKind::kIndirect: {
                if (!(cpu_.mode & mode_bits::kLong64))
                    exit_.target &= 0xFFFFFFFF;  // the mode's number is above it
                Block* to = cpu_.blocks->known(cpu_, exit_.target);
                const u64 evictions = counters_.evictions;
                if (to && !to->code.checked) warm(*to);
                if (to && to->code.checked) {
                    set_jump(cpu_.mode, exit_.target, executable(to->code.checked));
                    if (kind == ExitKind::kCache && counters_.evictions == evictions)
                        aim(exit_.argument, *to);
                }
                return resume_cell(from, exit_.cell);
            }
            case ExitKind::kPoll:
                cpu_.budget += static_cast<i64>(from->cost);
                cpu_.rip = from->rip;
                cpu_.exit = ExitReason::kBudget;
                return {};
            case ExitKind::kLeft:  // most often the mode changed
                if (cpu_.exit != ExitReason::kNone || cpu_.budget <= 0 || cpu_.interrupt_shadow ||
                    cpu_.single || (cpu_.mode & mode_bits::kSingleStep))
                    return {};
                break;
            case ExitKind::kRip: break;
            case ExitKind::kLookup: cpu_.rip = from->rip; break;
            case ExitKind::kLink: cpu_.rip = link(exit_.argument).target; break;
            case ExitKind::kCount: return {};
        }
        cpu_.exit = ExitReason::kNone;
        // As in the interpreter (next_block()): a used-up budget fetches nothing.
        if (cpu_.safepoint.attention.load(std::memory_order_relaxed) || cpu_.budget <= 0) return {};
        const u64 generation = cpu_.blocks->generation();
        Block* to = cpu_.blocks->probe(cpu_, cpu_.rip);
        counters_.probe_hits += to != nullptr;
        if (!to) to = cpu_.blocks->find(cpu_);
        if (!to) return {};
        if (!to->code.frame_flags) {
            cpu_.block = to;
            cpu_.budget -= static_cast<i64>(to->cost);
            if (cpu_.budget < 0) {
                cpu_.budget += static_cast<i64>(to->cost);
                cpu_.exit = ExitReason::kBudget;
                return {};
            }
            return {to->insns, to->insns[0].handler};
        }
        if (kind == ExitKind::kLink && cpu_.blocks->generation() == generation) {
            u32 number = static_cast<u32>(exit_.argument);
            connect(link(number), number, *to);
        }
        if (kind == ExitKind::kRip) set_jump(cpu_.mode, cpu_.rip, executable(to->code.checked));
        block = to;
    }
}

void Jit::inspect(Inspector& inspector) const {
    inspector.field("blocks translated", counters_.blocks);
    inspector.field("guest instructions translated", counters_.instructions);
    inspector.field("host code bytes", counters_.bytes);
    inspector.field("cache bytes used", bytes_used());
    inspector.field("flushes", counters_.flushes);
    inspector.field("regions of host code evicted", counters_.evictions);
    inspector.field("regions of blocks evicted", cpu_.blocks->evictions());
    inspector.field("pages of blocks taken over", cpu_.blocks->moves());
    inspector.field("links made", counters_.links);
    inspector.field("inline caches aimed", counters_.caches_aimed);
    inspector.field("entries", counters_.entries);
    inspector.field("tlb fills", counters_.fills);
    inspect_hits(inspector);
    static constexpr const char* kNames[] = {
        "exits: unlinked jump",   "exits: indirect jump",   "exits: interpreter's cell",
        "exits: poll or budget",  "exits: page check",      "exits: shared check or page slot",
        "exits: RIP from a cell", "exits: fault in a cell", "exits: inline cache"};
    for (unsigned i = 0; i < static_cast<unsigned>(ExitKind::kCount); ++i)
        inspector.field(kNames[i], counters_.exits[i]);
    for (auto [title, counts] : {std::pair{"instructions run in C++", &by_row_run_},
                                 std::pair{"instructions left to the interpreter", &by_row_left_}}) {
        Inspector group = inspector.group(title);
        std::vector<unsigned> order;
        for (unsigned row = 0; row < counts->size(); ++row) {
            if ((*counts)[row]) order.push_back(row);
        }
        std::sort(order.begin(), order.end(),
                  [&by = *counts](unsigned a, unsigned b) { return by[a] > by[b]; });
        if (order.size() > 16) order.resize(16);
        for (unsigned row : order) {
            const OpcodeRow& r = kOpcodeRows[row];
            group.field(fmt::format("{} ({}{:02x})", r.name,
                                    r.map == OpMap::M0    ? ""
                                    : r.map == OpMap::M0F ? "0f "
                                    : r.map == OpMap::M38 ? "0f 38 "
                                                          : "0f 3a ",
                                    r.opcode),
                        (*counts)[row]);
        }
    }
}

void Jit::inspect_hits(Inspector& inspector) const {
    u64 made = 0;
    for (const Region& region : regions_) made += region.links.size() - 1;
    inspector.field("links emitted", made);
    inspector.field("blocks found without a search", counters_.probe_hits);
    inspector.field("blocks searched for", cpu_.counters.block_lookups);
    if (!counting_) return;
    auto exits = [this](ExitKind kind) { return counters_.exits[static_cast<unsigned>(kind)]; };
    static constexpr const char* kNames[] = {"page slots", "TLB", "inline caches", "return ring",
                                             "jump table"};
    static_assert(std::size(kNames) == static_cast<unsigned>(HitKind::kCount));
    Inspector group = inspector.group("tried, hit by emitted code");
    for (unsigned i = 0; i < std::size(kNames); ++i) {
        HitCount count = hits_[i];
        if (static_cast<HitKind>(i) == HitKind::kTable)
            count.missed = exits(ExitKind::kIndirect) + exits(ExitKind::kRip);
        const double share = count.tried ? 100.0 * static_cast<double>(count.tried - count.missed) /
                                               static_cast<double>(count.tried)
                                         : 0;
        group.field(kNames[i], fmt::format("{}, {:.2f} %", count.tried, share));
    }
}

// --- handlers ---

const Insn* op_cell_done(Vcpu& cpu, const Insn*) {
    cpu.jit->cell_completed();
    return nullptr;
}

const Insn* op_count(Vcpu& cpu, const Insn* insn) {
    Block* block = const_cast<Block*>(cpu.block);
    if (!cpu.jit->warm(*block)) SB_TAIL_RETURN block->first(cpu, insn);
    SB_GOTO(cpu, static_cast<const Insn*>(block->insns));
}

const Insn* op_enter_jit(Vcpu& cpu, const Insn*) {
    Block* block = const_cast<Block*>(cpu.block);
    cpu.budget += static_cast<i64>(block->cost);
    Resume next = cpu.jit->run(block);
    if (!next.insn) return nullptr;
    SB_TAIL_RETURN next.handler(cpu, next.insn);
}

}  // namespace shadowbox::jit
