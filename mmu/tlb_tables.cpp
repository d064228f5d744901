// SPDX-License-Identifier: MIT
// The memory of the tables, PCID slots, and emptying front TLB entries.
#include "mmu/tlb_tables.h"

#include <new>
#include <random>

#include "core/check.h"

namespace shadowbox {

namespace {
u64 draw_page() {
    std::random_device random;
    return u64{1} << 62 |
           ((u64{random()} << 32 | random()) & ((u64{1} << 62) - kPageSize));  // bits 63 and 62 differ
}
}  // namespace

const u64 kNoPage = draw_page();
const ReturnSite kNoReturnSite{draw_page(), nullptr};

VcpuMmu::Tables::Tables() {
    Expected<MemoryMap> region = MemoryMap::reserve(sizeof(Memory), u64{1} << 21);
    VM_CHECK(region.has_value());
    map = std::move(*region);
}

void VcpuMmu::Tables::release() {
    if (!map.release(0, map.size())) return;
    for (Slot& slot : slots) slot = {};
}

int VcpuMmu::Tables::slot_of(u16 pcid) const {
    for (unsigned i = 0; i < kPcidSlots; ++i) {
        if (slots[i].used && slots[i].pcid == pcid) return static_cast<int>(i);
    }
    return -1;
}

unsigned VcpuMmu::Tables::take_slot(u16 pcid) {
    int found = slot_of(pcid);
    unsigned number = 0;
    if (found >= 0) {
        number = static_cast<unsigned>(found);
    } else {
        for (unsigned i = 0; i < kPcidSlots && slots[number].used; ++i) {
            if (!slots[i].used || slots[i].last_use < slots[number].last_use) number = i;
        }
        if (slots[number].used) {
            flush_front(contexts_of(number), Which::kAll);
            shadow(number).flush();
        } else {
            // First use: zeroed memory is an empty shadow table, but a tag of zero would match page 0.
            for (unsigned p = 0; p < kPrivileges; ++p) new (&context(number, p)) TlbContext;
        }
        slots[number].used = true;
        slots[number].pcid = pcid;
    }
    slots[number].last_use = ++clock;
    return number;
}

void VcpuMmu::Tables::empty(unsigned context_number, unsigned i, unsigned sides) {
    TlbContext& in = context(context_number);
    if (sides & kReadSide) in.empty_read(i);
    if (sides & kWriteSide) {
        if (in.writable(i)) write_right_lost = true;
        empty_write(in, i);
    }
    for (bool global : {false, true}) {
        const Which which = global ? Which::kGlobal : Which::kNonGlobal;
        const bool holds = (in.readable(i) && concerns(in.read_ppn[i], which)) ||
                           (in.writable(i) && concerns(in.write_ppn[i], which));
        if (!holds) data_filled[global].remove(i, u32{1} << context_number);
    }
}

void VcpuMmu::Tables::forget_slots(u32 contexts) {
    for (unsigned number = 0; number < kPcidSlots * kPrivileges; ++number) {
        if ((contexts >> number & 1) && slots[number / kPrivileges].used) context(number).forget_slots();
    }
}

void VcpuMmu::Tables::forget_returns() {
    for (unsigned number = 0; number < kPcidSlots * kPrivileges; ++number) {
        if (slots[number / kPrivileges].used) context(number).forget_returns();
    }
}

void VcpuMmu::Tables::flush_front(u32 contexts, Which which) {
    sweep(
        contexts, which,
        [&](TlbContext& context, unsigned i) {
            return (concerns(context.read_ppn[i], which) ? kReadSide : 0) |
                   (concerns(context.write_ppn[i], which) ? kWriteSide : 0);
        },
        [&](CodeTlbEntry& entry) { return concerns(entry.ppn_word, which); });
}

void VcpuMmu::Tables::drop_data(Vpn vpn, u32 contexts, Which which) {
    u64 tag = start_of(vpn).value;
    unsigned i = TlbContext::index(tag);
    for (u32 rest = filled(data_filled, i, which) & contexts; rest; rest &= rest - 1) {
        unsigned number = static_cast<unsigned>(__builtin_ctz(rest));
        const TlbContext& in = context(number);
        unsigned sides = in.data[i].read_tag == tag && concerns(in.read_ppn[i], which) ? kReadSide : 0;
        if (in.data[i].write_tag == tag && concerns(in.write_ppn[i], which)) sides |= kWriteSide;
        if (sides) empty(number, i, sides);
    }
}

void VcpuMmu::Tables::drop_code(Vpn vpn, u32 contexts, Which which) {
    u64 tag = start_of(vpn).value;
    unsigned i = TlbContext::code_index(tag);
    for (u32 rest = filled(code_filled, i, which) & contexts; rest; rest &= rest - 1) {
        unsigned number = static_cast<unsigned>(__builtin_ctz(rest));
        CodeTlbEntry& entry = context(number).code[i];
        if (entry.tag != tag || !concerns(entry.ppn_word, which)) continue;
        empty(number, i, entry);
    }
}

void VcpuMmu::Tables::drop_front(const VpnRange& range, u32 contexts, Which which) {
    if (range.everything) {
        flush_front(contexts, which);
        return;
    }
    forget_slots(contexts);
    if (range.single()) {
        drop_data(range.first, contexts, which);
        drop_code(range.first, contexts, which);
        return;
    }
    // The data entries of 64 aligned pages lie side by side, and few are filled; those of code lie anywhere.
    for (Vpn first = range.first; first < range.first + range.count; first += 64) {
        const unsigned word = TlbContext::index(start_of(first).value) / 64;
        for (u64 rest = data_filled[0].indices[word] | data_filled[1].indices[word]; rest; rest &= rest - 1) {
            drop_data(first + static_cast<unsigned>(__builtin_ctzll(rest)), contexts, which);
        }
    }
    for (u64 i = 0; i < range.count; ++i) drop_code(range.first + i, contexts, which);
}

}  // namespace shadowbox
