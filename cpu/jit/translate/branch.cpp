// SPDX-License-Identifier: MIT
// Near transfers. Direct ones are linked block to block; indirect ones look their target up in the jump
// table, whose entries go by the target's checked entry. What does not hit there is the interpreter's cell,
// which raises what there is to raise.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
constexpr i32 kReturnBytes = sizeof(TlbContext::return_ring) / kReturnRing;
}

bool Translator::jump(unsigned i) {
    const Step& s = steps_[i];
    const u64 target = static_cast<u64>(s.insn.disp), next = next_rip_of(i);
    const bool same_page = s.insn.same_page, conditional = is_conditional_jump(s);
    const u8 condition = s.insn.opcode & 15;
    if (beyond_limit(target)) return leave_here(i);
    if (continues(i)) {
        if (conditional) leave_trace(condition, target, same_page, next, steps_[i + 1].rip == target);
        return true;
    }
    ended_ = true;
    if (conditional) need_flags();
    if (closes_loop(target, i) && at_loop_state()) {
        if (wants_poll_ && !polled_) {
            Fixup over = conditional ? e_.jcc_forward(condition ^ 1) : Fixup{};
            poll_at_jump(target);
            e_.jmp(loop_);
            if (conditional) e_.bind(over);
        } else {
            conditional ? e_.jcc(condition, loop_) : e_.jmp(loop_);
        }
        if (conditional) link_to(next, (next & kPageOffsetMask) != 0);
        return true;
    }
    if (!conditional) {
        if (wants_poll_ && !polled_) poll_at_jump(target);
        link_to(target, same_page);
        return true;
    }
    if (wants_poll_ && !polled_) {
        Fixup over = e_.jcc_forward(condition ^ 1);
        poll_at_jump(target);
        link_to(target, same_page);
        flags_ = FlagsIn::kHost;
        e_.bind(over);
    } else {
        branch_if(condition, target, same_page);
    }
    long64() ? fall_through(next, i) : link_next(next);
    return true;
}

/// A conditional jump inside a trace: the way that is not followed leaves.
void Translator::leave_trace(u8 condition, u64 target, bool same_page, u64 next, bool follows_target) {
    need_flags();
    if (follows_target) return branch_if(condition ^ 1, next, (next & kPageOffsetMask) != 0);
    if (!wants_poll_ || polled_) return branch_if(condition, target, same_page);
    Fixup over = e_.jcc_forward(condition ^ 1);
    poll_at_jump(target);
    link_to(target, same_page);
    flags_ = FlagsIn::kHost;
    e_.bind(over);
}

/// RAX: the target. ZF: the table has it, at [RCX + RDX * 8]. Destroys RCX and RDX.
void Translator::find_target() {
    static_assert(kJumpEntries == 65536 && sizeof(JumpEntry) == 16);
    count_hit(HitKind::kTable);
    e_.op({0, 1, 0xB7}, hRdx, hRax);  // movzx edx, ax
    if (!long64()) {
        const u32 number = jit_.mode_number(block_.mode);
        e_.load_imm(hRcx, u64{number} << 32);
        e_.alu(1, hRax, hRcx);
        e_.alu_imm(6, hRdx, static_cast<i32>(Jit::jump_salt(number)), false);
    }
    e_.load(hRcx, in_frame(offsetof(Frame, jump_table)));
    e_.alu(0, hRdx, hRdx, false);
    e_.alu(7, hRax, Mem{hRcx, hRdx, 3, 0});
}

void Translator::jump_to_entry() { e_.jmp_mem(Mem{hRcx, hRdx, 3, offsetof(JumpEntry, code)}); }

void Translator::jump_indirect(unsigned i) {
    const Step& s = steps_[i];
    if (!long64()) return jump_indirect_legacy(i);
    flags_to_frame();
    if (s.insn.mem) {
        e_.load(hRax, probe(i, 8, false));
    } else {
        poll(i);
        e_.mov(hRax, read(s.insn.rm, hRax));
    }
    jump_cached(i, false);
}

/// The return address of call step i to a host address, and RSP down to it.
void Translator::push_return(unsigned i, u8 host_address, u8 scratch) {
    const u8 sp = kHome[kRsp];
    const u64 next = steps_[i].rip + steps_[i].insn.length;
    if (static_cast<i64>(next) == static_cast<i32>(next)) {
        e_.store_imm32(at(host_address), static_cast<i32>(next), true);
    } else {
        e_.load_imm(scratch, next);
        e_.store(at(host_address), scratch);
    }
    e_.lea(sp, at(sp, -8));
}

