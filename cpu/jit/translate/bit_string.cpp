// SPDX-License-Identifier: MIT
// BT, BTS, BTR, BTC with the bit offset in a register (SDM 2A BT). In memory it counts from the operand's
// address, both ways and any distance: the access is the operand-sized piece that holds the bit.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
unsigned bytes_of(const Step& s) { return 1u << s.insn.osize; }
u8 log2_of_bits(const Step& s) { return static_cast<u8>(3 + s.insn.osize); }
}  // namespace

bool is_bit_string(const Step& s) {
    return s.insn.mem && s.row->map == OpMap::M0F && (s.row->opcode & 0xE7) == 0xA3 &&
           s.row->operands[1] == Operand::Gv;
}

/// Linear address of the piece into RCX; destroys RAX, RDX and RFLAGS.
void Translator::bit_string_address(const Step& s) {
    offset(s, hRcx);
    const Operand2 bits = home(s.insn.reg);
    if (s.insn.osize == 3)
        e_.op({0, 0, 0x8B, true}, hRax, bits);
    else if (s.insn.osize == 2)
        e_.op({0, 0, 0x63, true}, hRax, bits);  // movsxd
    else
        e_.op({0, 1, 0xBF, true}, hRax, bits);  // movsx
    e_.op({0, 0, 0xC1, true}, 7, hRax);         // sar
    e_.byte(log2_of_bits(s));
    e_.lea(hRcx, Mem{hRcx, hRax, static_cast<u8>(s.insn.osize), 0});
    add_base(s.insn.seg, hRcx);
}

Mem Translator::probe_bit_string(unsigned i, unsigned size, bool write) {
    Cold cold = start_probe(i, {AddressAgain::kBitString});
    if (int slot = take_slot(write); slot >= 0) return probe_slot(i, size, write, false, slot);
    bit_string_address(steps_[i]);
    return finish_probe(cold, size, write);
}

/// On the piece in RAX, since the host would look for a bit string of its own: its register form takes the
/// offset modulo the size.
bool Translator::bit_test_by_register(unsigned i) {
    const Step& s = steps_[i];
    const Insn& n = s.insn;
    const unsigned bytes = bytes_of(s);
    const bool writes = s.row->opcode != 0xA3;
    if (n.mem && (!long64() || n.asize != 3)) return false;
    if (!n.mem && kHome[n.rm] != kInFrame) return again(i, bytes, kRead, writes ? kReadWrite : kRead, 0);
    const Opcode test{static_cast<u8>(n.osize == 1 ? 0x66 : 0), 1, s.row->opcode, n.osize == 3};
    if (n.mem) {
        const Mem there = probe_bit_string(i, bytes, writes);
        if (there.index != kNoIndex) single(there, hRdx);
    }
    if (n.lock) {
        // In memory after all, with an offset inside the piece; need_flags() uses RAX alone.
        e_.mov32(hRcx, read(n.reg, hRcx));
        e_.alu_imm(4, hRcx, static_cast<i32>(8 * bytes - 1), false);
        need_flags_for(i);
        e_.op(test, hRcx, at(hRdx), true);
        made_flags(i);
        return true;
    }
    need_flags_for(i);
    const Operand2 piece = n.mem ? Operand2(at(hRdx)) : Operand2(in_frame(frame_gpr(n.rm)));
    if (n.osize == 1)
        e_.op({0, 1, 0xB7}, hRax, piece);  // movzx
    else
        e_.op({0, 0, 0x8B, n.osize == 3}, hRax, piece);
    e_.op(test, read(n.reg, hRcx), hRax);
    // A 32-bit register operand is written whole.
    if (writes) e_.op({test.prefix, 0, 0x89, n.osize == 3 || (!n.mem && n.osize == 2)}, hRax, piece);
    made_flags(i);
    return true;
}

}  // namespace shadowbox::jit
