// SPDX-License-Identifier: MIT
// x87 control: initialisation, control and status word, environment and state images in their four formats
// (16- and 32-bit,
// real and protected: SDM 1 8.1.10), stack pointer and tags, FWAIT.
#include "cpu/ops/x87/x87_image.h"

namespace shadowbox {

namespace x87 {

u16 tag_word(const X87State& f) {
    unsigned tags = 0;
    for (unsigned n = 0; n < 8; ++n) {
        const Float80& value = f.st[n];
        unsigned exponent = value.sign_exponent & 0x7FFF, tag;
        if (f.empty >> n & 1)
            tag = 3;
        else if (exponent == 0 && value.significand == 0)
            tag = 1;
        else if (exponent == 0 || exponent == 0x7FFF || !(value.significand >> 63))
            tag = 2;
        else
            tag = 0;
        tags |= tag << (2 * n);
    }
    return static_cast<u16>(tags);
}

u8 empty_from_tags(u16 tags) {
    unsigned empty = 0;
    for (unsigned n = 0; n < 8; ++n) empty |= static_cast<unsigned>((tags >> (2 * n) & 3) == 3) << n;
    return static_cast<u8>(empty);
}

void initialize(X87State& f) {
    f.control = 0x37F;
    f.status = 0;
    f.empty = 0xFF;
    f.opcode = f.code_segment = f.data_segment = 0;
    f.instruction_pointer = f.data_pointer = 0;
}
void initialize_all(X87State& f) { f = X87State{}; }

bool is_initial(const X87State& f) {
    if (f.control != 0x37F || f.status || f.empty != 0xFF || f.opcode || f.instruction_pointer ||
        f.data_pointer)
        return false;
    u64 bits = 0;
    for (const Float80& value : f.st) bits |= value.significand | value.sign_exponent;
    return !bits;
}

}  // namespace x87

using namespace x87;

namespace {

/// Control words whose masks changed may make old flags pending, or stop it.
void set_control(Vcpu& cpu, u16 value) {
    cpu.x87.control = control_word(value);
    update_summary(cpu.x87);
    reload_host_x87(cpu);
}

/// 28 bytes for 32-bit operand size, 14 for 16-bit. Real-address and virtual-8086 mode have a packed linear
/// pointer format.
struct Environment {
    u8 bytes[28];
    unsigned size;

