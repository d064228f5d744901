// SPDX-License-Identifier: MIT
// VcpuMmu: everything that drops translations: control registers, INVLPG, INVPCID (SDM 3A 4.10.4.1) and
// remapping.
#include <algorithm>

#include "mmu/page_rights.h"
#include "mmu/tlb_tables.h"
#include "mmu/vcpu_mmu.h"

namespace shadowbox {

// --- control registers ---

void VcpuMmu::set_control(u64 cr0, u64 cr4, u64 efer) {
    tables_->devices.forget();
    u64 changed0 = control_.cr0 ^ cr0, changed4 = control_.cr4 ^ cr4, changed_efer = control_.efer ^ efer;
    control_.cr0 = cr0;
    control_.cr4 = cr4;
    control_.efer = efer;
    // Another mode, other rules for reserved bits, or a change that the manual lists: nothing survives. The
    // manual asks for less in some of these cases; they are rare.
    bool all = (changed0 & cr::kPg) ||
               (changed4 & (cr::kPse | cr::kPae | cr::kPge | cr::kLa57 | cr::kPcide | cr::kSmep)) ||
               (changed_efer & (cr::kNxe | cr::kLma));
    // Rights of the front TLB are judged under these; the shadow tables hold the guest's own bits.
    bool front = (changed0 & cr::kWp) || (changed4 & (cr::kSmap | cr::kPke));
    if (all) {
        flush_all();
    } else if (front) {
        tables_->flush_front(Tables::all_contexts(), Tables::Which::kAll);
    }
    if (changed4 & cr::kPcide) switch_slot(cr4 & cr::kPcide ? control_.cr3 & 0xFFF : 0);
    if (changed4 & cr::kSmap) set_privilege(selected_.privilege == kUser, selected_.ac);
}

void VcpuMmu::set_cr3(u64 cr3, bool keep) {
    tables_->devices.forget();
    ++counters_.context_switches;
    control_.cr3 = cr3;
    bool pcids = control_.cr4 & cr::kPcide;
    switch_slot(pcids ? cr3 & 0xFFF : 0);
    if (pcids && keep) return;
    tables_->flush_front(Tables::contexts_of(slot_), Tables::Which::kNonGlobal);
    tables_->shadow(slot_).flush();
}

void VcpuMmu::set_pkru(u32 pkru) {
    if (control_.pkru == pkru) return;
    control_.pkru = pkru;
    if (control_.cr4 & cr::kPke) tables_->flush_front(Tables::all_contexts(), Tables::Which::kAll);
}

VcpuMmu::PdpteRead VcpuMmu::read_pdptes(u64 cr3, Pdptes& read) {
    // SDM 3A 4.4.1: bits 2:1, 8:5 and those above the physical width, in present entries only.
    constexpr u64 kReserved = 0x1E6 | (~u64{0} << kPhysicalBits);
    for (unsigned i = 0; i < read.size(); ++i) {
        const Gpa where((cr3 & 0xFFFF'FFE0) + i * 8);
        const PageOutcome outcome = memory_.walk_load(where, 8, read[i], &tables_->devices);
        if (outcome != PageOutcome::kReady) {
            refuse(outcome, memory_.apply_a20(where).ppn(), PageAccess::kRead);
            return outcome == PageOutcome::kWait ? PdpteRead::kWait : PdpteRead::kRefused;
        }
    }
    tables_->devices.forget();
    for (u64 pdpte : read)
        if ((pdpte & 1) && (pdpte & kReserved)) return PdpteRead::kReserved;
    return PdpteRead::kRead;
}

// --- watched pages ---

bool VcpuMmu::watches(Gva gva) const {
    const Vpn *first = tables_->watched, *end = first + watched_count_;
    return std::find(first, end, gva.vpn()) != end;
}

void VcpuMmu::watch_pages(std::span<const Vpn> pages) {
    for (Vpn vpn : pages) {
        if (!watches(start_of(vpn)))
            tables_->drop_front(VpnRange{vpn}, Tables::all_contexts(), Tables::Which::kAll);
    }
    watched_count_ = static_cast<u8>(pages.size());
    std::copy(pages.begin(), pages.end(), tables_->watched);
}

// --- INVLPG, INVPCID ---

void VcpuMmu::flush_all() {
    tables_->devices.forget();
    ++counters_.full_flushes;
    tables_->flush_front(Tables::all_contexts(), Tables::Which::kAll);
    for (unsigned i = 0; i < kPcidSlots; ++i) {
        if (tables_->slots[i].used) tables_->shadow(i).flush();
    }
    tables_->global().flush();
}

void VcpuMmu::release() {
    flush_all();
    tables_->release();
    switch_slot(control_.cr4 & cr::kPcide ? control_.cr3 & 0xFFF : 0);
}

u64 VcpuMmu::table_bytes() const {
    u64 bytes = sizeof(Tables) + sizeof(ShadowTable);
    for (const Tables::Slot& slot : tables_->slots) {
        if (slot.used) bytes += kPrivileges * sizeof(TlbContext) + sizeof(ShadowTable);
    }
    return bytes;
}

void VcpuMmu::invlpg(Gva gva) {
    tables_->devices.forget();
    ++counters_.page_flushes;
    tables_->drop_front(tables_->shadow(slot_).drop(gva.vpn()), Tables::contexts_of(slot_),
                        Tables::Which::kAll);
    // Global translations of the page go in every PCID.
    tables_->drop_front(tables_->global().drop(gva.vpn()), Tables::all_contexts(), Tables::Which::kGlobal);
}

void VcpuMmu::invpcid(unsigned type, u16 pcid, Gva gva) {
    tables_->devices.forget();
    if (type == 2) {
        flush_all();
        return;
    }
    ++counters_.page_flushes;
    if (type == 3) {
        tables_->flush_front(Tables::all_contexts(), Tables::Which::kNonGlobal);
        for (unsigned i = 0; i < kPcidSlots; ++i) {
            if (tables_->slots[i].used) tables_->shadow(i).flush();
        }
        return;
    }
    int found = tables_->slot_of(pcid);
    if (found < 0) return;
    unsigned slot = static_cast<unsigned>(found);
    VpnRange gone{Vpn(), 0, true};
    if (type == 0)
        gone = tables_->shadow(slot).drop(gva.vpn());
    else
        tables_->shadow(slot).flush();
    tables_->drop_front(gone, Tables::contexts_of(slot), Tables::Which::kNonGlobal);
}

// --- remapping ---

bool VcpuMmu::apply(const DropRequest& request) {
    // Requests name at most some hundreds of pages; a small filter keeps most entries from the search.
    std::vector<Ppn> sorted = request.ppns;
    std::sort(sorted.begin(), sorted.end());
    u64 filter[16] = {};
    for (Ppn ppn : sorted) filter[ppn.value / 64 % 16] |= u64{1} << ppn.value % 64;
    auto named = [&](u64 ppn_word) {
        u64 ppn = ppn_word & ~kGlobalEntry;
        if (request.everything) return true;
        if (!(filter[ppn / 64 % 16] >> ppn % 64 & 1)) return false;
        return std::binary_search(sorted.begin(), sorted.end(), Ppn(ppn));
    };
    auto data = [&](TlbContext& context, unsigned i) {
        unsigned sides = named(context.write_ppn[i]) ? Tables::kWriteSide : 0;
        if (!request.write_only && named(context.read_ppn[i])) sides |= Tables::kReadSide;
        return sides;
    };
    auto code = [&](CodeTlbEntry& entry) { return !request.write_only && named(entry.ppn_word); };
    auto has_writer = [&](Ppn ppn) { return !tables_->writers.none(ppn); };
    const bool concerned =
        request.everything ||
        (request.write_only ? std::any_of(sorted.begin(), sorted.end(), has_writer) : !sorted.empty());
    if (concerned)
        tables_->sweep(Tables::all_contexts(), Tables::Which::kAll, data, code);
    else
        tables_->forget_slots(Tables::all_contexts());  // which outlive the entries that they came from
    // The flag covers entries replaced since the last safepoint: their pointers may have been in use until
    // now.
    return std::exchange(tables_->write_right_lost, false);
}

void VcpuMmu::forget_returns() { tables_->forget_returns(); }

void VcpuMmu::drop_ppn(Ppn ppn) {
    bool lost = apply(DropRequest{{ppn}});
    tables_->write_right_lost = lost;
}

void VcpuMmu::drop_write(Ppn ppn) {
    bool lost = apply(DropRequest{{ppn}, false, true});
    tables_->write_right_lost = lost;
}

}  // namespace shadowbox
