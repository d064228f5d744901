// SPDX-License-Identifier: MIT
// Operands: guest registers, linear addresses, and the TLB probe in host code. The probe is that of
// mmu/tlb.h:
//
//   lea  rcx, [guest address]        skipped for constants
//   rorx edx, ecx, 7 ; and edx, ..   entry's offset
//   xor  rcx, [tlb + rdx + tag]      offset in the page on a hit
//   cmp  rcx, 4096 - size ; ja miss  other page, no right, page crossing
//   mov  rdx, [tlb + rdx + page]     the access is at [rcx + rdx]
#include "cpu/jit/forms.h"
#include "cpu/jit/host_cpu.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

u8 Translator::read(unsigned guest, u8 scratch) {
    if (kHome[guest] != kInFrame) return kHome[guest];
    e_.load(scratch, in_frame(frame_gpr(guest)));
    return scratch;
}

void Translator::write(unsigned guest, u8 host) {
    if (kHome[guest] == kInFrame)
        e_.store(in_frame(frame_gpr(guest)), host);
    else if (kHome[guest] != host)
        e_.mov(kHome[guest], host);
}

bool Translator::address_is_constant(const Step& s, u64& gva) const {
    if (s.insn.rm != kNoRegister || s.insn.index != kNoRegister || !is_flat(s.insn.seg)) return false;
    gva = static_cast<u64>(s.insn.disp);
    if (s.insn.asize == 2) gva = static_cast<u32>(gva);
    if (s.insn.asize == 1) gva = static_cast<u16>(gva);
    return true;
}

Mem Translator::base_and_index(const Insn& n, u8 base_scratch, u8 index_scratch) {
    Mem m;
    m.disp = static_cast<i32>(n.disp);
    if (n.rm != kNoRegister) m.base = read(n.rm, base_scratch);
    if (n.index != kNoRegister) {
        m.index = read(n.index, index_scratch);
        if (m.index == hRdx) rdx_group_ = -1;
        m.scale = n.scale;
    }
    return m;
}

/// Destroys RDX when the index register is in the frame, keeps RFLAGS.
void Translator::offset(const Step& s, u8 to) {
    const Insn& n = s.insn;
    bool wide = n.asize == 3;
    if (n.rm == kNoRegister && n.index == kNoRegister) {
        e_.load_imm(to, wide           ? static_cast<u64>(n.disp)
                        : n.asize == 2 ? static_cast<u32>(n.disp)
                                       : static_cast<u16>(n.disp));
        return;
    } else {
        const Mem m = base_and_index(n, to, hRdx);
        if (m.index == kNoIndex && m.disp == 0) {
            if (m.base != to || !wide) wide ? e_.mov(to, m.base) : e_.mov32(to, m.base);
        } else {
            e_.lea(to, m, wide);
        }
    }
    if (n.asize == 1) e_.op({0, 1, 0xB7}, to, to);  // movzx
}

/// Destroys RDX as offset() does, and RFLAGS where the segment has a base.
void Translator::address(const Step& s, u8 to) {
    offset(s, to);
    add_base(s.insn.seg, to);
}

void Translator::gva_again(unsigned i, const AddressAgain& again) {
    switch (again.kind) {
        case AddressAgain::kOperand: return address(steps_[i], hRcx);
        case AddressAgain::kBitString: return bit_string_address(steps_[i]);
        case AddressAgain::kString:
            string_offset(kHome[again.base], steps_[i].insn.asize);
            return add_base(again.segment, hRcx);
        case AddressAgain::kRegister:
            if (long64()) return e_.lea(hRcx, at(read(again.base, hRcx), again.disp));
            stack_offset(kHome[again.base], again.disp);
            return add_base(kSs, hRcx);
    }
}

Mem Translator::finish_probe(Cold& cold, unsigned size, bool write) {
    ColdProbe& probe = std::get<ColdProbe>(cold.path);
    probe.request = fill_request(size, write);
    rdx_group_ = -1;
    count_hit(HitKind::kTlb, false, hRdx);
    if (kHostCpu.bmi2) {
        e_.vex({0xF2, 3, 0xF0}, false, hRdx, 0, hRcx);
        e_.byte(7);
    } else {
        e_.mov32(hRdx, hRcx);
        e_.shift_right(hRdx, 7, false);
    }
    static_assert(sizeof(TlbEntry) == 32 && kPageShift - 7 == 5);
    e_.alu_imm(4, hRdx, (kTlbEntries - 1) * 32, false);
    e_.alu(6, hRcx, sum(kTlb, hRdx, tlb_offset(0, write)));
    e_.alu_imm(7, hRcx, static_cast<i32>(kPageSize - size));
    cold.from = e_.jcc_forward(kA);
    e_.load(hRdx, sum(kTlb, hRdx, tlb_page_offset(0, write)));
    if (!long64() && write) probe.forced = e_.cursor;
    cold_.push_back(cold);
    return sum(hRcx, hRdx);
}

