// SPDX-License-Identifier: MIT
// VcpuMmu: the way of a TLB miss. Shadow table or page walk gives the PPN, the pmap gives the host page, the
// front TLB gets an entry with the rights of the current privilege. Invalidation is in vcpu_mmu_flush.cpp.
#include "mmu/vcpu_mmu.h"

#include "core/check.h"
#include "mmu/page_rights.h"
#include "mmu/tlb_tables.h"

namespace shadowbox {

VcpuMmu::VcpuMmu(GuestMemory& memory) : memory_(memory), tables_(new Tables), scratch_(new u8[kPageSize]()) {
    switch_slot(0);
    memory_.safepoints().attach(*this);
}

VcpuMmu::~VcpuMmu() {
    if (participant_) memory_.safepoints().remove(*participant_);
    memory_.safepoints().detach(*this);
}

inline WalkAccess VcpuMmu::walk_access(MemoryAccess access, unsigned privilege) const {
    WalkAccess walk;
    walk.write = access == MemoryAccess::kWrite;
    walk.execute = access == MemoryAccess::kExecute;
    walk.user = privilege == kUser;
    walk.explicit_ac = privilege == kSupervisorWithAc;
    return walk;
}

Resolved VcpuMmu::refuse(PageOutcome outcome, Ppn ppn, PageAccess access) {
    wait_ppn_ = ppn;
    wait_access_ = access;
    Resolved result;
    result.kind = outcome == PageOutcome::kRefused ? Resolved::Kind::kRefused : Resolved::Kind::kWait;
    result.gpa = start_of(ppn);
    return result;
}

[[gnu::always_inline]] inline bool VcpuMmu::find_cached(Gva gva, WalkAccess access, Translation& found) {
    const ShadowTable &own = tables_->shadow(slot_), &global = tables_->global();
    // Kernels map themselves high and global: a guess at which table knows the page, no more.
    const bool high = gva.value >> 63;
    if (!(high ? global : own).find(gva.vpn(), found) && !(high ? own : global).find(gva.vpn(), found))
        return false;
    // A hit without the needed right walks again before it faults: the guest may have widened the rights
    // or need its D bit set.
    if (!access_allowed(control_, found, access) || (access.write && !found.dirty)) return false;
    ++counters_.shadow_hits;
    counters_.large_hits += found.page_shift > kPageShift;
    return true;
}

tl::expected<Translation, Resolved> VcpuMmu::walk(Gva gva, WalkAccess access) {
    const Vpn vpn = gva.vpn();
    ++counters_.walks;
    WalkResult walked = walk_page_tables(control_, memory_, gva, access, &tables_->devices);
    if (walked) {
        tables_->devices.forget();
        remember(vpn, *walked);
        return *walked;
    }
    const WalkFailure& failure = walked.error();
    if (failure.wait) {
        return tl::unexpected(refuse(failure.refused ? PageOutcome::kRefused : PageOutcome::kWait,
                                     failure.wait_ppn, failure.wait_access));
    }
    ++counters_.faults;
    // A fault invalidates what is cached for the address, of a large page all pieces (SDM 3A 4.10.4.1, "page
    // faults").
    tables_->drop_front(tables_->shadow(slot_).drop(vpn), Tables::contexts_of(slot_), Tables::Which::kAll);
    const VpnRange large = tables_->global().drop(vpn);
    if (!large.single()) tables_->drop_front(large, Tables::all_contexts(), Tables::Which::kGlobal);
    Resolved fault;
    fault.kind = Resolved::Kind::kFault;
    fault.error_code = failure.error_code;
    return tl::unexpected(fault);
}

/// Enters a finished walk: from now on its translation is all that the shadow tables know of the page,
/// whatever they had with the G bit or the page size as it was. (The front TLB may keep old ones of 4 KiB
/// pages, which INVLPG finds there by itself.)
void VcpuMmu::remember(Vpn vpn, const Translation& walked) {
    ShadowTable &own = tables_->shadow(slot_), &global = tables_->global();
    const VpnRange from_own = walked.global ? own.drop(vpn) : own.insert(vpn, walked);
    const VpnRange from_global = walked.global ? global.insert(vpn, walked) : global.drop(vpn);
    if (!from_own.single())
        tables_->drop_front(from_own, Tables::contexts_of(slot_), Tables::Which::kNonGlobal);
    if (!from_global.single())
        tables_->drop_front(from_global, Tables::all_contexts(), Tables::Which::kGlobal);
}

[[gnu::always_inline]] inline void VcpuMmu::fill(Gva gva, const Translation& t, u8* page, MemoryAccess access,
                                                 unsigned privilege, FillSides sides, bool may_write) {
    ++counters_.tlb_fills;
    u64 tag = gva.value & ~kPageOffsetMask;
    u64 ppn_word = t.ppn.value | (t.global ? kGlobalEntry : 0);
    TlbContext& context = tables_->context(slot_, privilege);
    u32 bit = u32{1} << (slot_ * kPrivileges + privilege);
    if (access == MemoryAccess::kExecute) {
        unsigned i = TlbContext::code_index(tag);
        context.code[i] = CodeTlbEntry{tag, reinterpret_cast<u64>(page) - tag, ppn_word,
                                       TlbContext::code_key(tag, t.ppn.value)};
        tables_->code_filled[t.global].add(i, bit);
        return;
    }
    if (__builtin_expect(watched_count_ != 0, 0) && watches(gva)) {
        // The pointer of this access can write all the same, until the next safepoint.
        if (may_write) tables_->write_right_lost = true;
        return;
    }
    unsigned i = TlbContext::index(tag);
    const TlbEntry& entry = context.data[i];
    bool may_read = access_allowed(control_, t, walk_access(MemoryAccess::kRead, privilege));
    // The side that was asked for; the other one if that drives no other page out. What it holds of this page
    // is out of date.
    const bool write = access == MemoryAccess::kWrite;
    if (entry.read_tag == tag || (may_read && (!write || !context.readable(i)))) {
        may_read ? context.set_read(i, tag, page, ppn_word) : context.empty_read(i);
    }
    // While epochs are tracked only a real write makes an entry to write by.
    const bool unasked = !memory_.epochs().on() && (sides == FillSides::kBoth || !context.writable(i));
    if (entry.write_tag == tag || (may_write && (write || unasked))) {
        if (context.writable(i) && !(may_write && entry.write_tag == tag)) tables_->write_right_lost = true;
        may_write ? tables_->set_write(context, i, tag, page, ppn_word) : tables_->empty_write(context, i);
    }
    tables_->data_filled[t.global].add(i, bit);
}

[[gnu::always_inline]] inline Resolved VcpuMmu::attach(Gva gva, const Translation& t, MemoryAccess access,
                                                       unsigned privilege, FillSides sides) {
    Ppn ppn = memory_.apply_a20(start_of(t.ppn)).ppn();
    Pmap& pmap = memory_.pmap();
    bool write = access == MemoryAccess::kWrite;
    Resolved result;
    result.gpa = Gpa(start_of(ppn).value + gva.offset());
    for (;;) {
        PmapEntry entry = pmap.load_stable(ppn);
        if (entry.state() == PageState::kMmio) {
            result.kind = Resolved::Kind::kMmio;
            return result;
        }
        if (write && (entry.state() == PageState::kRom || entry.protects(kProtectRom))) {
            result.kind = Resolved::Kind::kHost;
            result.rom = true;
            result.host = scratch_.get() + gva.offset();
            return result;
        }
        if (!(write ? entry.writable_now() : entry.has_mpn())) {
            const PageAccess wanted = write ? PageAccess::kWrite : PageAccess::kRead;
            PageOutcome outcome = memory_.demand(ppn, wanted);
            if (outcome == PageOutcome::kReady) {
                counters_.pages_moved += entry.has_mpn();
                continue;
            }
            return refuse(outcome, ppn, wanted);
        }
        if (write && entry.protects(kProtectUntilWrite)) {
            PmapEntry locked = pmap.lock(ppn);
            if (locked.state() != PageState::kMmio) pmap.unlock(ppn, locked.unprotect(kProtectUntilWrite));
            continue;
        }
        bool may_write = t.dirty && entry.reasons() == 0 && entry.writable_now() &&
                         access_allowed(control_, t, walk_access(MemoryAccess::kWrite, privilege));
        // Telling the pmap comes before the entry exists: whoever changes the page next sees the bit and asks
        // us. If the word changed meanwhile, what was judged above no longer counts. A traced page gets no
        // entry, yet the pointer in the result can write until the next safepoint.
        bool writes = may_write || (write && !entry.protects(kProtectCode));
        u64 marks = PmapEntry::kCached | PmapEntry::kAccessed | (writes ? PmapEntry::kWritten : 0);
        if ((entry.word() & marks) != marks && !pmap.exchange(ppn, entry, entry.with(marks))) continue;
        memory_.epochs().stamp(ppn, write);
        u8* page = memory_.pool().host(entry.mpn());
        Translation at = t;
        at.ppn = ppn;
        fill(gva, at, page, access, privilege, sides, may_write);
        if (writes && !may_write) tables_->write_right_lost = true;
        if (write && entry.protects(kProtectTrace)) memory_.notify_traced_write(ppn);
        result.kind = Resolved::Kind::kHost;
        result.code_page = write && entry.protects(kProtectCode);
        result.host = page + gva.offset();
        return result;
    }
}

// Its parts are inlined so that a Translation stays in registers: through memory a fill took 28 ns, now 22.
Resolved VcpuMmu::resolve(Gva gva, unsigned size, MemoryAccess access, bool implicit_supervisor,
                          FillSides sides) {
    const unsigned privilege = implicit_supervisor ? kSupervisor : selected_.privilege;
    const WalkAccess as = walk_access(access, privilege);
    Translation t;
    if (__builtin_expect(!(control_.cr0 & cr::kPg), 0)) {
        t.ppn = Gpa(gva.value & 0xFFFF'FFFF).ppn();
        t.writable = t.user = t.executable = t.dirty = true;
    } else if (!find_cached(gva, as, t)) {
        tl::expected<Translation, Resolved> walked = walk(gva, as);
        if (!walked) return walked.error();
        t = *walked;
    }
    return attach(gva, t, access, privilege, sides);
}

void VcpuMmu::set_bus(MachineBus& bus) { tables_->devices.set_bus(bus); }
bool VcpuMmu::wants_device() const { return tables_->devices.wanted(); }
void VcpuMmu::forget_device_tables() { tables_->devices.forget(); }

void VcpuMmu::want(const MemoryAnswer& answer) {
    wait_ppn_ = answer.ppn;
    wait_access_ = answer.access;
}

bool VcpuMmu::wait_for_page() {
    if (tables_->devices.wanted()) {
        OutsideScope outside(participant_);
        const MemoryAnswer answer = tables_->devices.hold_pages();
        if (answer.must_wait()) return memory_.wait_for(answer.ppn, answer.access);
        tables_->devices.fetch();
        return true;
    }
    if (participant_) participant_->add_hazard(wait_ppn_);
    OutsideScope outside(participant_);
    return memory_.wait_for(wait_ppn_, wait_access_);
}

// --- context switches ---

void VcpuMmu::select_context() {
    for (u32 privilege : {kUser, kSupervisor, kSupervisorWithAc})
        selected_.contexts[privilege] = &tables_->context(slot_, privilege);
    if (!(control_.cr4 & cr::kSmap)) selected_.contexts[kSupervisorWithAc] = nullptr;
    selected_.context = &tables_->context(slot_, selected_.privilege);
}

void VcpuMmu::set_privilege(bool user, bool ac) {
    selected_.ac = ac;
    // Without SMAP the AC flag changes nothing, and one supervisor context serves both.
    selected_.privilege = user ? kUser : ac && (control_.cr4 & cr::kSmap) ? kSupervisorWithAc : kSupervisor;
    select_context();
}

void VcpuMmu::switch_slot(u16 pcid) {
    slot_ = tables_->take_slot(pcid);
    select_context();
}

// --- looking ---

void VcpuMmu::for_each_entry(const std::function<void(Vpn, Ppn, const char*)>& visit) const {
    for (unsigned privilege = 0; privilege < kPrivileges; ++privilege) {
        const TlbContext& context = tables_->context(slot_, privilege);
        auto show = [&](u64 tag, u64 ppn_word, bool read, bool write, bool execute) {
            char rights[] = {privilege == kUser ? 'u' : 's',
                             read ? 'r' : '-',
                             write ? 'w' : '-',
                             execute ? 'x' : '-',
                             ppn_word & kGlobalEntry ? 'g' : '-',
                             0};
            visit(Gva(tag).vpn(), Ppn(ppn_word & ~kGlobalEntry), rights);
        };
        for (unsigned i = 0; i < kTlbEntries; ++i) {
            const TlbEntry& entry = context.data[i];
            const bool read = context.readable(i), write = context.writable(i),
                       same = read && write && entry.read_tag == entry.write_tag;
            if (read) show(entry.read_tag, context.read_ppn[i], true, same, false);
            if (write && !same) show(entry.write_tag, context.write_ppn[i], false, true, false);
        }
        for (const CodeTlbEntry& entry : context.code) {
            if (entry.tag != kNoTag) show(entry.tag, entry.ppn_word, false, false, true);
        }
    }
}

unsigned VcpuMmu::large_entries() const {
    unsigned count = tables_->global().large_entries();
    for (unsigned i = 0; i < kPcidSlots; ++i) count += tables_->shadow(i).large_entries();
    return count;
}

void VcpuMmu::inspect(Inspector& inspector) const {
    inspector.field("tlb fills", counters_.tlb_fills);
    inspector.field("shadow hits", counters_.shadow_hits);
    inspector.field("shadow hits by large entries", counters_.large_hits);
    inspector.field("large entries", large_entries());
    inspector.field("walks", counters_.walks);
    inspector.field("faults", counters_.faults);
    inspector.field("context switches", counters_.context_switches);
    inspector.field("full flushes", counters_.full_flushes);
    inspector.field("page flushes", counters_.page_flushes);
    for (unsigned i = 0; i < kPcidSlots; ++i) {
        if (tables_->slots[i].used) inspector.hex(fmt::format("pcid of slot {}", i), tables_->slots[i].pcid);
    }
}

}  // namespace shadowbox
