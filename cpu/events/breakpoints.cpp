// SPDX-License-Identifier: MIT
#include "cpu/events/breakpoints.h"

namespace shadowbox {

namespace {
struct Watch {
    bool enabled;
    unsigned kind;
    u64 first, last;
};  // kind: R/W field, 0 execute, 1 write, 2 I/O, 3 read or write

Watch watch(const Vcpu& cpu, unsigned n) {
    static constexpr unsigned kLengths[] = {1, 2, 8, 4};
    unsigned fields = static_cast<unsigned>(cpu.dr[7] >> (16 + 4 * n) & 15), length = kLengths[fields >> 2];
    u64 first = cpu.dr[n] & ~u64{length - 1};
    return {(cpu.dr[7] >> (2 * n) & 3) != 0, fields & 3, first, first + length - 1};
}
}  // namespace

void note_data_access(Vcpu& cpu, u64 gva, unsigned size, bool write) {
    for (unsigned n = 0; n < 4; ++n) {
        Watch w = watch(cpu, n);
        if (!w.enabled || !(w.kind == 3 || (w.kind == 1 && write))) continue;
        if (gva <= w.last && gva + size - 1 >= w.first) cpu.pending_dr6 |= u64{1} << n;
        // Keep the page out of the TLB, so that the next access comes here again.
        cpu.mmu.context()->forget_rights(w.first);
    }
}

u64 instruction_breakpoints(const Vcpu& cpu, u64 gva) {
    u64 hits = 0;
    if (!(cpu.dr[7] & 0xFF)) return 0;
    for (unsigned n = 0; n < 4; ++n) {
        Watch w = watch(cpu, n);
        if (w.enabled && w.kind == 0 && cpu.dr[n] == gva) hits |= u64{1} << n;
    }
    return hits;
}

bool watches_page(const Vcpu& cpu, u64 gva) {
    if (!(cpu.dr[7] & 0xFF)) return false;
    for (unsigned n = 0; n < 4; ++n) {
        Watch w = watch(cpu, n);
        if (w.enabled && (w.kind == 1 || w.kind == 3) && ((w.first ^ gva) & ~kPageOffsetMask) == 0)
            return true;
    }
    return false;
}

void breakpoints_changed(Vcpu& cpu) { cpu.mmu.flush_all(); }

}  // namespace shadowbox
