// SPDX-License-Identifier: MIT
// What decoded blocks and translation depend on, recomputed whenever a register behind it changed.
#include "cpu/events/breakpoints.h"
#include "cpu/state/cpu_model.h"
#include "cpu/state/vcpu.h"

namespace shadowbox {

namespace {
constexpr u32 kMaxCodeLimits = 0xFFFF;

/// Present, writable data that does not grow down, over all of the linear address space.
bool is_flat(const SegmentRegister& s) {
    return (s.attributes & 0x9E) == 0x92 && s.base == 0 && s.limit == 0xFFFFFFFF;
}
}  // namespace

/// CS.limit as mode bits. With more limits than there are numbers code runs one instruction at a time, which
/// keeps no block.
u64 Vcpu::code_limit_bits() {
    const u32 limit = seg[kCs].limit;
    if (limit == 0xFFFFFFFF) return 0;
    if (limit == 0xFFFF) return u64{1} << mode_bits::kCodeLimitShift;
    auto found = code_limits_.find(limit);
    if (found == code_limits_.end()) {
        const u32 number = static_cast<u32>(code_limits_.size()) + 2;
        if (number > kMaxCodeLimits) return mode_bits::kSingleStep;
        found = code_limits_.emplace(limit, number).first;
    }
    return static_cast<u64>(found->second) << mode_bits::kCodeLimitShift;
}

void Vcpu::update_mode() {
    u64 bits = 0;
    const SegmentRegister& cs = seg[kCs];
    bool protected_mode = cr0 & cr0::kPE;
    if (protected_mode) bits |= mode_bits::kProtected;
    if (vm86()) {
        bits |= mode_bits::kVm86;
        cpl = 3;
    } else if (!protected_mode) {
        cpl = 0;
    }
    if (efer & efer::kLMA) bits |= mode_bits::kLongMode;
    if ((efer & efer::kLMA) && cs.long_mode()) {
        bits |= mode_bits::kLong64;
    } else {
        bits |= cs.base << 32 | code_limit_bits();
        if (cs.big()) bits |= mode_bits::kCode32;
        bool flat = protected_mode && !vm86() && cs.big() && seg[kSs].big() && is_flat(seg[kDs]) &&
                    is_flat(seg[kEs]) && is_flat(seg[kSs]);
        if (flat) bits |= mode_bits::kFlat;
    }
    if (seg[kSs].big()) bits |= mode_bits::kStack32;
    if ((other_flags & rflags::kTF) || (dr[7] & 0xFF)) bits |= mode_bits::kSingleStep;
    if (__builtin_expect((dr[7] & 0xFF) || mmu.watches(), 0)) breakpoints_changed(*this);
    if (cr0 & cr0::kEM) bits |= mode_bits::kFpuEm;
    if (cr0 & cr0::kTS) bits |= mode_bits::kFpuNm;
    if ((cr0 & cr0::kEM) || !(cr4 & cr4::kOSFXSR)) bits |= mode_bits::kSseUd;
    if ((mxcsr & 0x1F80) != 0x1F80) bits |= mode_bits::kSseUnmasked;
    // VEX vector encodings need XCR0 bits 1 and 2 and CR4.OSXSAVE (SDM 2A 2.4). A model without AVX has no
    // row that asks.
    if (model.has(OpFeature::Avx) && ((xcr0 & 6) != 6 || !(cr4 & cr4::kOSXSAVE))) bits |= mode_bits::kAvxOff;
    mode = bits;
    bool checked = cpl == 3 && (other_flags & rflags::kAC) && (cr0 & cr0::kAM);
    if (checked && !alignment_checked) mmu.flush_all();
    alignment_checked = checked;
    mmu.set_privilege(cpl == 3, other_flags & rflags::kAC);
}

void Vcpu::set_rflags(u64 value) {
    flags.set(value);
    other_flags = (value & rflags::kAll & ~rflags::kArithmetic) | rflags::kFixed;
}

}  // namespace shadowbox
