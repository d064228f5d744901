// SPDX-License-Identifier: MIT
// FXSAVE, FXRSTOR and the XSAVE family with XCR0 (SDM 1 10.5, 13). Layout of the extended part:
// xsave_layout.h. Images are made
// in a buffer and stored at once, so a fault stores nothing.
#include "cpu/ops/sse/sse_operand.h"
#include "cpu/ops/system/xsave_layout.h"
#include "cpu/ops/x87/x87_image.h"

namespace shadowbox {

using namespace x87;

namespace {

constexpr u32 kMxcsrMask = 0xFFFF;
constexpr unsigned kMaxArea = xsave::standard_size(~u64{0});
constexpr u64 kCompacted = u64{1} << 63;

struct Area {
    alignas(16) u8 bytes[kMaxArea];

    template <class T>
    void put(unsigned at, T value) {
        memcpy(bytes + at, &value, sizeof value);
    }
    template <class T>
    T get(unsigned at) const {
        T value;
        memcpy(&value, bytes + at, sizeof value);
        return value;
    }
};

/// XMM8 and up exist in 64-bit mode only; their places stay untouched elsewhere.
unsigned xmm_count(const Vcpu& cpu) { return cpu.long64() ? 16 : 8; }

// --- the legacy area (SDM 1 table 10-2) ---
void put_x87(const Vcpu& cpu, Area& area, bool pointers64) {
    const X87State& f = cpu.x87;
    area.put<u16>(0, f.control);
    area.put<u16>(2, f.status);
    area.put<u16>(4, static_cast<u8>(~f.empty));
    area.put<u16>(6, f.opcode);
    if (pointers64) {
        area.put<u64>(8, f.instruction_pointer);
        area.put<u64>(16, f.data_pointer);
    } else {
        area.put<u64>(8, static_cast<u32>(f.instruction_pointer) | static_cast<u64>(f.code_segment) << 32);
        area.put<u64>(16, static_cast<u32>(f.data_pointer) | static_cast<u64>(f.data_segment) << 32);
    }
    for (unsigned i = 0; i < 8; ++i) {
        const Float80& value = f.st[physical(f, i)];
        area.put<u64>(32 + 16 * i, value.significand);
        area.put<u64>(40 + 16 * i, value.sign_exponent);
    }
}
void take_x87(Vcpu& cpu, const Area& area, bool pointers64) {
    X87State& f = cpu.x87;
    f.control = control_word(area.get<u16>(0));
    f.status = area.get<u16>(2);
    f.empty = static_cast<u8>(~area.get<u8>(4));
    f.opcode = area.get<u16>(6) & 0x7FF;
    f.code_segment = f.data_segment = 0;
    f.instruction_pointer = pointers64 ? area.get<u64>(8) : area.get<u32>(8);
    f.data_pointer = pointers64 ? area.get<u64>(16) : area.get<u32>(16);
    for (unsigned i = 0; i < 8; ++i) {
        Float80& value = f.st[physical(f, i)];
        value.significand = area.get<u64>(32 + 16 * i);
        value.sign_exponent = area.get<u16>(40 + 16 * i);
    }
    update_summary(f);
    reload_host_x87(cpu);
}
void put_mxcsr(Vcpu& cpu, Area& area) {
    cpu.sync_mxcsr();
    area.put<u32>(24, cpu.mxcsr);
    area.put<u32>(28, kMxcsrMask);
}
void put_sse(const Vcpu& cpu, Area& area) {
    for (unsigned i = 0; i < xmm_count(cpu); ++i) memcpy(area.bytes + 160 + 16 * i, cpu.vec[i].byte, 16);
}
void take_sse(Vcpu& cpu, const Area& area) {
    for (unsigned i = 0; i < xmm_count(cpu); ++i) memcpy(cpu.vec[i].byte, area.bytes + 160 + 16 * i, 16);
}
void clear_sse(Vcpu& cpu) {
    for (unsigned i = 0; i < xmm_count(cpu); ++i) cpu.vec[i].qword[0] = cpu.vec[i].qword[1] = 0;
}
bool sse_in_use(const Vcpu& cpu) {
    u64 bits = 0;
    for (unsigned i = 0; i < xmm_count(cpu); ++i) bits |= cpu.vec[i].qword[0] | cpu.vec[i].qword[1];
    return bits != 0;
}

bool avx_in_use(const Vcpu& cpu) {
    u64 bits = 0;
    for (unsigned i = 0; i < xmm_count(cpu); ++i) bits |= cpu.vec[i].qword[2] | cpu.vec[i].qword[3];
    return bits != 0;
}

// --- extended components, by number ---
void put_component(const Vcpu& cpu, unsigned number, u8* to) {
    if (number == 2) {
        for (unsigned i = 0; i < xmm_count(cpu); ++i) memcpy(to + 16 * i, cpu.vec[i].byte + 16, 16);
    } else if (number == 9) {
        u64 value = cpu.pkru;
        memcpy(to, &value, 8);
    }
}
/// How much of it is stored: YMM8 and up are left alone where they do not exist.
unsigned stored_size(const Vcpu& cpu, const xsave::Component& c) {
    return c.number == 2 ? 16 * xmm_count(cpu) : c.size;
}
/// `from` null: the initial state.
void take_component(Vcpu& cpu, unsigned number, const u8* from) {
    if (number == 2) {
        for (unsigned i = 0; i < xmm_count(cpu); ++i) {
            if (from)
                memcpy(cpu.vec[i].byte + 16, from + 16 * i, 16);
            else
                cpu.vec[i].qword[2] = cpu.vec[i].qword[3] = 0;
        }
    } else if (number == 9) {
        u32 value = 0;
        if (from) memcpy(&value, from, 4);
        if (cpu.pkru != value) {
            cpu.pkru = value;
            cpu.mmu.set_pkru(value);
        }
    }
}

bool no_fpu(Vcpu& cpu, u64 bits) { return (cpu.cr0 & bits) && !cpu.raise(Vector::kNM); }

bool area_address(Vcpu& cpu, const Insn& insn, unsigned size, unsigned alignment, MemoryAccess access,
                  u64& gva) {
    if (!ea(cpu, insn, size, access, gva)) return false;
    return gva & (alignment - 1) ? cpu.raise_gp0() : true;
}

}  // namespace

SB_OP(sse_fxsave) {
    if (no_fpu(cpu, cr0::kEM | cr0::kTS)) return false;
    u64 gva;
    if (!area_address(cpu, insn, 512, 16, MemoryAccess::kWrite, gva)) return false;
    Area area;
    put_x87(cpu, area, insn.rex_w);
    put_mxcsr(cpu, area);
    put_sse(cpu, area);
    // Both halves are probed first: bytes after the XMM registers are not written (SDM 2A FXSAVE).
    return probe_write(cpu, gva, 512) && store_bytes(cpu, gva, 160 + 16 * xmm_count(cpu), area.bytes);
}

SB_END(sse_fxrstor) {
    if (no_fpu(cpu, cr0::kEM | cr0::kTS)) return false;
    u64 gva;
    Area area;
    if (!area_address(cpu, insn, 512, 16, MemoryAccess::kRead, gva) || !load_bytes(cpu, gva, 512, area.bytes))
        return false;
    u32 mxcsr = area.get<u32>(24);
    if (mxcsr & ~kMxcsrMask) return cpu.raise_gp0();
    take_x87(cpu, area, insn.rex_w);
    take_sse(cpu, area);
    cpu.load_mxcsr(mxcsr);
    return true;
}

u64 xsave_in_use(const Vcpu& cpu) {
    u64 in_use = 0;
    if (!x87::is_initial(cpu.x87)) in_use |= xsave::kX87;
    if (sse_in_use(cpu)) in_use |= xsave::kSse;
    if (avx_in_use(cpu)) in_use |= xsave::kAvx;
    if (cpu.pkru) in_use |= xsave::kPkru;
    return in_use;
}

namespace {

bool xsave_allowed(Vcpu& cpu, bool supervisor) {
    if (!(cpu.cr4 & cr4::kOSXSAVE)) return cpu.raise(Vector::kUD);
    if (supervisor && cpu.cpl != 0) return cpu.raise_gp0();
    return !no_fpu(cpu, cr0::kTS);
}
/// EDX:EAX and XCR0 (no IA32_XSS component exists here).
u64 requested(const Vcpu& cpu) { return (cpu.gpr[kRdx] << 32 | cpu.reg<u32>(kRax)) & cpu.xcr0; }

/// Writes [at, at + size) of the area.
bool store_part(Vcpu& cpu, u64 gva, const Area& area, unsigned at, unsigned size) {
    return store_bytes(cpu, gva + at, size, area.bytes + at);
}

/// The legacy components in `which`; MXCSR as told.
bool store_legacy(Vcpu& cpu, u64 gva, Area& area, u64 which, bool mxcsr) {
    if ((which & xsave::kX87) && !(store_part(cpu, gva, area, 0, 24) && store_part(cpu, gva, area, 32, 128)))
        return false;
    if (mxcsr && !store_part(cpu, gva, area, 24, 8)) return false;
    return !(which & xsave::kSse) || store_part(cpu, gva, area, 160, 16 * xmm_count(cpu));
}

/// XSAVE and XSAVEOPT, standard format. XSAVEOPT leaves out components in their initial state.
bool save_standard(Vcpu& cpu, const Insn& insn, bool optimized) {
    if (!xsave_allowed(cpu, false)) return false;
    u64 wanted = requested(cpu), in_use = xsave_in_use(cpu) & wanted;
    unsigned size = xsave::standard_size(wanted);
    u64 gva;
    if (!area_address(cpu, insn, size, 64, MemoryAccess::kWrite, gva)) return false;
    u64 old_bv;
    if (!probe_write(cpu, gva, size) || !load<u64>(cpu, gva + xsave::kLegacySize, old_bv)) return false;
    Area area;
    put_x87(cpu, area, insn.rex_w);
    put_mxcsr(cpu, area);
    put_sse(cpu, area);
    u64 written = optimized ? in_use : wanted;
    if (!store_legacy(cpu, gva, area, written, wanted & (xsave::kSse | xsave::kAvx))) return false;
    for (const xsave::Component& c : xsave::kComponents) {
        if (!(written >> c.number & 1)) continue;
        put_component(cpu, c.number, area.bytes + c.offset);
        if (!store_part(cpu, gva, area, c.offset, stored_size(cpu, c))) return false;
    }
    return store<u64>(cpu, gva + xsave::kLegacySize, (old_bv & ~wanted) | in_use);
}

/// XSAVEC and XSAVES, compacted format. SSE counts as in use also if MXCSR is not its initial value (SDM 1
/// 13.10).
bool save_compacted(Vcpu& cpu, const Insn& insn, bool supervisor) {
    if (!xsave_allowed(cpu, supervisor)) return false;
    cpu.sync_mxcsr();
    u64 wanted = requested(cpu), in_use = xsave_in_use(cpu);
    if (cpu.mxcsr != 0x1F80) in_use |= xsave::kSse;
    in_use &= wanted;
    unsigned size = xsave::compacted_size(wanted);
    u64 gva;
    if (!area_address(cpu, insn, size, 64, MemoryAccess::kWrite, gva) || !probe_write(cpu, gva, size))
        return false;
    Area area;
    put_x87(cpu, area, insn.rex_w);
    put_mxcsr(cpu, area);
    put_sse(cpu, area);
    if (!store_legacy(cpu, gva, area, in_use, in_use & xsave::kSse)) return false;
    for (const xsave::Component& c : xsave::kComponents) {
        if (!(in_use >> c.number & 1)) continue;
        unsigned at = xsave::compacted_offset(wanted, c.number);
        put_component(cpu, c.number, area.bytes + at);
        if (!store_part(cpu, gva, area, at, stored_size(cpu, c))) return false;
    }
    area.put<u64>(xsave::kLegacySize, in_use);
    area.put<u64>(xsave::kLegacySize + 8, wanted | kCompacted);
    return store_part(cpu, gva, area, xsave::kLegacySize, 16);
}

/// The header's rules (SDM 1 13.8.1, 13.8.2); `compacted` comes from XCOMP_BV.
bool header_fits(const Vcpu& cpu, const Area& area, bool compacted) {
    u64 bv = area.get<u64>(512), comp = area.get<u64>(520) & ~kCompacted, rest = 0;
    for (unsigned at = compacted ? 528 : 520; at < (compacted ? 576u : 536u); at += 8)
        rest |= area.get<u64>(at);
    if (rest) return false;
    if (!compacted) return !(bv & ~cpu.xcr0);
    return !(comp & ~cpu.xcr0) && !(bv & ~comp);
}

bool restore(Vcpu& cpu, const Insn& insn, bool supervisor) {
    if (!xsave_allowed(cpu, supervisor)) return false;
    u64 wanted = requested(cpu), gva;
    Area area;
    if (!area_address(cpu, insn, xsave::kExtendedStart, 64, MemoryAccess::kRead, gva) ||
        !load_bytes(cpu, gva, xsave::kExtendedStart, area.bytes))
        return false;
    bool compacted = area.get<u64>(520) & kCompacted;
    if (compacted && !cpu.model.has(OpFeature::Xsavec)) return cpu.raise_gp0();
    if (supervisor && !compacted) return cpu.raise_gp0();
    if (!header_fits(cpu, area, compacted)) return cpu.raise_gp0();
    u64 present = area.get<u64>(512) & wanted, layout = area.get<u64>(520) & ~kCompacted;
    auto offset_of = [&](const xsave::Component& c) {
        return compacted ? xsave::compacted_offset(layout, c.number) : c.offset;
    };
    for (const xsave::Component& c : xsave::kComponents) {
        unsigned at = offset_of(c);
        if ((present >> c.number & 1) && !load_bytes(cpu, gva + at, c.size, area.bytes + at)) return false;
    }
    // Standard format takes MXCSR whenever SSE or AVX is asked for; compacted only if SSE is there, else its
    // initial value (SDM 1 13.8).
    bool mxcsr_wanted = wanted & (compacted ? xsave::kSse : xsave::kSse | xsave::kAvx);
    bool mxcsr_from_memory = mxcsr_wanted && (!compacted || (present & xsave::kSse));
    u32 mxcsr = mxcsr_from_memory ? area.get<u32>(24) : 0x1F80;
    if (mxcsr & ~kMxcsrMask) return cpu.raise_gp0();

    if (present & xsave::kX87) {
        take_x87(cpu, area, insn.rex_w);
    } else if (wanted & xsave::kX87) {
        x87::initialize_all(cpu.x87);
        reload_host_x87(cpu);
    }
    if (present & xsave::kSse)
        take_sse(cpu, area);
    else if (wanted & xsave::kSse)
        clear_sse(cpu);
    for (const xsave::Component& c : xsave::kComponents) {
        if (wanted >> c.number & 1)
            take_component(cpu, c.number, present >> c.number & 1 ? area.bytes + offset_of(c) : nullptr);
    }
    if (mxcsr_wanted) cpu.load_mxcsr(mxcsr);
    return true;
}

}  // namespace

SB_OP(sse_xsave) { return save_standard(cpu, insn, false); }
SB_OP(sse_xsaveopt) { return save_standard(cpu, insn, true); }
SB_OP(sse_xsavec) { return save_compacted(cpu, insn, false); }
SB_OP(sse_xsaves) { return save_compacted(cpu, insn, true); }
SB_END(sse_xrstor) { return restore(cpu, insn, false); }
SB_END(sse_xrstors) { return restore(cpu, insn, true); }

SB_OP(sse_xgetbv) {
    if (!(cpu.cr4 & cr4::kOSXSAVE)) return cpu.raise(Vector::kUD);
    u64 value;
    switch (cpu.reg<u32>(kRcx)) {
        case 0: value = cpu.xcr0; break;
        case 1:
            if (!cpu.model.has(OpFeature::Xsavec)) return cpu.raise_gp0();
            value = xsave_in_use(cpu) & cpu.xcr0;
            break;
        default: return cpu.raise_gp0();
    }
    cpu.gpr[kRax] = static_cast<u32>(value);
    cpu.gpr[kRdx] = value >> 32;
    return true;
}
SB_END(sse_xsetbv) {
    if (!(cpu.cr4 & cr4::kOSXSAVE)) return cpu.raise(Vector::kUD);
    u64 value = cpu.gpr[kRdx] << 32 | cpu.reg<u32>(kRax);
    if (cpu.cpl != 0 || cpu.reg<u32>(kRcx) != 0) return cpu.raise_gp0();
    if (!(value & xsave::kX87) || (value & ~xsave::supported_xcr0(cpu.model))) return cpu.raise_gp0();
    if ((value & xsave::kAvx) && !(value & xsave::kSse)) return cpu.raise_gp0();  // SDM 1 13.3
    cpu.xcr0 = value;
    cpu.update_mode();
    return true;
}

}  // namespace shadowbox
