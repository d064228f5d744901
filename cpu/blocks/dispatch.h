// SPDX-License-Identifier: MIT
// How handlers chain. In optimised builds each handler ends in a jump to the next one (a sibling call); under
// sanitizers and without optimisation it returns the next instruction to a loop, since the stack would grow.
//
//   SB_OP(name)   { ... }   straight-line instruction: body is bool(Vcpu& cpu, const Insn& insn); true = done
//   SB_END(name)  { ... }   ends its block: cpu.rip is the NEXT instruction's when the body starts and may be
//   changed;
//                           false = fault or exit, RIP goes back to this instruction
// Each defines the handler `name`, as the table names it. The body must not leave state changed when it
// returns false.
#pragma once

#include "cpu/blocks/block.h"
#include "cpu/state/vcpu.h"

#if defined(__OPTIMIZE__) && !defined(SHADOWBOX_SANITIZED)
#define SHADOWBOX_TAIL_CALLS 1
#if defined(__clang__)
#define SB_TAIL_RETURN [[clang::musttail]] return
#else
#define SB_TAIL_RETURN return
#endif
#define SB_GOTO(cpu, target) SB_TAIL_RETURN(target)->handler((cpu), (target))
#else
#define SHADOWBOX_TAIL_CALLS 0
#define SB_TAIL_RETURN return
#define SB_GOTO(cpu, target) return (target)
#endif
/// Ends a handler: on at `next`, or out of the loop if that is nullptr. Only handlers jump, their helpers
/// find where to: Clang makes sure of a tail call only between functions of one signature.
#define SB_GO_ON(cpu, next)           \
    do {                              \
        const Insn* sb_next = (next); \
        if (!sb_next) return nullptr; \
        SB_GOTO(cpu, sb_next);        \
    } while (false)

namespace shadowbox {

/// RIP of `insn`, which belongs to the block being executed.
inline u64 rip_of(const Vcpu& cpu, const Insn* insn) { return cpu.block->rip + insn->rip_offset; }

/// RIP after `insn`, wrapped to the mode's width.
inline u64 next_rip(const Vcpu& cpu, const Insn* insn) {
    u64 next = rip_of(cpu, insn) + insn->length;
    if (__builtin_expect(!(cpu.mode & mode_bits::kLong64), 0)) next &= 0xFFFFFFFF;
    return next;
}

/// Leaves the fast path at `insn`, which did not complete: RIP and the retired count are made exact.
const Insn* leave_at(Vcpu& cpu, const Insn* insn);

/// After a block: finds the block at cpu.rip, or leaves if the budget is used up or attention is asked for.
/// Returns its first instruction or nullptr.
const Insn* next_block(Vcpu& cpu);

/// Stops after the current instruction, which completed and set cpu.rip; run() looks around before going on.
inline const Insn* leave_after(Vcpu& cpu) { return cpu.exit = ExitReason::kNone, nullptr; }

}  // namespace shadowbox

/// Whether a handler ends its block is said by the row (aEnd); this says it for the linker, which finds no
/// `name_row<...>` where the two disagree (opcodes/opcode_table.cpp).
#define SB_ENDS_BLOCK(name, ends) \
    template <bool>               \
    void name##_row();            \
    template <>                   \
    [[maybe_unused]] void name##_row<ends>() {}

#define SB_OP(name)                                                                    \
    SB_ENDS_BLOCK(name, false)                                                         \
    static inline bool name##_body(Vcpu& cpu, const Insn& insn);                       \
    const Insn* name(Vcpu& cpu, const Insn* insn) {                                    \
        if (__builtin_expect(!name##_body(cpu, *insn), 0)) return leave_at(cpu, insn); \
        SB_GOTO(cpu, insn + 1);                                                        \
    }                                                                                  \
    static inline bool name##_body([[maybe_unused]] Vcpu& cpu, [[maybe_unused]] const Insn& insn)

#define SB_END(name)                                                                   \
    SB_ENDS_BLOCK(name, true)                                                          \
    static inline bool name##_body(Vcpu& cpu, const Insn& insn);                       \
    const Insn* name(Vcpu& cpu, const Insn* insn) {                                    \
        cpu.rip = next_rip(cpu, insn);                                                 \
        if (__builtin_expect(!name##_body(cpu, *insn), 0)) return leave_at(cpu, insn); \
        SB_GO_ON(cpu, next_block(cpu));                                                \
    }                                                                                  \
    static inline bool name##_body([[maybe_unused]] Vcpu& cpu, [[maybe_unused]] const Insn& insn)
