// SPDX-License-Identifier: MIT
#include "cpu/events/breakpoints.h"

#include <algorithm>
#include <array>

namespace shadowbox {

namespace {
enum class Watched : u8 { kExecute, kWrite, kPort, kReadOrWrite };  // DR7's R/W fields

/// What a debug register asks for. Nothing on I/O without CR4.DE: the field is undefined then.
struct Breakpoint {
    bool enabled;
    Watched kind;
    u64 first, last;
    bool on_data() const { return enabled && (kind == Watched::kWrite || kind == Watched::kReadOrWrite); }
    bool meets(u64 at, unsigned size) const { return at <= last && at + (size - 1) >= first; }
};

Breakpoint breakpoint(const Vcpu& cpu, unsigned n) {
    static constexpr unsigned kLengths[] = {1, 2, 8, 4};
    const unsigned fields = static_cast<unsigned>(cpu.dr[7] >> (16 + 4 * n) & 15),
                   length = kLengths[fields >> 2];
    const u64 first = cpu.dr[n] & ~u64{length - 1};
    return {(cpu.dr[7] >> (2 * n) & 3) != 0, static_cast<Watched>(fields & 3), first, first + length - 1};
}
}  // namespace

void note_data_access(Vcpu& cpu, u64 gva, unsigned size, bool write) {
    for (unsigned n = 0; n < 4; ++n) {
        const Breakpoint b = breakpoint(cpu, n);
        if (b.on_data() && (write || b.kind == Watched::kReadOrWrite) && b.meets(gva, size))
            cpu.pending_dr6 |= u64{1} << n;
    }
}

void note_port_access(Vcpu& cpu, u16 port, unsigned size) {
    if (__builtin_expect(!(cpu.dr[7] & 0xFF), 1) || !(cpu.cr4 & cr4::kDE)) return;
    for (unsigned n = 0; n < 4; ++n) {
        const Breakpoint b = breakpoint(cpu, n);
        if (b.enabled && b.kind == Watched::kPort && b.meets(port, size)) cpu.pending_dr6 |= u64{1} << n;
    }
}

u64 instruction_breakpoints(const Vcpu& cpu, u64 gva) {
    u64 hits = 0;
    if (!(cpu.dr[7] & 0xFF)) return 0;
    for (unsigned n = 0; n < 4; ++n) {
        const Breakpoint b = breakpoint(cpu, n);
        if (b.enabled && b.kind == Watched::kExecute && cpu.dr[n] == gva) hits |= u64{1} << n;
    }
    return hits;
}

void breakpoints_changed(Vcpu& cpu) {
    std::array<Vpn, VcpuMmu::kWatchedPages> pages;
    unsigned count = 0;
    for (unsigned n = 0; n < 4; ++n) {
        const Breakpoint b = breakpoint(cpu, n);  // never reaches over its page: it is aligned
        const Vpn page = Gva(b.first).vpn();
        if (b.on_data() && std::find(pages.begin(), pages.begin() + count, page) == pages.begin() + count)
            pages[count++] = page;
    }
    cpu.mmu.watch_pages({pages.data(), count});
}

}  // namespace shadowbox
