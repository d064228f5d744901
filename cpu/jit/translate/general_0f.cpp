// SPDX-License-Identifier: MIT
// The 0F map's general instructions.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

bool Translator::general_0f(unsigned i) {
    const Step& s = steps_[i];
    const u8 op = s.row->opcode;
    if (s.row->feature != OpFeature::Base && s.row->feature != OpFeature::Cmov && needs_state(*s.row))
        return vector(i);
    const unsigned bytes = s.insn.osize == 1 ? 2 : s.insn.osize == 2 ? 4 : 8;
    if (op >= 0x80 && op < 0x90) return jump(i);
    if (op >= 0x40 && op < 0x50)
        return again(i, bytes, kReadWrite, kRead, 0);  // the destination stays if the condition fails
    if (op >= 0x90 && op < 0xA0) return again(i, 1, kUnused, kWrite, 0);
    switch (op) {
        case 0x0D:
        case 0x18:
        case 0x19:
        case 0x1A:
        case 0x1B:
        case 0x1C:
        case 0x1D:
        case 0x1E:
        case 0x1F: return s.row->feature == OpFeature::Base;
        case 0xAF: return again(i, bytes, kReadWrite, kRead, 0);
        case 0xB6:
        case 0xBE:
            if (has_high_byte(s)) return extend_high_byte(i);
            return again(i, bytes, kWrite, kRead, 0);
        case 0xB7:
        case 0xBF: return again(i, bytes, kWrite, kRead, 0);
        case 0xBC:
        case 0xBD:
            return again(i, bytes, kReadWrite, kRead,
                         0);  // BSF and BSR leave the destination for a zero source
        case 0xB8: return s.row->feature == OpFeature::Popcnt && again(i, bytes, kWrite, kRead, 0);
        case 0xA3:
        case 0xAB:
        case 0xB3:
        case 0xBB:
        case 0xBA: return bit_test(i);
        case 0xA5:
        case 0xAD: return double_shift(i);
        case 0xA4:
        case 0xAC: return again(i, bytes, kRead, kReadWrite, 0);
        case 0xB0:
        case 0xB1: return compare_exchange(i);
        case 0xC7: return compare_exchange_pair(i);
        case 0xC0:
        case 0xC1: return exchange(i);
        case 0xC8: {
            if (bytes == 2) return false;
            u8 host = read(s.insn.reg, hRax);
            e_.swap_bytes(host, bytes == 8);
            write(s.insn.reg, host);
            return true;
        }
        default: return false;
    }
}

/// MOVZX and MOVSX from AH to BH: through RAX, whose second byte has an encoding.
bool Translator::extend_high_byte(unsigned i) {
    const Step& s = steps_[i];
    if (s.insn.osize == 1) return false;
    e_.mov32(hRax, kHome[s.insn.rm / 8u]);
    bool wide = s.insn.osize == 3 && s.insn.opcode == 0xBE;
    if (wide) return false;  // REX takes AH away
    e_.byte(0x0F);
    e_.byte(s.insn.opcode);
    e_.byte(0xC4);  // EAX <- AH
    if (kHome[s.insn.reg] == kInFrame)
        e_.store(in_frame(frame_gpr(s.insn.reg)), hRax);
    else
        e_.mov32(kHome[s.insn.reg], hRax);
    return true;
}

/// SHLD and SHRD by CL, registers only.
bool Translator::double_shift(unsigned i) {
    const Step& s = steps_[i];
    if (s.insn.mem || s.insn.osize == 1) return false;
    need_flags_for(i);
    const u8 to = read(s.insn.rm, hRdx), from = read(s.insn.reg, hRax);
    if (to == hRdx) rdx_group_ = -1;
    e_.mov32(hRcx, kHome[kRcx]);
    e_.op({0, 1, static_cast<u8>(s.row->opcode), s.insn.osize == 3}, from, to);
    if (to == hRdx) write(s.insn.rm, to);
    made_flags(i);
    return true;
}

bool Translator::bit_test(unsigned i) {
    const Step& s = steps_[i];
    if (s.row->opcode != 0xBA) return bit_test_by_register(i);
    const unsigned bytes = s.insn.osize == 1 ? 2 : s.insn.osize == 2 ? 4 : 8;
    return again(i, bytes, kUnused, (s.insn.reg & 7) != 4 ? kReadWrite : kRead, s.insn.reg & 7);
}

}  // namespace shadowbox::jit