    void put16(unsigned at, unsigned value) {
        bytes[at] = static_cast<u8>(value), bytes[at + 1] = static_cast<u8>(value >> 8);
    }
    void put32(unsigned at, u32 value) { put16(at, value & 0xFFFF), put16(at + 2, value >> 16); }
    u16 get16(unsigned at) const { return static_cast<u16>(bytes[at] | bytes[at + 1] << 8); }
    u32 get32(unsigned at) const { return get16(at) | static_cast<u32>(get16(at + 2)) << 16; }
};

bool real_format(const Vcpu& cpu) { return cpu.real_mode() || cpu.vm86(); }

Environment make_environment(const Vcpu& cpu, bool wide) {
    const X87State& f = cpu.x87;
    Environment e{};
    e.size = wide ? 28 : 14;
    unsigned step = wide ? 4 : 2;
    const u16 words[3] = {f.control, f.status, tag_word(f)};
    for (unsigned i = 0; i < 3; ++i) {
        e.put16(i * step, words[i]);
        if (wide) e.put16(i * step + 2, 0xFFFF);
    }
    u32 ip = static_cast<u32>(f.instruction_pointer), dp = static_cast<u32>(f.data_pointer);
    if (real_format(cpu)) {  // linear addresses, there in pieces
        ip += static_cast<u32>(f.code_segment) << 4;
        dp += static_cast<u32>(f.data_segment) << 4;
        if (wide) {
            e.put32(12, ip & 0xFFFF);
            e.put32(16, (ip >> 16) << 12 | f.opcode);
            e.put32(20, dp & 0xFFFF);
            e.put32(24, (dp >> 16) << 12);
        } else {
            e.put16(6, ip & 0xFFFF);
            e.put16(8, (ip >> 16 & 15) << 12 | f.opcode);
            e.put16(10, dp & 0xFFFF);
            e.put16(12, (dp >> 16 & 15) << 12);
        }
    } else if (wide) {
        e.put32(12, ip);
        e.put32(16, f.code_segment | static_cast<u32>(f.opcode) << 16);
        e.put32(20, dp);
        e.put32(24, f.data_segment | 0xFFFF0000);
    } else {
        e.put16(6, ip & 0xFFFF);
        e.put16(8, f.code_segment);
        e.put16(10, dp & 0xFFFF);
        e.put16(12, f.data_segment);
    }
    return e;
}

void take_environment(Vcpu& cpu, const Environment& e, bool wide) {
    X87State& f = cpu.x87;
    unsigned step = wide ? 4 : 2;
    f.control = control_word(e.get16(0));
    f.status = e.get16(step);
    f.empty = empty_from_tags(e.get16(2 * step));
    f.code_segment = f.data_segment = 0;
    if (real_format(cpu)) {
        if (wide) {
            f.instruction_pointer = e.get16(12) | (e.get32(16) >> 12 & 0xFFFF) << 16;
            f.opcode = e.get32(16) & 0x7FF;
            f.data_pointer = e.get16(20) | (e.get32(24) >> 12 & 0xFFFF) << 16;
        } else {
            f.instruction_pointer = e.get16(6) | static_cast<u32>(e.get16(8) >> 12) << 16;
            f.opcode = e.get16(8) & 0x7FF;
            f.data_pointer = e.get16(10) | static_cast<u32>(e.get16(12) >> 12) << 16;
        }
    } else if (wide) {
        f.instruction_pointer = e.get32(12);
        f.opcode = e.get16(18) & 0x7FF;
        f.data_pointer = e.get32(20);
    } else {
        f.instruction_pointer = e.get16(6);
        f.data_pointer = e.get16(10);
    }
    update_summary(f);
    reload_host_x87(cpu);
}

bool wide_format(const Insn& insn) { return insn.osize != 1; }

constexpr unsigned kRegisterBytes = 80;

void put_registers(const X87State& f, u8* to) {
    for (unsigned i = 0; i < 8; ++i) {
        const Float80& value = f.st[physical(f, i)];
        memcpy(to + 10 * i, &value.significand, 8);
        memcpy(to + 10 * i + 8, &value.sign_exponent, 2);
    }
}
void take_registers(X87State& f, const u8* from) {
    for (unsigned i = 0; i < 8; ++i) {
        Float80& value = f.st[physical(f, i)];
        memcpy(&value.significand, from + 10 * i, 8);
        memcpy(&value.sign_exponent, from + 10 * i + 8, 2);
    }
}

}  // namespace

SB_OP(x87_fninit) {
    initialize(cpu.x87);
    reload_host_x87(cpu);
    return true;
}
SB_OP(x87_fnclex) {
    cpu.x87.status = static_cast<u16>(cpu.x87.status & ~(kExceptions | kSF | kES | kBusy));
    host::clear_x87_flags();
    return true;
}
SB_OP(x87_fnstcw) { return store_ea<u16>(cpu, insn, cpu.x87.control); }
SB_OP(x87_fldcw) {
    u16 value;
    if (!ready(cpu) || !load_ea<u16>(cpu, insn, value)) return false;
    if (control_word(value) != cpu.x87.control) set_control(cpu, value);
    return true;
}
SB_OP(x87_fnstsw_m16) { return store_ea<u16>(cpu, insn, cpu.x87.status); }
SB_OP(x87_fnstsw_ax) {
    cpu.set_reg<u16>(kRax, cpu.x87.status);
    return true;
}

/// Stores the environment, then masks everything.
SB_OP(x87_fnstenv) {
    Environment e = make_environment(cpu, wide_format(insn));
    u64 gva;
    if (!ea(cpu, insn, e.size, MemoryAccess::kWrite, gva) || !store_bytes(cpu, gva, e.size, e.bytes))
        return false;
    set_control(cpu, cpu.x87.control | kExceptions);
    return true;
}
SB_OP(x87_fldenv) {
    Environment e{};
    e.size = wide_format(insn) ? 28 : 14;
    u64 gva;
    if (!ready(cpu) || !ea(cpu, insn, e.size, MemoryAccess::kRead, gva) ||
        !load_bytes(cpu, gva, e.size, e.bytes))
        return false;
    take_environment(cpu, e, wide_format(insn));
    return true;
}
SB_OP(x87_fnsave) {
    Environment e = make_environment(cpu, wide_format(insn));
    u8 image[28 + kRegisterBytes];
    memcpy(image, e.bytes, e.size);
    put_registers(cpu.x87, image + e.size);
    u64 gva;
    if (!ea(cpu, insn, e.size + kRegisterBytes, MemoryAccess::kWrite, gva) ||
        !store_bytes(cpu, gva, e.size + kRegisterBytes, image))
        return false;
    initialize(cpu.x87);
    reload_host_x87(cpu);
    return true;
}
SB_OP(x87_frstor) {
    Environment e{};
    e.size = wide_format(insn) ? 28 : 14;
    u8 image[28 + kRegisterBytes];
    u64 gva;
    if (!ready(cpu) || !ea(cpu, insn, e.size + kRegisterBytes, MemoryAccess::kRead, gva) ||
        !load_bytes(cpu, gva, e.size + kRegisterBytes, image))
        return false;
    memcpy(e.bytes, image, e.size);
    take_environment(cpu, e, wide_format(insn));
    take_registers(cpu.x87, image + e.size);
    return true;
}

// TOP and tags by hand; no register changes, C1 is cleared.
namespace {

inline bool turn_stack(Vcpu& cpu, const Insn& insn, unsigned by) {
    if (!ready(cpu)) return false;
    note(cpu, insn);
    X87State& f = cpu.x87;
    f.status = static_cast<u16>((f.status & ~(kTop | kC1)) | ((f.status + by * 0x800) & kTop));
    return true;
}

}  // namespace

SB_OP(x87_fincstp) { return turn_stack(cpu, insn, 1); }
SB_OP(x87_fdecstp) { return turn_stack(cpu, insn, 7); }
SB_OP(x87_ffree) {
    if (!ready(cpu)) return false;
    note(cpu, insn);
    cpu.x87.status = static_cast<u16>(cpu.x87.status & ~kC1);
    cpu.x87.empty = static_cast<u8>(cpu.x87.empty | 1u << physical(cpu.x87, insn.rm));
    return true;
}
/// Undocumented: FFREE, then a pop.
SB_OP(x87_ffreep) {
    if (!ready(cpu)) return false;
    note(cpu, insn);
    cpu.x87.status = static_cast<u16>(cpu.x87.status & ~kC1);
    cpu.x87.empty = static_cast<u8>(cpu.x87.empty | 1u << physical(cpu.x87, insn.rm));
    pop(cpu.x87);
    return true;
}
SB_OP(x87_fnop) {
    if (!ready(cpu)) return false;
    note(cpu, insn);
    return true;
}
/// FNENI, FNDISI, FNSETPM of the 8087 and 287: accepted, without effect and without waiting.
SB_OP(x87_obsolete) { return true; }

/// FWAIT is #NM only with CR0.MP and CR0.TS both set (SDM 2A WAIT).
SB_OP(x87_fwait) {
    if ((cpu.cr0 & (cr0::kMP | cr0::kTS)) == (cr0::kMP | cr0::kTS)) return cpu.raise(Vector::kNM);
    return ready(cpu);
}

}  // namespace shadowbox
