// SPDX-License-Identifier: MIT
// x87 instructions run as themselves: the guest's register stack is the host's, loaded at a block's first use
// (stubs_x87.cpp) while the guest masks every x87 exception. Otherwise, and for state images and FNINIT, the
// interpreter does the row. That executes the host's instruction for the transcendental functions too
// (ops/x87_transcendental.cpp); if it ever does not, they are to leave here.
//
// The instruction and data pointers (SDM 1 8.1.8) are the last non-control instruction's, as ops/x87_stack.h
// notes them. They are stored only where somebody may look: before the block ends, before C++ runs, on the
// way out. The data pointer is computed then from registers that still have their values; before one of those
// changes it is stored.
#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {

bool is_control_word_load(const Step& s) {
    return s.row->opcode == 0xD9 && s.insn.mem && (s.insn.reg & 7) == 5;
}
bool is_status_to_ax(const Step& s) { return s.row->operands[0] == Operand::AX; }

/// FLDCW, FNSTCW, FNSTSW, FNCLEX, FWAIT: they leave the pointers alone.
bool is_control(const Step& s) {
    const OpcodeRow& row = *s.row;
    return row.operands[0] == Operand::Mw || is_status_to_ax(s) || row.opcode == 0x9B ||
           (row.opcode == 0xDB && row.modrm == modrm::X(0xE2));
}

/// FNENI, FNDISI, FNINIT and FNSETPM; D9 D8+i, which processors may differ in.
bool stays_in_cpp(const Step& s) {
    const OpcodeRow& row = *s.row;
    if (row.attributes & aSys) return true;
    if (row.opcode == 0xDB)
        return row.modrm == modrm::X(0xE0) || row.modrm == modrm::X(0xE1) || row.modrm == modrm::X(0xE3) ||
               row.modrm == modrm::X(0xE4);
    return row.opcode == 0xD9 && row.modrm == modrm::DR(3);
}

u32 address_registers(const Step& s) {
    return (s.insn.rm == kNoRegister ? 0 : 1u << s.insn.rm) |
           (s.insn.index == kNoRegister ? 0 : 1u << s.insn.index);
}

}  // namespace

void Translator::need_x87(unsigned i) {
    if (x87_known_) return;
    clobber_flags();
    e_.op({0, 0, 0x80}, 7, in_frame(offsetof(Frame, x87_loaded)));
    e_.byte(0);
    const Fixup empty = e_.jcc_forward(kE);
    cold_.push_back({flags_, static_cast<u16>(i), empty, ColdX87{}, recover_, e_.cursor});
    x87_known_ = true;
}

/// Of the steps `ip` and `dp`, if not negative. Destroys RAX and RCX, keeps RFLAGS.
void Translator::store_x87_pointers(int ip, int dp) {
    auto store_rax = [&](const u64& field) {
        e_.byte(0x48);
        e_.byte(0xA3);
        e_.qword(reinterpret_cast<u64>(&field));
    };
    if (dp >= 0) {
        const Insn& n = steps_[static_cast<unsigned>(dp)].insn;
        if (!long64()) {
            offset(steps_[static_cast<unsigned>(dp)], hRax);
        } else if (n.rm == kNoRegister && n.index == kNoRegister) {
            e_.load_imm(hRax, static_cast<u64>(n.disp));
        } else {
            e_.lea(hRax, base_and_index(n, hRax, hRcx));
        }
        store_rax(cpu_.x87.data_pointer);
    }
    if (ip >= 0) {
        e_.load_imm(hRax, steps_[static_cast<unsigned>(ip)].rip);
        store_rax(cpu_.x87.instruction_pointer);
    }
}

void Translator::settle_x87_pointers() {
    store_x87_pointers(x87_ip_, x87_dp_);
    x87_ip_ = x87_dp_ = -1;
}

/// Before step i: what is on its way to the pointers must not depend on registers that it changes.
void Translator::begin_x87(unsigned i) {
    Step& s = steps_[i];
    if (s.row->attributes & (aEnd | aBranch | aString | aSys)) {
        settle_x87_pointers();
    } else if (x87_dp_ >= 0 && (s.gprs_written & address_registers(steps_[static_cast<unsigned>(x87_dp_)]))) {
        store_x87_pointers(-1, x87_dp_);
        x87_dp_ = -1;
    }
    s.x87_ip = static_cast<i16>(x87_ip_);
    s.x87_dp = static_cast<i16>(x87_dp_);
}

bool Translator::x87(unsigned i) {
    const Step& s = steps_[i];
    if (stays_in_cpp(s) || (s.insn.mem && s.insn.asize != 3 && long64())) return false;
    rdx_group_ = carried_rdx_group_;
    rdx_kept_ = true;
    need_x87(i);
    if (s.row->opcode == 0x9B) return true;  // nothing can be pending
    const u8 opcode = static_cast<u8>(s.insn.opcode), reg = s.insn.reg & 7;
    if (s.insn.mem) {
        Mem where = probe(i, operand_size(s, s.row->operands[0]), s.row->attributes & aMemWrite);
        if (is_control_word_load(s))
            load_control_word(i, where);
        else
            e_.op({0, 0, opcode}, reg, where);
    } else {
        need_flags_for(i);
        e_.byte(opcode);
        e_.byte(static_cast<u8>(0xC0 | reg << 3 | (s.insn.rm & 7)));
        if (is_status_to_ax(s)) e_.op({0x66, 0, 0x89}, hRax, kHome[kRax]);
        if (s.row->flags_written) made_flags(i);
    }
    if (is_control(s)) return true;
    x87_ip_ = static_cast<int>(i);
    if (s.insn.mem) x87_dp_ = static_cast<int>(i);
    return true;
}

/// FLDCW. A word that unmasks something is the interpreter's, which goes on without the host's stack; else
/// the word gets the form it would be read back in.
void Translator::load_control_word(unsigned i, const Mem& where) {
    clobber_flags();
    e_.op({0, 1, 0xB7}, hRax, where);  // movzx eax, word
    e_.alu_imm(4, hRax, 0x1F7F, false);
    e_.alu_imm(1, hRax, 0x40, false);
    e_.store32(in_frame(offsetof(Frame, argument)), hRax);
    e_.op({0, 0, 0xF7}, 2, hRax);  // not eax
    e_.test_imm(hRax, 0x3F, false);
    leave_if(kNe, i);
    e_.op({0, 0, 0xD9}, 5, in_frame(offsetof(Frame, argument)));
}

}  // namespace shadowbox::jit
