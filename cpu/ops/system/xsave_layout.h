// SPDX-License-Identifier: MIT
// The XSAVE area (SDM 1 13.4) as this CPU lays it out: CPUID leaf 0DH reports these numbers, xsave.cpp uses
// them. To add a component, give it a row here and its cases in put_component(), take_component() and
// xsave_in_use().
#pragma once

#include "cpu/state/cpu_model.h"

namespace shadowbox {

namespace xsave {
constexpr u64 kX87 = 1, kSse = 2, kAvx = 4, kPkru = u64{1} << 9;
constexpr unsigned kLegacySize = 512, kHeaderSize = 64, kExtendedStart = kLegacySize + kHeaderSize;

/// Components with an extended region; x87 and SSE live in the legacy area.
struct Component {
    unsigned number;
    unsigned offset;  ///< standard format
    unsigned size;
    bool aligned;  ///< compacted format: starts on 64 bytes
};
constexpr Component kComponents[] = {
    {2, 576, 256, false},  // upper halves of YMM0 to YMM15
    {9, 2688, 8, false},   // PKRU, where Intel has it
};

/// What XCR0 may hold.
inline u64 supported_xcr0(const CpuModel& model) {
    return kX87 | kSse | (model.has(OpFeature::Avx) ? kAvx : 0) | (model.has(OpFeature::Pku) ? kPkru : 0);
}

/// Size of a standard-format area for these components (CPUID.0DH.0:EBX, :ECX).
constexpr unsigned standard_size(u64 components) {
    unsigned size = kExtendedStart;
    for (const Component& c : kComponents) {
        if (components >> c.number & 1) size = c.offset + c.size;
    }
    return size;
}
/// Offset of component `number` in a compacted area whose XCOMP_BV has these components; the total for
/// number 63.
constexpr unsigned compacted_offset(u64 components, unsigned number) {
    unsigned offset = kExtendedStart;
    for (const Component& c : kComponents) {
        if (!(components >> c.number & 1)) continue;
        if (c.aligned) offset = (offset + 63) & ~63u;
        if (c.number == number) return offset;
        offset += c.size;
    }
    return offset;
}
constexpr unsigned compacted_size(u64 components) { return compacted_offset(components, 63); }
}  // namespace xsave

/// Components not in their initial state (XGETBV with ECX = 1, SDM 1 13.6).
u64 xsave_in_use(const Vcpu& cpu);

}  // namespace shadowbox
