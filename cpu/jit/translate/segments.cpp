// SPDX-License-Identifier: MIT
// Outside 64-bit mode: segment registers in real and virtual-8086 mode, where loading one is a shift; string
// instructions without a prefix; writes into pages that hold code.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

/// EAX: the fill stub's answer. 0: refused; 1: the TLB has the page now; 2: this write alone may go on.
void Translator::write_beside_code(const Cold& cold, const ColdProbe& probe) {
    e_.test(hRax, hRax, false);
    Fixup refused = e_.jcc_short(kE);
    e_.alu_imm(7, hRax, 1, false);
    e_.jcc(kE, cold.back);
    e_.load_imm(hRax, reinterpret_cast<u64>(&jit_.beside_code_));
    e_.load(hRcx, at(hRax));
    e_.load(hRdx, at(hRax, 8));
    e_.jmp(probe.forced);
    e_.bind(refused);
}

// --- segment registers ---

/// set_real_segment() (cpu/access/segments.cpp), and the frame's view of it. Destroys RAX, RCX, RDX and
/// RFLAGS.
void Translator::store_selector(unsigned seg) {
    const i32 view = static_cast<i32>(offsetof(Frame, segments) + seg * sizeof(SegmentView));
    e_.load_imm(hRax, reinterpret_cast<u64>(&cpu_.seg[seg]));
    e_.op({0x66, 0, 0x89}, hRcx, at(hRax, offsetof(SegmentRegister, selector)));
    if (block_.mode & mode_bits::kVm86) {
        e_.store_imm32(at(hRax, offsetof(SegmentRegister, limit)), 0xFFFF);
        e_.load_imm(hRdx, 0xF3);
    } else {
        e_.op({0, 1, 0xB7}, hRdx, at(hRax, offsetof(SegmentRegister, attributes)));
        e_.alu_imm(4, hRdx, 0xF000, false);
        e_.alu_imm(1, hRdx, 0x93, false);
    }
    e_.op({0x66, 0, 0x89}, hRdx, at(hRax, offsetof(SegmentRegister, attributes)));
    e_.op({0, 0, 0xC1}, 4, hRcx);  // shl ecx, 4
    e_.byte(4);
    e_.store(at(hRax, offsetof(SegmentRegister, base)), hRcx);
    e_.store(in_frame(view + static_cast<i32>(offsetof(SegmentView, base))), hRcx);
    e_.load32(hRdx, at(hRax, offsetof(SegmentRegister, limit)));
    e_.store(in_frame(view + static_cast<i32>(offsetof(SegmentView, read_limit))), hRdx);
    e_.store(in_frame(view + static_cast<i32>(offsetof(SegmentView, write_limit))), hRdx);
}

/// SS is the interpreter's: it holds interrupts back. In protected mode so are all loads.
bool Translator::segment_register(unsigned i) {
    const Step& s = steps_[i];
    const Insn& n = s.insn;
    const u8 op = s.row->opcode;
    const bool real = !(block_.mode & mode_bits::kProtected) || (block_.mode & mode_bits::kVm86);
    const bool two_byte = s.row->map == OpMap::M0F;
    if (!(s.row->attributes & aSys) || (s.row->map != OpMap::M0 && !two_byte)) return false;
    const bool moves = !two_byte && (op == 0x8C || op == 0x8E);
    const bool short_form =
        two_byte ? op == 0xA0 || op == 0xA1 || op == 0xA8 || op == 0xA9 : op < 0x20 && (op & 7) >= 6;
    if (!moves && !short_form) return false;
    const unsigned seg = moves ? n.reg : (op >> 3) & 7;  // FS and GS: A0 and A8 give 4 and 5
    const bool loads = moves ? op == 0x8E : op & 1;
    const unsigned bytes = n.osize == 1 ? 2 : 4;
    if (seg > kGs || (loads && (!real || seg == kSs || seg == kCs))) return false;
    if (!loads) {
        Operand2 to(u8{0});
        if (!moves)
            to = probe_at(i, kHome[kRsp], -static_cast<i32>(bytes), bytes, true);
        else if (n.mem)
            to = probe(i, 2, true);
        e_.load_imm(hRax, reinterpret_cast<u64>(&cpu_.seg[seg].selector));
        e_.op({0, 1, 0xB7}, hRax, at(hRax));
        if (to.is_memory)
            e_.op({0x66, 0, 0x89}, hRax, to);  // a push of 4 bytes too writes 2
        else if (bytes == 2)
            e_.op({0x66, 0, 0x8B}, kHome[n.rm], hRax);
        else
            e_.mov32(kHome[n.rm], hRax);
        if (!moves) move_stack_pointer(-static_cast<i32>(bytes));
        return true;
    }
    if (!moves) {
        e_.op({0, 1, 0xB7}, hRcx, probe_at(i, kHome[kRsp], 0, bytes, false));
        move_stack_pointer(static_cast<i32>(bytes));
    } else if (n.mem) {
        e_.op({0, 1, 0xB7}, hRcx, probe(i, 2, false));
    } else {
        clobber_flags();
        e_.op({0, 1, 0xB7}, hRcx, kHome[n.rm]);
    }
    store_selector(seg);
    settle_x87_pointers();
    link_next(next_rip_of(i));
    ended_ = true;
    return true;
}

