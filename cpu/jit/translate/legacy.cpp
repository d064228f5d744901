// SPDX-License-Identifier: MIT
// Outside 64-bit mode: segment bases and limits, 16- and 32-bit stacks, near transfers with EIP or IP. In
// flat mode (kFlat) DS, ES and SS cost nothing; other segments are looked up in the frame (SegmentView). CS's
// base and limit are part of the mode, so direct targets are judged here once. Whatever a check does not let
// through the interpreter's cell does, or raises.
//
// Guest registers keep their upper halves: EIP-sized results are computed with 32-bit host instructions, SP
// alone by a 16-bit move.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {

const OpcodeRow* row_of(u8 opcode, u16 modrm_constraint) {
    for (unsigned i = 0; i < kOpcodeRowCount; ++i) {
        const OpcodeRow& row = kOpcodeRows[i];
        if (row.map == OpMap::M0 && row.prefix == OpPrefix::ANY && row.opcode == opcode &&
            row.modrm == modrm_constraint)
            return &row;
    }
    return nullptr;
}

i32 segment_field(unsigned seg, size_t field) {
    return static_cast<i32>(offsetof(Frame, segments) + seg * sizeof(SegmentView) + field);
}

unsigned bytes_of(const Step& s) { return s.insn.osize == 1 ? 2 : 4; }

}  // namespace

/// INC and DEC by opcode, the 82 alias of 80, MOV with a direct offset.
void Translator::rewrite(Step& s) const {
    static const OpcodeRow* const kInc = row_of(0xFF, modrm::D(0));
    static const OpcodeRow* const kDec = row_of(0xFF, modrm::D(1));
    static const OpcodeRow* const kMoves[4] = {row_of(0x8A, modrm::R), row_of(0x8B, modrm::R),
                                               row_of(0x88, modrm::R), row_of(0x89, modrm::R)};
    if (s.row->map != OpMap::M0) return;
    const u8 opcode = s.row->opcode;
    if (opcode == 0x40 || opcode == 0x48) {
        s.insn.rm = s.insn.reg;
        s.insn.reg = opcode == 0x48;
        s.row = opcode == 0x48 ? kDec : kInc;
        s.insn.opcode = 0xFF;
    } else if (opcode == 0x82) {
        s.row = row_of(0x80, s.row->modrm);
        s.insn.opcode = 0x80;
    } else if (opcode >= 0xA0 && opcode <= 0xA3) {
        s.row = kMoves[opcode - 0xA0];
        s.insn.opcode = s.row->opcode;
        s.insn.reg = 0;  // AL as a byte offset and rAX as a number
    }
}

// --- addresses ---

bool Translator::is_flat(unsigned seg) const {
    if (long64()) return seg < kFs;
    return (block_.mode & mode_bits::kFlat) && (seg == kDs || seg == kSs || seg == kEs);
}

/// RCX: the offset. Destroys RDX and RFLAGS.
void Translator::check_limit(unsigned i, unsigned seg, unsigned size, bool write) {
    if (long64() || is_flat(seg)) return;
    if (size > 1) e_.lea(hRdx, at(hRcx, static_cast<i32>(size) - 1));
    e_.alu(7, size > 1 ? hRdx : hRcx,
           in_frame(segment_field(
               seg, write ? offsetof(SegmentView, write_limit) : offsetof(SegmentView, read_limit))));
    leave_if(kG, i);
}

void Translator::add_base(unsigned seg, u8 to) {
    if (is_flat(seg)) return;
    if (long64())
        e_.alu(0, to, in_frame(seg == kFs ? offsetof(Frame, fs_base) : offsetof(Frame, gs_base)));
    else
        e_.alu(0, to, in_frame(segment_field(seg, offsetof(SegmentView, base))), false);
}

void Translator::stack_offset(u8 base, i32 disp) {
    if (disp)
        e_.lea(hRcx, at(base, disp), false);
    else
        e_.mov32(hRcx, base);
    if (!stack32()) e_.op({0, 1, 0xB7}, hRcx, hRcx);
}

/// Keeps RFLAGS.
void Translator::move_stack_pointer(i32 bytes) {
    const u8 sp = kHome[kRsp];
    if (stack32()) {
        e_.lea(sp, at(sp, bytes), false);
    } else {
        e_.lea(hRax, at(sp, bytes), false);
        e_.op({0x66, 0, 0x8B}, sp, hRax);
    }
}