/// The access faults unless the low bits are zero; destroys RFLAGS, which do not hold the guest's here.
void Translator::check_alignment(unsigned i, u8 reg, unsigned size) {
    e_.op({0, 0, 0xF6, false, true}, 0, reg);  // test reg, size - 1
    e_.byte(static_cast<u8>(size - 1));
    leave_if(kNe, i);
}

int Translator::take_slot(bool write) {
    unsigned& used = write ? write_slots_used_ : read_slots_used_;
    if ((block_.code.avoid & kAvoidSlots) || used == kPageSlots) return -1;
    ++used;
    unsigned& next = write ? jit_.next_write_slot_ : jit_.next_read_slot_;
    next = (next + 1) % kPageSlots;
    return static_cast<int>((write ? offsetof(TlbContext, write_slots) : offsetof(TlbContext, read_slots)) +
                            next * sizeof(PageSlot));
}

/// What a probe at step i begins with: its cold path comes back to here.
Cold Translator::start_probe(unsigned i, const AddressAgain& address) {
    clobber_flags();
    poll(i);
    rdx_group_ = -1;
    return {flags_, static_cast<u16>(i), {}, ColdProbe{address, 0}, recover_, e_.cursor};
}

Cold Translator::page_slot_cold(unsigned i, int slot, u16 request, const AddressAgain& address) {
    const ColdProbe probe{address, request, slot, nullptr, ExitKind::kShortcut};
    return {flags_, static_cast<u16>(i), {}, probe, recover_, e_.cursor};
}

/// The ModRM operand by a page slot: for addresses with an index or a segment base.
Mem Translator::probe_slot(unsigned i, unsigned size, bool write, bool aligned, int slot) {
    const bool bit_string = is_bit_string(steps_[i]);
    Cold cold = page_slot_cold(i, slot, fill_request(size, write),
                               {bit_string ? AddressAgain::kBitString : AddressAgain::kOperand});
    count_hit(HitKind::kSlots);
    bit_string ? bit_string_address(steps_[i]) : address(steps_[i], hRcx);
    e_.mov(hRdx, hRcx);
    e_.alu(6, hRcx, at(kTlb, slot));
    e_.alu_imm(7, hRcx, static_cast<i32>(kPageSize - size));
    cold.from = e_.jcc_forward(kA);
    cold_.push_back(cold);
    if (aligned) check_alignment(i, hRcx, size);
    e_.alu(0, hRdx, at(kTlb, slot + static_cast<int>(offsetof(PageSlot, delta))));
    return at(hRdx);
}

Mem Translator::probe(unsigned i, unsigned size, bool write, bool aligned) {
    const Step& s = steps_[i];
    if (in_group(s.operand)) return group_access(i, s.operand, size, write, aligned);
    Mem there;
    if (!aligned && probe_keeping_flags(i, size, write, there)) return there;
    Cold cold = start_probe(i);
    u64 gva;
    if (address_is_constant(s, gva) && (gva & kPageOffsetMask) + size <= kPageSize &&
        !(aligned && gva % size)) {
        unsigned index = TlbContext::index(gva);
        u64 page = gva & ~kPageOffsetMask;
        count_hit(HitKind::kTlb);
        if (static_cast<i64>(page) == static_cast<i32>(page)) {
            e_.alu_imm(7, at(kTlb, tlb_offset(index, write)), static_cast<i32>(page));
        } else {
            e_.load_imm(hRcx, page);
            e_.alu(7, hRcx, at(kTlb, tlb_offset(index, write)));
        }
        ColdProbe& probe = std::get<ColdProbe>(cold.path);
        probe.request = fill_request(size, write);
        cold.from = e_.jcc_forward(kNe);
        e_.load(hRdx, at(kTlb, tlb_page_offset(index, write)));
        if (!long64() && write) probe.forced = e_.cursor;
        cold_.push_back(cold);
        return at(hRdx, static_cast<i32>(gva & kPageOffsetMask));
    }
    if (int slot = long64() ? take_slot(write) : -1; slot >= 0)
        return probe_slot(i, size, write, aligned, slot);
    offset(s, hRcx);
    check_limit(i, s.insn.seg, size, write);
    add_base(s.insn.seg, hRcx);
    there = finish_probe(cold, size, write);
    if (aligned) check_alignment(i, hRcx, size);
    return there;
}