bool Translator::call(unsigned i) {
    const Step& s = steps_[i];
    const u8 sp = kHome[kRsp];
    if (!long64()) return call_legacy(i);
    const u64 next = s.rip + s.insn.length;
    const bool direct = is_direct_jump(s), short_next = static_cast<i64>(next) == static_cast<i32>(next);
    if (!direct) {
        flags_to_frame();
        if (s.insn.mem) {
            e_.load(hRax, probe(i, 8, false));
            e_.store(in_frame(offsetof(Frame, argument)), hRax);
        }
    }
    Mem to = probe_at(i, sp, -8, 8, true);
    if (direct) {
        if (short_next) {
            e_.store_imm32(to, static_cast<i32>(next), true);
            e_.lea(sp, at(sp, -8));
        } else {
            push_return(i, single(to, hRcx), hRdx);
        }
        remember_return(i);
        link_to(static_cast<u64>(s.insn.disp), s.insn.same_page);
        ended_ = true;
        return true;
    }
    e_.lea(hRdx, to);
    if (s.insn.mem)
        e_.load(hRax, in_frame(offsetof(Frame, argument)));
    else
        e_.mov(hRax, read(s.insn.rm, hRax));
    jump_cached(i, true);
    return true;
}

/// Enters call step i into the return ring. Destroys RCX and RDX, keeps RFLAGS.
void Translator::remember_return(unsigned i) {
    const u32 number = new_link(steps_[i].rip + steps_[i].insn.length, false, false);
    Link& link = jit_.link(number);
    ReturnSite& site = jit_.current().returns.emplace_back(ReturnSite{link.target, nullptr});
    link.returns = true;
    set_site(number, reinterpret_cast<u8*>(&site.code));
    e_.op({0, 1, 0xB6}, hRcx, at(kTlb, offsetof(TlbContext, return_top)));  // movzx
    e_.lea(hRcx, at(hRcx, kReturnBytes), false);
    e_.op({0, 0, 0x88}, hRcx, at(kTlb, offsetof(TlbContext, return_top)));
    e_.op({0, 1, 0xB6, false, true}, hRcx, hRcx);  // movzx ecx, cl: it wraps around
    e_.load_imm(hRdx, reinterpret_cast<u64>(&site));
    e_.store(sum(kTlb, hRcx, offsetof(TlbContext, return_ring)), hRdx);
}

/// RAX: what a RET popped. Goes to where the newest call of the ring returns if that is it. Destroys RCX and
/// RDX.
void Translator::return_by_ring(unsigned i) {
    static_assert(kReturnRing * kReturnBytes == 256);
    count_hit(HitKind::kReturns);
    e_.op({0, 1, 0xB6}, hRcx, at(kTlb, offsetof(TlbContext, return_top)));
    e_.load(hRdx, sum(kTlb, hRcx, offsetof(TlbContext, return_ring)));
    e_.lea(hRcx, at(hRcx, -kReturnBytes), false);
    e_.op({0, 0, 0x88}, hRcx, at(kTlb, offsetof(TlbContext, return_top)));
    e_.alu(7, hRax, at(hRdx, offsetof(ReturnSite, rip)));
    cold_.push_back({flags_, static_cast<u16>(i), e_.jcc_forward(kNe), ColdReturn{}, recover_});
    e_.lea(kHome[kRsp], at(kHome[kRsp], 8 + steps_[i].insn.imm));
    e_.jmp_mem(at(hRdx, offsetof(ReturnSite, code)));
}

/// Its cold side: another frame's return address.
void Translator::return_by_table(const Cold& cold) {
    e_.bind(cold.from);
    flags_ = cold.flags;
    recover_ = cold.recover;
    count_hit(HitKind::kReturns, true);
    find_target();
    leave_if(kNe, cold.step, ExitKind::kIndirect);
    e_.lea(kHome[kRsp], at(kHome[kRsp], 8 + steps_[cold.step].insn.imm));
    jump_to_entry();
}

bool Translator::ret(unsigned i) {
    const u8 sp = kHome[kRsp];
    if (!long64()) return ret_legacy(i);
    flags_to_frame();
    Mem from = probe_at(i, sp, 0, 8, false);
    e_.load(hRax, from);
    return_by_ring(i);
    ended_ = true;
    return true;
}

}  // namespace shadowbox::jit
