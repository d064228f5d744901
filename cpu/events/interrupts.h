// SPDX-License-Identifier: MIT
// Delivery of exceptions and interrupts through the IVT or IDT (SDM 3A chapter 6), and the returns from them.
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

enum class EventKind : u8 { kException, kExternal, kNmi, kSoftware, kSoftwareException, kIcebp };

struct Event {
    u8 vector = 0;
    EventKind kind = EventKind::kException;
    bool has_error = false;
    u32 error_code = 0;
    u64 return_rip = 0;  ///< what is pushed: the instruction (faults) or the one after it
};

/// One attempt. False: another fault was raised on the way; registers are unchanged.
bool deliver_event(Vcpu& cpu, const Event& event);
/// Delivers cpu.fault with the rules for a fault inside delivery (#DF). False: triple fault.
bool deliver_fault(Vcpu& cpu);
/// An external interrupt, NMI or software interrupt, with the same rules. False: triple fault.
bool deliver_with_double_fault(Vcpu& cpu, const Event& event);

/// After IRET or a task switch loaded RF: code that no breakpoint can stop runs without it, since nothing
/// there would clear it. It is set between the iterations of a repeat alone.
inline void drop_unseen_resume_flag(Vcpu& cpu) {
    if (!(cpu.mode & mode_bits::kSingleStep)) cpu.other_flags &= ~rflags::kRF;
}

/// The chain of faults that led to the last shutdown, for the user.
std::string shutdown_story(const Vcpu& cpu);

/// Hardware task switch (SDM 3A 7.3), through a TSS selector.
enum class TaskSwitch : u8 { kJump, kCall, kIret, kGate };
bool switch_task(Vcpu& cpu, u16 selector, TaskSwitch how, u64 return_rip, bool has_error = false,
                 u32 error_code = 0);
/// SS:ESP for a move to privilege level `cpl`, from the current TSS (16 or 32-bit).
bool stack_from_tss(Vcpu& cpu, unsigned cpl, u16& selector, u32& pointer);
/// RSP of level or IST slot from a 64-bit TSS.
bool stack_from_tss64(Vcpu& cpu, unsigned slot_offset, u64& pointer);

}  // namespace shadowbox