Mem Translator::probe_at(unsigned i, u8 base, i32 disp, unsigned size, bool write) {
    if (in_group(steps_[i].stack)) return group_access(i, steps_[i].stack, size, write, false);
    const u8 guest = base == kHome[kRbp] ? u8{kRbp} : u8{kRsp};
    Cold cold = start_probe(i, {AddressAgain::kRegister, guest, kSs, disp});
    if (!long64()) {
        stack_offset(base, disp);
        check_limit(i, kSs, size, write);
        add_base(kSs, hRcx);
    } else if (disp)
        e_.lea(hRcx, at(base, disp));
    else
        e_.mov(hRcx, base);
    return finish_probe(cold, size, write);
}

void Translator::end_groups() {
    for (Group& group : groups_) group.checked = false;
    rdx_group_ = -1;
}

/// The access goes by its group's check. A lone access without a page slot does not: a probe of its own is as
/// short.
bool Translator::in_group(const Access& access) const {
    if (access.group < 0) return false;
    const Group& group = groups_[static_cast<unsigned>(access.group)];
    return group.is_stack || group.members > 1 || !(block_.code.avoid & kAvoidSlots);
}

/// The whole span of the access's group lies on one page with the right it needs. Then its slot holds host
/// minus guest address, or RDX does if it has none.
void Translator::check_group(unsigned i, const Access& access, bool write) {
    Group& group = groups_[static_cast<unsigned>(access.group)];
    const i32 low = static_cast<i32>(group.low - access.base_delta);
    const unsigned span = static_cast<unsigned>(group.high - group.low);
    rdx_group_ = -1;
    if (group.is_stack)
        group.slot = offsetof(TlbContext, stack);
    else if (group.slot < 0)
        group.slot = take_slot(group.write);
    const bool keep_flags = group.slot >= 0 && check_keeps_flags(i);
    if (!keep_flags) {
        clobber_flags();
        poll(i);
    }
    // What the access itself asks for, and whether the group will also write: FillRequest.
    const u16 request = static_cast<u16>(span | (write ? kFillWrite : 0) |
                                         (group.write || group.is_stack ? kFillNeedsWrite : 0));
    Cold cold = page_slot_cold(i, group.slot, request, {AddressAgain::kRegister, access.base, kDs, low});
    if (group.slot >= 0) count_hit(HitKind::kSlots);
    u8 base = read(access.base, hRcx);
    if (low || base == hRcx)
        e_.lea(hRcx, at(base, low));
    else
        e_.mov(hRcx, base);
    if (group.slot >= 0) {
        // One page of stack is kept: other groups on stacks (wide frames, a switch of stacks) are to be
        // checked again.
        if (group.is_stack)
            for (Group& other : groups_) other.checked = other.checked && !other.is_stack;
        if (keep_flags) {
            compare_page_keeping_flags(cold, group.slot, span);
            group.checked = true;
            return;
        }
        e_.alu(6, hRcx, at(kTlb, group.slot));
        e_.alu_imm(7, hRcx, static_cast<i32>(kPageSize - span));
        cold.from = e_.jcc_forward(kA);
        cold_.push_back(cold);
    } else {
        finish_probe(cold, span, group.write);
        std::get<ColdProbe>(cold_.back().path).request = request;
        // page + offset is the low end's host address; minus its guest address.
        e_.lea(hRdx, sum(hRcx, hRdx, -low));
        e_.alu(5, hRdx, access_base_operand(access));
        rdx_group_ = access.group;
    }
    group.checked = true;
}

Mem Translator::group_access(unsigned i, const Access& access, unsigned size, bool write, bool aligned) {
    Group& group = groups_[static_cast<unsigned>(access.group)];
    if (!group.checked || (group.slot < 0 && rdx_group_ != access.group)) check_group(i, access, write);
    if (rdx_group_ != access.group) {
        e_.load(hRdx, at(kTlb, group.slot + static_cast<int>(offsetof(PageSlot, delta))));
        rdx_group_ = access.group;
    }
    u8 base = read(access.base, hRcx);
    if (aligned) {
        clobber_flags();
        u8 where = base;
        if (access.disp) {
            e_.lea(hRcx, at(base, access.disp));
            where = hRcx;
        }
        check_alignment(i, where, size);
        if (base == hRcx) base = read(access.base, hRcx);
    }
    return sum(base, hRdx, access.disp);
}

u8 Translator::single(const Mem& mem, u8 to) {
    e_.lea(to, mem);
    return to;
}

}  // namespace shadowbox::jit
