// SPDX-License-Identifier: MIT
// Masked moves and gathers: element by element where the whole operand cannot be reached at once, since an
// element whose mask bit is clear must not fault, and a gather that faults keeps what it has done (SDM 2C
// VMASKMOV, VGATHERDPS).
#include <cstring>

#include "cpu/ops/avx/avx_operand.h"

namespace shadowbox {

namespace {

template <class T>
constexpr T kTopBit = T{1} << (sizeof(T) * 8 - 1);
template <class T>
T* lanes(VectorRegister& v) {
    if constexpr (sizeof(T) == 4)
        return v.dword;
    else
        return v.qword;
}
template <class T>
const T* lanes(const VectorRegister& v) {
    return lanes<T>(const_cast<VectorRegister&>(v));
}

/// Address of element `i` of a masked move. Each has its own: addresses wrap, and limits are checked, element
/// by element.
bool element_address(Vcpu& cpu, const Insn& insn, unsigned i, unsigned size, MemoryAccess access, u64& gva) {
    u64 offset = effective_address(cpu, insn) + i * size;
    if (insn.asize != 3) offset &= insn.asize == 2 ? 0xFFFFFFFF : 0xFFFF;
    return segment_address(cpu, static_cast<Seg>(insn.seg), offset, size, access, gva);
}

/// Masked moves never raise #AC (SDM 2A 2.7, exception class 6), so under alignment checking they go byte by
/// byte; but a non-canonical byte anywhere in an element is #GP before anything else.
bool byte_by_byte(const Vcpu& cpu, u64 gva, unsigned size) {
    return cpu.alignment_checked &&
           (!cpu.long64() || (is_canonical(gva, cpu.cr4) && is_canonical(gva + size - 1, cpu.cr4)));
}
template <class T>
bool load_element(Vcpu& cpu, u64 gva, T& value) {
    if (!byte_by_byte(cpu, gva, sizeof(T))) return load<T>(cpu, gva, value);
    u8 bytes[sizeof(T)];
    for (unsigned i = 0; i < sizeof(T); ++i) {
        if (!load<u8>(cpu, gva + i, bytes[i])) return false;
    }
    memcpy(&value, bytes, sizeof(T));
    return true;
}
template <class T>
bool store_element(Vcpu& cpu, u64 gva, T value) {
    if (!byte_by_byte(cpu, gva, sizeof(T))) return store<T>(cpu, gva, value);
    for (unsigned i = 0; i < sizeof(T); ++i) {
        if (!store<u8>(cpu, gva + i, static_cast<u8>(value >> (8 * i)))) return false;
    }
    return true;
}
bool probe_element(Vcpu& cpu, u64 gva, unsigned size) {
    if (!byte_by_byte(cpu, gva, size)) return probe_write(cpu, gva, size);
    for (unsigned i = 0; i < size; ++i) {
        if (!probe_write(cpu, gva + i, 1)) return false;
    }
    return true;
}

template <class T>
bool masked_load(Vcpu& cpu, const Insn& insn) {
    const T* mask = lanes<T>(cpu.vec[insn.vvvv]);
    VectorRegister result{};
    for (unsigned i = 0; i < avx::full(insn) / sizeof(T); ++i) {
        u64 gva;
        if (!(mask[i] & kTopBit<T>)) continue;
        if (!element_address(cpu, insn, i, sizeof(T), MemoryAccess::kRead, gva) ||
            !load_element<T>(cpu, gva, lanes<T>(result)[i]))
            return false;
    }
    cpu.vec[insn.reg] = result;
    return true;
}

/// All elements are found writable before the first is written.
template <class T>
bool masked_store(Vcpu& cpu, const Insn& insn) {
    unsigned count = avx::full(insn) / sizeof(T);
    const T *mask = lanes<T>(cpu.vec[insn.vvvv]), *from = lanes<T>(cpu.vec[insn.reg]);
    u64 gva[8];
    for (unsigned i = 0; i < count; ++i) {
        if (!(mask[i] & kTopBit<T>)) continue;
        if (!element_address(cpu, insn, i, sizeof(T), MemoryAccess::kWrite, gva[i]) ||
            !probe_element(cpu, gva[i], sizeof(T)))
            return false;
    }
    for (unsigned i = 0; i < count; ++i) {
        if ((mask[i] & kTopBit<T>)&&!store_element<T>(cpu, gva[i], from[i])) return false;
    }
    return true;
}

/// An element cannot be loaded. If it faults behind elements loaded just now, the traps of those (single
/// step, data breakpoints) come in its place, with RF; it faults again when the gather goes on (SDM 2C
/// VPGATHERDD).
bool gather_stops(Vcpu& cpu, bool loaded_some) {
    const u64 traps = cpu.pending_dr6 | (cpu.other_flags & rflags::kTF ? u64{1} << 14 : 0);  // DR6.BS
    if (!loaded_some || !traps || cpu.exit != ExitReason::kFault) return false;
    cpu.other_flags |= rflags::kRF;
    return cpu.raise(Fault{Vector::kDB, false, 0, 0, traps});
}

/// I: index elements, T: data elements. Done elements are in the destination and gone from the mask when a
/// later one faults.
template <class I, class T>
bool gather(Vcpu& cpu, const Insn& insn) {
    unsigned index_number = static_cast<unsigned>(insn.imm);
    if (insn.reg == insn.vvvv || insn.reg == index_number || insn.vvvv == index_number)
        return cpu.raise(Vector::kUD);
    VectorRegister &result = cpu.vec[insn.reg], &mask = cpu.vec[insn.vvvv];
    const VectorRegister& indices = cpu.vec[index_number];
    unsigned count = avx::full(insn) / (sizeof(I) > sizeof(T) ? sizeof(I) : sizeof(T));
    bool loaded_some = false;
    for (unsigned i = 0; i < count; ++i) {
        if (lanes<T>(mask)[i] & kTopBit<T>) {
            i64 index = static_cast<std::make_signed_t<I>>(lanes<I>(indices)[i]);
            u64 offset =
                cpu.gpr[insn.rm] + (static_cast<u64>(index) << insn.scale) + static_cast<u64>(insn.disp);
            if (insn.asize == 2) offset = static_cast<u32>(offset);
            u64 gva;
            T value;
            if (!segment_address(cpu, static_cast<Seg>(insn.seg), offset, sizeof(T), MemoryAccess::kRead,
                                 gva) ||
                !load<T>(cpu, gva, value))
                return gather_stops(cpu, loaded_some);
            lanes<T>(result)[i] = value;
            loaded_some = true;
        }
        lanes<T>(mask)[i] = 0;
    }
    // Elements above the last gathered one are zero in both.
    for (unsigned i = count; i < 32 / sizeof(T); ++i) lanes<T>(result)[i] = lanes<T>(mask)[i] = 0;
    return true;
}

}  // namespace

SB_OP(avx_maskload_d) { return masked_load<u32>(cpu, insn); }
SB_OP(avx_maskload_q) { return masked_load<u64>(cpu, insn); }
SB_OP(avx_maskstore_d) { return masked_store<u32>(cpu, insn); }
SB_OP(avx_maskstore_q) { return masked_store<u64>(cpu, insn); }
SB_OP(avx_gather_dd) { return gather<u32, u32>(cpu, insn); }
SB_OP(avx_gather_dq) { return gather<u32, u64>(cpu, insn); }
SB_OP(avx_gather_qd) { return gather<u64, u32>(cpu, insn); }
SB_OP(avx_gather_qq) { return gather<u64, u64>(cpu, insn); }

}  // namespace shadowbox
