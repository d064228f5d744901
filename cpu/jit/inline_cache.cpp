// SPDX-License-Identifier: MIT
// Inline caches: an indirect jump or call compares its target with the one that it had before, and on a hit
// is a direct jump. Calls through the linkage tables of shared libraries and most virtual calls have one
// target for long.
//
//   head    mov rcx, target        empty: jmp first       given up: jmp lookup
//           cmp rax, rcx
//           jne miss
//           ... the push of a call ...
//           jmp entry              a link: unlinked, it exits and finds the target's block
//   cold: lookup  the jump table, as if there were no cache
//         miss    counts down; goes on at lookup
//         first   exits with kCache: somebody aims the cache, or gives it up
#include "core/host/host_time.h"
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
constexpr i32 kCacheMisses = 256;      ///< then somebody looks how long they took
constexpr u64 kFrequentMissNs = 1000;  ///< a site that misses more often than that does without
constexpr u8 kMovRcxImm64[] = {0x48, 0xB9};
constexpr u8 kJmp = 0xE9, kNop5[] = {0x0F, 0x1F, 0x44, 0x00, 0x00};  ///< as long as MOV RCX, imm64
}  // namespace

// --- emission ---

/// RAX: the target; RDX: for a call, the host address of the stack's new top. Flags are in the frame.
void Translator::jump_cached(unsigned i, bool is_call) {
    const u32 number = jit_.add_inline_cache({steps_[i].block, steps_[i].cell});
    InlineCache& cache = jit_.inline_cache(number);
    count_hit(HitKind::kCaches);
    cache.head = e_.cursor;
    e_.byte(kMovRcxImm64[0]);
    e_.byte(kMovRcxImm64[1]);
    e_.qword(0);
    e_.alu(7, hRax, hRcx);
    cold_.push_back({flags_, static_cast<u16>(i), e_.jcc_forward(kNe), ColdCache{number, is_call}, recover_});
    if (is_call) {
        push_return(i, hRdx, hRcx);
        remember_return(i);
    }
    cache.link = new_link(0, false, false);
    set_site(cache.link, e_.jmp_forward().at);
    ended_ = true;
}

/// The cold side of jump_cached().
void Translator::look_up_target(const Cold& cold, const ColdCache& path) {
    InlineCache& cache = jit_.inline_cache(path.number);
    const unsigned i = cold.step;
    flags_ = cold.flags;
    recover_ = cold.recover;
    cache.lookup = e_.cursor;
    if (path.is_call) {
        e_.store(in_frame(offsetof(Frame, address)), hRdx);
        remember_return(i);  // also right where the interpreter does the call
    }
    find_target();
    leave_if(kNe, i, ExitKind::kIndirect);
    if (path.is_call) {
        e_.load(hRax, in_frame(offsetof(Frame, address)));
        e_.store32(in_frame(offsetof(Frame, argument)), hRdx);
        push_return(i, hRax, hRdx);
        e_.load32(hRdx, in_frame(offsetof(Frame, argument)));
    }
    jump_to_entry();
    e_.bind(cold.from);
    count_hit(HitKind::kCaches, true);
    e_.load_imm(hRcx, reinterpret_cast<u64>(&cache.misses_left));
    e_.op({0, 0, 0xFF}, 1, at(hRcx));  // dec
    e_.jcc(kNs, cache.lookup);
    cache.first = e_.cursor;
    e_.store(in_frame(offsetof(Frame, argument)), hRax);
    e_.load_imm(hRdx, static_cast<u32>(ExitKind::kCache) | static_cast<u32>(steps_[i].cell) << 8);
    e_.load_imm(hRcx, path.number);
    e_.jmp(jit_.exit_stub_);
    Jit::go_straight_to(cache, cache.first);
}

// --- running ---

void Jit::go_straight_to(const InlineCache& cache, const u8* place) {
    *cache.head = kJmp;
    Emitter::bind(Fixup{cache.head + 1, false}, place);
    memcpy(cache.head + 5, kNop5, sizeof kNop5);  // for whoever disassembles
}

u32 Jit::add_inline_cache(const InlineCache& added) {
    current().caches.push_back(added);
    return static_cast<u32>(region_ << kRegionShift | (current().caches.size() - 1));
}

/// Exit kCache: the site has no target yet, or missed often. Its target now is that of the exit. The cell
/// does the jump this time.
void Jit::aim(u64 number, Block& to) {
    InlineCache& cache = inline_cache(number);
    const u64 now = host_monotonic_ns();
    if (link(cache.link).target && now - cache.aimed_at < kCacheMisses * kFrequentMissNs)
        return go_straight_to(cache, cache.lookup);
    disconnect(link(cache.link), cache.link);
    cache.misses_left = kCacheMisses;
    cache.aimed_at = now;
    link(cache.link).target = exit_.target;
    connect(link(cache.link), cache.link, to);
    memcpy(cache.head, kMovRcxImm64, sizeof kMovRcxImm64);
    memcpy(cache.head + sizeof kMovRcxImm64, &exit_.target, sizeof exit_.target);
    ++counters_.caches_aimed;
}

}  // namespace shadowbox::jit