// --- strings ---

void Translator::string_offset(u8 reg, unsigned asize) {
    if (asize == 1)
        e_.op({0, 1, 0xB7}, hRcx, reg);
    else
        e_.mov32(hRcx, reg);
}

Mem Translator::probe_string(unsigned i, u8 reg, unsigned seg, unsigned size, bool write) {
    Cold cold = start_probe(i, {AddressAgain::kString, reg, static_cast<u8>(seg)});
    string_offset(kHome[reg], steps_[i].insn.asize);
    check_limit(i, seg, size, write);
    add_base(seg, hRcx);
    return finish_probe(cold, size, write);
}

void Translator::advance(u8 reg, unsigned asize, i32 bytes) {
    const u8 home = kHome[reg];
    if (asize == 2) {
        e_.lea(home, at(home, bytes), false);
        return;
    }
    e_.lea(hRcx, at(home, bytes), false);
    e_.op({0x66, 0, 0x8B}, home, hRcx);
}

/// MOVS, STOS, LODS, once and upward; downward ones are the interpreter's.
bool Translator::legacy_string(unsigned i) {
    const Step& s = steps_[i];
    const Insn& n = s.insn;
    const u8 op = s.row->opcode;
    if (n.rep || (op & 0xFE) == 0xA6 || (op & 0xFE) == 0xAE) return false;
    const unsigned bytes = op & 1 ? (n.osize == 1 ? 2 : 4) : 1;
    const Opcode load{static_cast<u8>(bytes == 2 ? 0x66 : 0), 0, static_cast<u8>(bytes == 1 ? 0x8A : 0x8B),
                      false, bytes == 1};
    const Opcode store{static_cast<u8>(bytes == 2 ? 0x66 : 0), 0, static_cast<u8>(bytes == 1 ? 0x88 : 0x89),
                       false, bytes == 1};
    clobber_flags();
    test_direction();
    leave_if(kNe, i);
    const bool reads = op != 0xAA && op != 0xAB, writes = op < 0xAC;
    if (reads) {
        Mem from = probe_string(i, kRsi, n.seg, bytes, false);
        if (!writes) {
            e_.op(load, kHome[kRax], from);
        } else {
            e_.op(load, hRax, from);
            e_.store32(in_frame(offsetof(Frame, argument)), hRax);
        }
    }
    if (writes) {
        Mem to = probe_string(i, kRdi, kEs, bytes, true);
        if (reads) e_.load32(hRax, in_frame(offsetof(Frame, argument)));
        e_.op(store, reads ? static_cast<u8>(hRax) : kHome[kRax], to);
        advance(kRdi, n.asize, static_cast<i32>(bytes));
    }
    if (reads) advance(kRsi, n.asize, static_cast<i32>(bytes));
    return true;
}

}  // namespace shadowbox::jit