bool Translator::load_address_legacy(unsigned i) {
    const Step& s = steps_[i];
    const u8 home = kHome[s.insn.reg];
    if (s.insn.osize == 1) {
        offset(s, hRax);
        e_.op({0x66, 0, 0x8B}, home, hRax);
    } else if (s.insn.asize == 1) {
        offset(s, hRax);
        e_.mov32(home, hRax);
    } else {
        offset(s, home);
    }
    return true;
}

// --- stack ---

bool Translator::push_legacy(unsigned i) {
    const Step& s = steps_[i];
    const unsigned bytes = bytes_of(s);
    const u8 prefix = bytes == 2 ? 0x66 : 0, sp = kHome[kRsp];
    const Operand operand = s.row->operands[0];
    const bool from_memory = operand == Operand::Ev && s.insn.mem;
    if (from_memory) {
        // The value waits in the frame: a probe's cold path keeps no scratch register.
        e_.op({prefix, 0, 0x8B}, hRax, probe(i, bytes, false));
        e_.store32(in_frame(offsetof(Frame, argument)), hRax);
    }
    Mem to = probe_at(i, sp, -static_cast<i32>(bytes), bytes, true);
    if (from_memory) {
        e_.load32(hRax, in_frame(offsetof(Frame, argument)));
        e_.op({prefix, 0, 0x89}, hRax, to);
    } else if (operand == Operand::Ibs || operand == Operand::Iz) {
        store_return(to, static_cast<u64>(s.insn.imm), bytes);
    } else {
        e_.op({prefix, 0, 0x89}, kHome[operand == Operand::Zv ? s.insn.reg : s.insn.rm], to);
    }
    move_stack_pointer(-static_cast<i32>(bytes));
    return true;
}

bool Translator::pop_legacy(unsigned i) {
    const Step& s = steps_[i];
    const unsigned bytes = bytes_of(s);
    if (s.row->operands[0] != Operand::Zv) return false;
    e_.op({static_cast<u8>(bytes == 2 ? 0x66 : 0), 0, 0x8B}, hRcx, probe_at(i, kHome[kRsp], 0, bytes, false));
    move_stack_pointer(static_cast<i32>(bytes));
    e_.op({static_cast<u8>(bytes == 2 ? 0x66 : 0), 0, 0x8B}, kHome[s.insn.reg],
          hRcx);  // POP SP: the value read wins
    return true;
}

bool Translator::leave_frame_legacy(unsigned i) {
    const Step& s = steps_[i];
    const i32 bytes = static_cast<i32>(bytes_of(s));
    const u8 sp = kHome[kRsp], bp = kHome[kRbp], prefix = bytes == 2 ? 0x66 : 0;
    e_.op({prefix, 0, 0x8B}, hRcx, probe_at(i, bp, 0, static_cast<unsigned>(bytes), false));
    e_.lea(hRax, at(bp, bytes), false);
    if (stack32())
        e_.mov32(sp, hRax);
    else
        e_.op({0x66, 0, 0x8B}, sp, hRax);
    e_.op({prefix, 0, 0x8B}, bp, hRcx);
    return true;
}

// --- near transfers ---

u64 Translator::next_rip_of(unsigned i) const {
    const u64 next = steps_[i].rip + steps_[i].insn.length;
    return long64() ? next : next & 0xFFFFFFFF;
}

bool Translator::next_on_page(u64 next) const {
    return (linear(next) & kPageOffsetMask) != 0 && next >= block_.rip;
}

/// To the instruction behind the block. Where EIP or IP wraps that is a jump backward.
void Translator::link_next(u64 next) {
    if (next < block_.rip && !long64()) poll_at_jump(next);
    link_to(next, next_on_page(next));
}

bool Translator::leave_here(unsigned i) {
    settle_x87_pointers();
    flags_to_frame();
    ended_ = true;
    leave(i);
    return true;
}

/// EAX: a near target of 2 or 4 bytes.
void Translator::load_target(const Operand2& from, unsigned bytes) {
    if (bytes == 2)
        e_.op({0, 1, 0xB7}, hRax, from);
    else
        e_.op({0, 0, 0x8B}, hRax, from);
}

