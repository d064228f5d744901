// SPDX-License-Identifier: MIT
#include "cpu/jit/forms.h"

#include "mmu/tlb.h"

namespace shadowbox::jit {

Form2 form_of_step(const Step& s) {
    Form2 form{s.insn.osize == 1 ? 2u : s.insn.osize == 2 ? 4u : 8u, false, false};
    for (Operand o : s.row->operands) {
        switch (o) {
            case Operand::Eb:
            case Operand::Gb: form.bytes = 1; break;
            case Operand::AL:
                form.bytes = 1;
                form.accumulator = true;
                break;
            case Operand::rAX: form.accumulator = true; break;
            case Operand::Ib:
            case Operand::Ibs:
            case Operand::Iz: form.immediate = true; break;
            default: break;
        }
    }
    return form;
}

u32 compared_registers(const Step& s) {
    Form2 form = form_of_step(s);
    unsigned shift = form.bytes == 1 ? 3 : 0;
    if (form.accumulator) return 1;
    u32 mask = 1u << (s.insn.rm >> shift);
    return form.immediate ? mask : mask | 1u << (s.insn.reg >> shift);
}

bool is_direct_jump(const Step& s) { return has_relative_target(*s.row); }

bool is_conditional_jump(const Step& s) {
    return (s.row->map == OpMap::M0 && (s.row->opcode & 0xF0) == 0x70) ||
           (s.row->map == OpMap::M0F && (s.row->opcode & 0xF0) == 0x80);
}

bool is_pause(const Step& s) {
    return s.row->map == OpMap::M0 && s.row->opcode == 0x90 && s.row->prefix == OpPrefix::PF3;
}

bool is_avx(const OpcodeRow& row) {
    return row.feature == OpFeature::Avx || row.feature == OpFeature::Avx2 || row.feature == OpFeature::Fma ||
           row.feature == OpFeature::F16c;
}

bool needs_state(const OpcodeRow& row) {
    switch (row.feature) {
        case OpFeature::X87:
        case OpFeature::Mmx:
        case OpFeature::Sse:
        case OpFeature::Sse2:
        case OpFeature::Sse3:
        case OpFeature::Ssse3:
        case OpFeature::Sse41:
        case OpFeature::Sse42:
        case OpFeature::Aes:
        case OpFeature::Pclmul:
        case OpFeature::Sha:
        case OpFeature::Avx:
        case OpFeature::Avx2:
        case OpFeature::Fma:
        case OpFeature::F16c: return true;
        default: return false;
    }
}

bool undefined_flags_matter(const Step& s) {
    u32 undefined = s.row->flags_undefined & s.live_after;
    // AND, OR, XOR, TEST: every implementation clears AF.
    bool logic = s.row->map == OpMap::M0 && s.row->flags_undefined == static_cast<u32>(rflags::kAF) &&
                 (s.row->opcode < 0xC0 || s.row->opcode >= 0xF6);
    return undefined && !logic;
}

bool has_high_byte(const Step& s) {
    for (Operand o : s.row->operands) {
        if (o == Operand::Eb && !s.insn.mem && (s.insn.rm & 1)) return true;
        if ((o == Operand::Gb || o == Operand::Zb) && (s.insn.reg & 1)) return true;
    }
    return false;
}

i32 tlb_offset(unsigned index, bool write) {
    return static_cast<i32>(offsetof(TlbContext, data) + index * sizeof(TlbEntry) +
                            (write ? offsetof(TlbEntry, write_tag) : offsetof(TlbEntry, read_tag)));
}
i32 tlb_page_offset(unsigned index, bool write) {
    return static_cast<i32>(offsetof(TlbContext, data) + index * sizeof(TlbEntry) +
                            (write ? offsetof(TlbEntry, write_page) : offsetof(TlbEntry, read_page)));
}

void emit_code_check(Emitter& e, u64 rip, u64 ppn) {
    u64 page = rip & ~kPageOffsetMask;
    i32 entry =
        static_cast<i32>(offsetof(TlbContext, code) + TlbContext::code_index(rip) * sizeof(CodeTlbEntry) +
                         offsetof(CodeTlbEntry, key));
    u64 key = TlbContext::code_key(page, ppn);
    e.load_imm(hRax, key == CodeTlbEntry().key ? ~u64{0} : key);  // no key: never found equal
    e.alu(7, hRax, at(kTlb, entry));
}

}  // namespace shadowbox::jit
