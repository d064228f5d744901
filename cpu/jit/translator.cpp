// SPDX-License-Identifier: MIT
// The frame of a translation: entries, flags from instruction to instruction, the ways out, and the cold
// code, which lies apart.
#include "cpu/jit/translator.h"

#include <utility>

#include "cpu/blocks/dispatch.h"
#include "cpu/jit/forms.h"

namespace shadowbox::jit {

bool Translator::run() {
    if (!choose_parts()) return false;
    analyse();
    if (long64() && !(block_.code.avoid & kAvoidGroups)) find_groups();
    const bool exact = cpu_.exact_time;
    // Does the first thing that happens to the flags destroy them (a probe), or want them?
    bool wants_host = false, decided = steps_[0].live_before == 0;
    bool dead_at_entry = decided && !exact;
    for (unsigned i = 0; i < steps_.size() && !decided; ++i) {
        const Step& s = steps_[i];
        if (is_conditional_jump(s))
            decided = wants_host = true;
        else if (s.may_exit)
            decided = true;
        else if (s.reads || (s.row->flags_written && s.live_after & ~s.writes))
            decided = wants_host = true;
        else if (s.writes)
            decided = true;
    }
    if (exact || block_.crosses()) wants_host = false;
    if (block_.crosses()) dead_at_entry = false;
    u8* const start = e_.cursor;
    // The checked entry: this context still maps the page of RIP to the page that the block was made from.
    emit_code_check(e_, linear(block_.rip), block_.ppn);
    leave_if(kNe, 0, ExitKind::kLookup);
    u8 *entry_host, *entry_frame;
    if (wants_host) {
        entry_frame = e_.cursor;
        e_.restore_flags();
        entry_host = e_.cursor;
        flags_ = FlagsIn::kHost;
    } else {
        Fixup over = dead_at_entry ? Fixup{} : e_.jmp_short();
        entry_host = e_.cursor;
        if (!dead_at_entry) {
            e_.save_flags();
            e_.bind(over);
        }
        entry_frame = e_.cursor;
        flags_ = dead_at_entry ? FlagsIn::kDead : FlagsIn::kFrame;
    }
    if (block_.crosses()) {
        // Who jumps here on the same page has not looked at the next one.
        emit_code_check(e_, block_.second_page(), block_.second_ppn);
        leave_if(kNe, 0, ExitKind::kLookup);
    }
    for (part_ = 0; part_ < parts_.size(); ++part_) {
        begin_part();
        for (unsigned i = parts_[part_].first; i < parts_[part_].end && !ended_; ++i) emit(i);
    }
    if (!ended_) {
        settle_x87_pointers();
        const Step& last = steps_.back();
        const u64 next = last.rip + last.insn.length;
        if (long64())
            fall_through(next, static_cast<unsigned>(steps_.size()) - 1);
        else
            link_next(next & (block_.mode & mode_bits::kCode32 ? 0xFFFFFFFF : 0xFFFF));
    }
    code_ = {start, e_.cursor};
    u8* const code_end = std::exchange(e_.cursor, jit_.cold_cursor_);
    emit_cold();
    cold_code_ = {jit_.cold_cursor_, e_.cursor};
    jit_.cold_cursor_ = std::exchange(e_.cursor, code_end);
    block_.code.frame_flags = entry_frame;
    block_.code.host_flags = entry_host;
    block_.code.checked = start;
    jit_.counters_.bytes += code_.size() + cold_code_.size();
    jit_.counters_.instructions += steps_.size();
    return true;
}

void Translator::begin_part() {
    if (loop_part_ && part_ == loop_part_) begin_loop();
    const Part& part = parts_[part_];
    polled_ = false;
    wants_poll_ = wants_poll(part.end - 1);
    if (!cpu_.translated_counts) return;
    const Mem budget = in_frame(offsetof(Frame, budget));
    const i32 cost = static_cast<i32>(part.block->cost);
    if (cpu_.exact_time) {
        flags_to_frame();
        e_.alu_imm(5, budget, cost);
        leave_if(kL, part.first, ExitKind::kPoll);
    } else if (flags_ == FlagsIn::kHost) {  // the count alone, and RFLAGS stay
        e_.load(hRax, budget);
        e_.lea(hRax, at(hRax, -cost));
        e_.store(budget, hRax);
    } else {
        e_.alu_imm(5, budget, cost);
    }
}

void Translator::emit(unsigned i) {
    begin(i);
    const Step& s = steps_[i];
    if (!translate(i)) {
        const bool repeats = (s.row->attributes & aString) && s.insn.rep;
        if ((s.row->attributes & aEnd) || repeats || s.block->insns[s.cell].fused) return end_in_cell(i);
        call_cell(i);
    }
    if (flags_ != FlagsIn::kDead && s.live_after == 0) flags_ = FlagsIn::kDead;
}

bool Translator::translate(unsigned i) {
    const Step& s = steps_[i];
    if (s.row->map == OpMap::M0F && s.row->opcode == 0x18) return true;  // hints, of no state
    if (s.row->feature != OpFeature::Base &&
        (block_.mode & (mode_bits::kFpuEm | mode_bits::kFpuNm | mode_bits::kSseUd)) && needs_state(*s.row))
        return false;
    if (is_avx(*s.row)) return vex(i);
    if (cpu_.exact_time && undefined_flags_matter(s)) return false;
    if (!long64() && segment_register(i)) return true;
    if (s.row->attributes & aSys) return long64() && system(i);
    if (s.row->feature == OpFeature::X87) return x87(i);
    if (s.row->feature == OpFeature::Movbe) return swap_bytes(i);
    switch (s.row->map) {
        case OpMap::M0: return general(i);
        case OpMap::M0F: return general_0f(i);
        default: return (s.row->attributes & aVex) ? vex_general(i) : vector(i);
    }
}

// --- flags ---

void Translator::begin(unsigned i) {
    const Step& s = steps_[i];
    carried_rdx_group_ = rdx_kept_ ? rdx_group_ : -1;
    rdx_group_ = -1;
    rdx_kept_ = casts_shadow_ = false;
    begin_x87(i);
    if (recover_ < 0 || !(s.gprs_written & recover_gprs_)) return;
    // The registers that the compare could be made again from change. It still can be while this instruction
    // itself runs.
    if ((s.live_after & ~s.writes) == 0) return;
    if (flags_ == FlagsIn::kRecover) need_flags();
    recover_ = -1;
}

void Translator::clobber_flags() {
    if (flags_ != FlagsIn::kHost) return;
    if (recover_ >= 0) {
        flags_ = FlagsIn::kRecover;
        return;
    }
    e_.save_flags();
    flags_ = FlagsIn::kFrame;
}

void Translator::need_flags() {
    if (flags_ == FlagsIn::kFrame) e_.restore_flags();
    if (flags_ == FlagsIn::kRecover) remake_compare();
    flags_ = FlagsIn::kHost;
}

void Translator::flags_to_frame() {
    if (flags_ == FlagsIn::kRecover) remake_compare();
    if (flags_ == FlagsIn::kRecover || flags_ == FlagsIn::kHost) e_.save_flags();
    if (flags_ != FlagsIn::kDead) flags_ = FlagsIn::kFrame;
}

void Translator::made_flags(unsigned i, bool can_be_made_again) {
    const Step& s = steps_[i];
    flags_ = s.live_after ? FlagsIn::kHost : FlagsIn::kDead;
    recover_ = -1;
    if (!can_be_made_again || s.insn.mem) return;
    recover_ = static_cast<int>(i);
    recover_gprs_ = compared_registers(s);
}

/// CMP or TEST once more, from registers that have not changed.
void Translator::remake_compare() {
    const Step& s = steps_[static_cast<unsigned>(recover_)];
    const Form2 form = form_of_step(s);
    auto operand = [&](unsigned reg) -> Operand2 {
        unsigned g = form.bytes == 1 ? reg / 8 : reg;
        return home(g);
    };
    Opcode opcode{static_cast<u8>(form.bytes == 2 ? 0x66 : 0), 0, static_cast<u8>(s.insn.opcode),
                  form.bytes == 8, form.bytes == 1};
    if (form.accumulator) {
        // CMP/TEST AL/rAX, imm: the accumulator has another home, so by the group encoding.
        bool test = (s.insn.opcode & 0xFE) == 0xA8;
        opcode.byte =
            static_cast<u8>(test ? (form.bytes == 1 ? 0xF6 : 0xF7) : (form.bytes == 1 ? 0x80 : 0x81));
        e_.op(opcode, test ? 0 : 7, operand(0));
        emit_immediate(s);
    } else if (form.immediate) {
        e_.op(opcode, s.insn.reg & 7, operand(s.insn.rm));
        emit_immediate(s);
    } else {
        unsigned reg = form.bytes == 1 ? s.insn.reg / 8 : s.insn.reg;
        u8 host = read(reg, hRax);
        e_.op(opcode, host, operand(s.insn.rm));
    }
}

// --- ways out ---

void Translator::leave_if(u8 condition, unsigned i, ExitKind kind) {
    cold_.push_back({flags_, static_cast<u16>(i), e_.jcc_forward(condition), ColdLeave{kind}, recover_});
}

void Translator::leave(unsigned i, ExitKind kind) { cell_exit(steps_[i], kind); }

void Translator::cell_exit(const Step& s, ExitKind kind) {
    const u64 argument = kind == ExitKind::kShortcut ? jit_.add_shortcut_exit({&block_, s.block, s.cell})
                                                     : reinterpret_cast<u64>(s.block);
    e_.load_imm(hRdx, static_cast<u32>(kind) | static_cast<u32>(s.cell) << 8);
    e_.load_imm(hRcx, argument);
    e_.jmp(jit_.exit_stub_);
}

/// Cycles close at backward and indirect jumps; those inside the translation, at the loop's end.
bool Translator::wants_poll(unsigned i) const {
    const Step& s = steps_[i];
    if (closes_loop(s.rip + s.insn.length, i)) return true;
    if (!(s.row->attributes & aBranch)) return false;
    if (continues(i) && !is_conditional_jump(s)) return false;
    if (!is_direct_jump(s)) return true;
    const u64 target = static_cast<u64>(s.insn.disp);
    if (continues(i)) return target != steps_[i + 1].rip && backward(target, i);
    return backward(target, i) || closes_loop(target, i);
}

void Translator::poll(unsigned i) {
    if (!wants_poll_ || polled_) return;
    polled_ = true;
    e_.load(hRcx, in_frame(offsetof(Frame, attention)));
    e_.op({0, 0, 0x83}, 7, at(hRcx));
    e_.byte(0);
    leave_if(kNe, i);
}

/// At a backward jump, without touching RFLAGS.
void Translator::poll_at_jump(u64 target) {
    if (flags_ == FlagsIn::kRecover) need_flags();
    e_.load(hRcx, in_frame(offsetof(Frame, attention)));
    e_.load32(hRcx, at(hRcx));
    Fixup quiet = e_.jrcxz_short();
    e_.load_imm(hRcx, new_link(target, true, true));
    e_.load_imm(hRdx, static_cast<u32>(ExitKind::kLink));
    e_.jmp(flags_ == FlagsIn::kHost ? jit_.exit_host_flags_ : jit_.exit_stub_);
    e_.bind(quiet);
}

u32 Translator::new_link(u64 target, bool same_page, bool host_flags) {
    return jit_.add_link(Link{nullptr, nullptr, target, same_page, host_flags, casts_shadow_});
}

void Translator::link_to(u64 target, bool same_page) {
    if (flags_ == FlagsIn::kRecover) need_flags();
    if (!same_page) flags_to_frame();
    u32 number = new_link(target, same_page, flags_ == FlagsIn::kHost);
    set_site(number, e_.jmp_forward().at);
}

/// Where a link jumps from; until it is linked, to its thunk.
void Translator::set_site(u32 link, u8* site) {
    jit_.link(link).site = site;
    cold_.push_back({flags_, 0, {}, ColdLink{link}});
}

/// The translation's last instruction does not jump.
void Translator::fall_through(u64 next, unsigned i) {
    if (!closes_loop(next, i)) return link_to(next, (next & kPageOffsetMask) != 0);
    if (!polled_) poll_at_jump(next);
    if (at_loop_state())
        e_.jmp(loop_);
    else
        link_to(next, true);
}

void Translator::branch_if(u8 condition, u64 target, bool same_page) {
    if (same_page) {
        u32 number = new_link(target, true, true);
        set_site(number, e_.jcc_forward(condition).at);
        return;
    }
    Fixup over = e_.jcc_short(static_cast<u8>(condition ^ 1));
    e_.save_flags();
    u32 number = new_link(target, false, false);
    set_site(number, e_.jmp_forward().at);
    e_.bind(over);
}

void Translator::call_cell(unsigned i) {
    const Step& s = steps_[i];
    settle_x87_pointers();
    steps_[i].x87_ip = steps_[i].x87_dp = -1;
    flags_to_frame();
    Block* cell = jit_.make_cell(*s.block, s.cell, s.number);
    e_.load_imm(hRcx, reinterpret_cast<u64>(cell));
    e_.call(jit_.cell_stub_);
    leave_if(kE, i, ExitKind::kLeft);
    flags_ = s.live_after ? FlagsIn::kFrame : FlagsIn::kDead;
    recover_ = -1;
    vectors_known_ = kVectorsNone;
    x87_known_ = false;
    end_groups();
    ++jit_.counters_.cells;
}

void Translator::end_in_cell(unsigned i) {
    const Step& s = steps_[i];
    settle_x87_pointers();
    flags_to_frame();
    ended_ = true;
    if (s.block->insns[s.cell].fused) return leave(i);
    e_.load_imm(hRcx, reinterpret_cast<u64>(jit_.make_cell(*s.block, s.cell, s.number)));
    e_.call(jit_.cell_stub_);
    leave_if(kE, i, ExitKind::kLeft);
    e_.load_imm(hRax, reinterpret_cast<u64>(&cpu_.rip));
    e_.load(hRax, at(hRax));
    find_target();
    leave_if(kNe, i, ExitKind::kRip);
    jump_to_entry();
    ++jit_.counters_.cells;
}

void Translator::count_hit(HitKind kind, bool missed, u8 scratch) {
    if (!jit_.counting_) return;
    HitCount& count = jit_.hits_[static_cast<unsigned>(kind)];
    e_.load_imm(scratch, reinterpret_cast<u64>(missed ? &count.missed : &count.tried));
    e_.op({0, 0, 0xFF, true}, 0, at(scratch));  // inc
}

void Translator::emit_cold() {
    for (size_t n = 0; n < cold_.size(); ++n) {
        const Cold cold = cold_[n];  // emitting it may add others
        emit_cold(cold);
    }
}

void Translator::emit_cold(const Cold& cold) {
    if (const auto* path = std::get_if<ColdLink>(&cold.path)) {
        Link& link = jit_.link(path->number);
        link.thunk = e_.cursor;
        jit_.point(link, link.thunk);
        e_.load_imm(hRcx, path->number);
        e_.load_imm(hRdx, static_cast<u32>(ExitKind::kLink));
        return e_.jmp(link.host_flags ? jit_.exit_host_flags_ : jit_.exit_stub_);
    }
    if (const auto* path = std::get_if<ColdCache>(&cold.path)) return look_up_target(cold, *path);
    if (std::holds_alternative<ColdReturn>(cold.path)) return return_by_table(cold);
    e_.bind(cold.from);
    if (const auto* path = std::get_if<ColdVectors>(&cold.path)) {
        e_.call(path->wide ? jit_.load_wide_ : jit_.load_vectors_);
        return e_.jmp(cold.back);
    }
    if (cold.flags == FlagsIn::kRecover) {
        recover_ = cold.recover;
        remake_compare();
        e_.save_flags();
    }
    ExitKind exit = ExitKind::kCell;
    if (std::holds_alternative<ColdX87>(cold.path)) {
        e_.call(jit_.load_x87_);
        e_.jcc(kNe, cold.back);
    } else if (const auto* probe = std::get_if<ColdProbe>(&cold.path)) {
        probe_again(cold, *probe);
        exit = probe->exit;
    } else if (const auto* path = std::get_if<ColdLeave>(&cold.path)) {
        exit = path->kind;
        if (exit == ExitKind::kIndirect) e_.store(in_frame(offsetof(Frame, argument)), hRax);
    }
    store_x87_pointers(steps_[cold.step].x87_ip, steps_[cold.step].x87_dp);
    cell_exit(steps_[cold.step], exit);
}

/// Back to the probe if the page is there now; behind it, flags in the frame, if not.
void Translator::probe_again(const Cold& cold, const ColdProbe& probe) {
    const bool keeps_flags = cold.flags == FlagsIn::kHost;
    if (keeps_flags) e_.save_flags();
    auto back_if_filled = [&] {
        e_.test(hRax, hRax, false);
        if (!keeps_flags) return e_.jcc(kNe, cold.back);
        Fixup not_filled = e_.jcc_short(kE);
        e_.restore_flags();
        e_.jmp(cold.back);
        e_.bind(not_filled);
    };
    if (probe.slot >= 0) {
        count_hit(HitKind::kSlots, true);
        count_hit(HitKind::kTlb);  // by the stub
        gva_again(cold.step, probe.address);
        e_.load_imm(hRdx, probe.request & kFillSize);
        e_.load_imm(hRax, static_cast<u32>(probe.slot));
        e_.call(probe.request & kFillNeedsWrite ? jit_.write_slot_ : jit_.read_slot_);
        back_if_filled();
    }
    count_hit(HitKind::kTlb, true);
    gva_again(cold.step, probe.address);
    e_.load_imm(hRdx, probe.request);
    e_.call(jit_.fill_stub_);
    probe.forced ? write_beside_code(cold, probe) : back_if_filled();
}

}  // namespace shadowbox::jit