void Translator::store_return(const Mem& to, u64 next, unsigned bytes) {
    if (bytes == 2) {
        e_.op({0x66, 0, 0xC7}, 0, to);
        e_.byte(static_cast<u8>(next));
        e_.byte(static_cast<u8>(next >> 8));
    } else {
        e_.store_imm32(to, static_cast<i32>(next));
    }
}

void Translator::jump_indirect_legacy(unsigned i) {
    const Step& s = steps_[i];
    flags_to_frame();
    if (s.insn.mem) {
        load_target(probe(i, bytes_of(s), false), bytes_of(s));
    } else {
        poll(i);
        load_target(kHome[s.insn.rm], bytes_of(s));
    }
    find_target();
    leave_if(kNe, i, ExitKind::kIndirect);
    jump_to_entry();
    ended_ = true;
}

bool Translator::call_legacy(unsigned i) {
    const Step& s = steps_[i];
    const unsigned bytes = bytes_of(s);
    const i32 step = -static_cast<i32>(bytes);
    const u64 next = next_rip_of(i), target = static_cast<u64>(s.insn.disp);
    if (is_direct_jump(s)) {
        if (beyond_limit(target)) return leave_here(i);
        store_return(probe_at(i, kHome[kRsp], step, bytes, true), next, bytes);
        move_stack_pointer(step);
        link_to(target, s.insn.same_page);
        ended_ = true;
        return true;
    }
    flags_to_frame();
    if (s.insn.mem) {
        load_target(probe(i, bytes, false), bytes);
        e_.store(in_frame(offsetof(Frame, argument)), hRax);
    }
    // The host address of the new stack top waits in the frame while the table is searched.
    e_.store(in_frame(offsetof(Frame, address)), single(probe_at(i, kHome[kRsp], step, bytes, true), hRdx));
    if (s.insn.mem)
        e_.load(hRax, in_frame(offsetof(Frame, argument)));
    else
        load_target(kHome[s.insn.rm], bytes);
    find_target();
    leave_if(kNe, i, ExitKind::kIndirect);
    e_.load(hRax, in_frame(offsetof(Frame, address)));
    store_return(at(hRax), next, bytes);
    move_stack_pointer(step);
    jump_to_entry();
    ended_ = true;
    return true;
}

bool Translator::ret_legacy(unsigned i) {
    const Step& s = steps_[i];
    flags_to_frame();
    load_target(probe_at(i, kHome[kRsp], 0, bytes_of(s), false), bytes_of(s));
    find_target();
    leave_if(kNe, i, ExitKind::kIndirect);
    move_stack_pointer(static_cast<i32>(bytes_of(s)) + s.insn.imm);
    jump_to_entry();
    ended_ = true;
    return true;
}

/// LOOP, LOOPE, LOOPNE, JRCXZ in any mode.
bool Translator::loop(unsigned i) {
    const Step& s = steps_[i];
    const u64 target = static_cast<u64>(s.insn.disp);
    const u8 opcode = s.row->opcode, count = kHome[kRcx];
    if (beyond_limit(target)) return leave_here(i);
    flags_to_frame();
    poll(i);
    const bool counts = opcode != 0xE3, wide = s.insn.asize == 3;
    if (counts)
        e_.lea(hRcx, at(count, -1), wide);
    else
        wide ? e_.mov(hRcx, count) : e_.mov32(hRcx, count);
    if (s.insn.asize == 1) e_.op({0, 1, 0xB7}, hRcx, hRcx);
    if (counts && s.insn.asize == 1)
        e_.op({0x66, 0, 0x8B}, count, hRcx);
    else if (counts)
        e_.mov(count, hRcx);
    e_.test(hRcx, hRcx);
    Fixup over = e_.jcc_forward(counts ? kE : kNe), other = over;
    const bool tests_zero = opcode <= 0xE1;
    if (tests_zero) {
        constexpr u32 kZero = 0x4000;  // ZF in the frame's image
        e_.op({0, 0, 0xF7}, 0, in_frame(offsetof(Frame, flags)));
        e_.dword(kZero);
        other = e_.jcc_forward(opcode == 0xE1 ? kE : kNe);
    }
    link_to(target, s.insn.same_page);
    e_.bind(over);
    if (tests_zero) e_.bind(other);
    link_next(next_rip_of(i));
    ended_ = true;
    return true;
}

}  // namespace shadowbox::jit
