// SPDX-License-Identifier: MIT
// Checks of an access that leave RFLAGS alone, for instructions that want the flags made before them: ADC and
// SBB in long sums, CMOVcc and SETcc with memory, a MOV between an addition and its jump. As many
// instructions as the short check with LAHF and SAHF around it, but no chain of them and the frame from the
// maker of the flags to their user:
//
//   mov   rax, [slot.page] ; not rax
//   lea   rcx, [guest address]
//   lea   rcx, [rcx + rax + 1]           distance from the page's begin
//   mov   eax, 12
//   lea   rdx, [rcx + size - 1]
//   shrx  rdx, rdx, rax ; shrx rcx, rcx, rax
//   lea   rcx, [rcx + rdx]               zero: first and last byte are on the page
//   jrcxz +5 ; jmp miss
#include "cpu/jit/forms.h"
#include "cpu/jit/host_cpu.h"

namespace shadowbox::jit {

/// Flags are in RFLAGS, cannot be made again, and the next that happens to them is a use of RFLAGS.
bool Translator::check_keeps_flags(unsigned i) const {
    if (flags_ != FlagsIn::kHost || recover_ >= 0 || !long64() || !kHostCpu.bmi2 || jit_.counting_)
        return false;
    for (unsigned n = i; n < steps_.size(); ++n) {
        if (steps_[n].reads) return true;
        if (steps_[n].live_after == 0 || (n > i && steps_[n].may_exit)) return false;
    }
    return false;
}

/// RCX: lowest address of `size` bytes. Destroys RAX, RCX, RDX.
void Translator::compare_page_keeping_flags(const Cold& missed, int slot, unsigned size) {
    auto shift_by_rax = [&](u8 reg) { e_.vex({0xF2, 2, 0xF7, true}, false, reg, hRax, reg); };  // shrx
    e_.load(hRax, at(kTlb, slot));
    e_.op({0, 0, 0xF7, true}, 2, hRax);  // not
    e_.lea(hRcx, sum(hRcx, hRax, 1));
    e_.load_imm(hRax, kPageShift);
    if (size > 1) {
        e_.lea(hRdx, at(hRcx, static_cast<i32>(size - 1)));
        shift_by_rax(hRdx);
    }
    shift_by_rax(hRcx);
    if (size > 1) e_.lea(hRcx, sum(hRcx, hRdx));
    Fixup hit = e_.jrcxz_short();
    cold_.push_back(missed);
    cold_.back().from = e_.jmp_forward();
    e_.bind(hit);
}

/// probe() for such a step. False: nothing was emitted.
bool Translator::probe_keeping_flags(unsigned i, unsigned size, bool write, Mem& there) {
    const Step& s = steps_[i];
    if (!check_keeps_flags(i) || is_bit_string(s)) return false;
    rdx_group_ = -1;
    const u16 request = fill_request(size, write);
    u64 gva;
    if (address_is_constant(s, gva) && (gva & kPageOffsetMask) + size <= kPageSize) {
        Cold cold{flags_, static_cast<u16>(i), {}, ColdProbe{{}, request}, -1, e_.cursor};
        const unsigned index = TlbContext::index(gva);
        const i64 minus_page = -static_cast<i64>(gva & ~kPageOffsetMask);
        e_.load(hRcx, at(kTlb, tlb_offset(index, write)));
        if (minus_page == static_cast<i32>(minus_page)) {
            e_.lea(hRcx, at(hRcx, static_cast<i32>(minus_page)));
        } else {
            e_.load_imm(hRdx, static_cast<u64>(minus_page));
            e_.lea(hRcx, sum(hRcx, hRdx));
        }
        Fixup hit = e_.jrcxz_short();
        cold.from = e_.jmp_forward();
        cold_.push_back(cold);
        e_.bind(hit);
        e_.load(hRdx, at(kTlb, tlb_page_offset(index, write)));
        there = at(hRdx, static_cast<i32>(gva & kPageOffsetMask));
        return true;
    }
    const int slot = is_flat(s.insn.seg) ? take_slot(write) : -1;
    if (slot < 0) return false;
    Cold cold = page_slot_cold(i, slot, request);
    address(s, hRcx);
    compare_page_keeping_flags(cold, slot, size);
    address(s, hRcx);
    e_.load(hRdx, at(kTlb, slot + static_cast<int>(offsetof(PageSlot, delta))));
    there = sum(hRcx, hRdx);
    return true;
}

}  // namespace shadowbox::jit
