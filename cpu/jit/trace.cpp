// SPDX-License-Identifier: MIT
// What a translation holds besides its first block: the blocks that likely run after it, on the same page,
// one behind the other (a trace). Flags, checked accesses and loaded registers then carry over from block to
// block. A loop back to the first block is laid down twice: what holds at the end of the first copy need not
// be done again by the second, which repeats.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
constexpr size_t kMaxParts = 12;
constexpr size_t kMaxSteps = 96;
}  // namespace

bool Translator::choose_parts() {
    auto add = [&](Block& block) {
        const unsigned first = static_cast<unsigned>(steps_.size());
        if (!decode(block)) return false;
        parts_.push_back({&block, first, static_cast<unsigned>(steps_.size())});
        return true;
    };
    if (!add(block_)) return false;
    while (long64() && !block_.crosses() && parts_.size() < kMaxParts) {
        Block* next = likely_successor();
        if (!next || next->crosses() || steps_.size() + next->insn_count > kMaxSteps) break;
        if (next == &block_) {
            if (steps_.size() * 2 > kMaxSteps) break;
            const size_t count = parts_.size();
            for (size_t p = 0; p < count; ++p) {
                if (!add(*parts_[p].block)) return false;
            }
            loop_part_ = static_cast<unsigned>(count);
            break;
        }
        bool there = false;
        for (const Part& part : parts_) there = there || part.block == next;
        if (there || !add(*next)) break;
    }
    return true;
}

/// The block that most executions of the last one go on with, if it is on the same page and runs about as
/// often.
Block* Translator::likely_successor() {
    const Step& last = steps_.back();
    const u64 next = last.rip + last.insn.length;
    auto known = [&](u64 rip) -> Block* {
        return ((rip ^ block_.rip) & ~kPageOffsetMask) == 0 ? cpu_.blocks->known(cpu_, rip) : nullptr;
    };
    auto heat = [&](const Block* block) {
        return !block ? 0 : block == &block_ || block->code.frame_flags ? jit_.hot_entries_ : block->heat;
    };
    Block* chosen;
    if (!(last.row->attributes & aEnd) || runs_on(last, cpu_.exact_time)) {
        chosen = (last.row->attributes & aString) && last.insn.rep ? nullptr : known(next);
    } else if (is_conditional_jump(last)) {
        Block *taken = known(static_cast<u64>(last.insn.disp)), *through = known(next);
        chosen = taken == &block_ || heat(taken) > heat(through) ? taken : through;
    } else {
        const bool jumps =
            last.row->map == OpMap::M0 && (last.row->opcode == 0xE9 || last.row->opcode == 0xEB);
        chosen = jumps ? known(static_cast<u64>(last.insn.disp)) : nullptr;
    }
    return heat(chosen) * 2 >= jit_.hot_entries_ ? chosen : nullptr;
}

/// The second copy of the loop begins: what is known here is what its end must provide.
void Translator::begin_loop() {
    if (x87_ip_ >= 0 || x87_dp_ >= 0) settle_x87_pointers();
    rdx_group_ = carried_rdx_group_ = -1;
    rdx_kept_ = false;
    held_.end = nullptr;
    loop_ = e_.cursor;
    loop_flags_ = flags_;
    loop_recover_ = recover_;
    loop_vectors_ = vectors_known_;
    loop_x87_ = x87_known_;
    for (const Group& group : groups_) loop_checked_.push_back(group.checked);
}

bool Translator::at_loop_state() {
    if (x87_ip_ >= 0 || x87_dp_ >= 0) settle_x87_pointers();
    for (size_t g = 0; g < groups_.size(); ++g) {
        if (loop_checked_[g] && !groups_[g].checked) return false;
    }
    // Zero upper halves are less than all: code that counts on them must find them.
    if (vectors_known_ < loop_vectors_ ||
        (loop_vectors_ == kVectorsZeroUpper && vectors_known_ != kVectorsZeroUpper))
        return false;
    if (loop_x87_ && !x87_known_) return false;
    auto same_recovery = [&] {
        if (recover_ < 0 || loop_recover_ < 0) return recover_ == loop_recover_;
        return steps_[static_cast<unsigned>(recover_)].rip ==
               steps_[static_cast<unsigned>(loop_recover_)].rip;
    };
    switch (loop_flags_) {
        case FlagsIn::kDead: return true;
        case FlagsIn::kFrame: flags_to_frame(); return flags_ == FlagsIn::kFrame;
        case FlagsIn::kHost:
            if (flags_ != FlagsIn::kHost || (loop_recover_ >= 0 && !same_recovery())) return false;
            return true;
        case FlagsIn::kRecover:
            return (flags_ == FlagsIn::kHost || flags_ == FlagsIn::kRecover) && recover_ >= 0 &&
                   same_recovery();
    }
    return false;
}

}  // namespace shadowbox::jit
