// SPDX-License-Identifier: MIT
// MOVS STOS LODS CMPS SCAS INS OUTS with REP prefixes. Repeated MOVS and STOS (in either direction), INS and
// OUTS run by pieces that stay on one page; every iteration counts as one instruction, and a repeat stops at
// interrupts and at the end of the budget with exact registers (SDM 2B REP).
#include <algorithm>
#include <cstring>

#include "cpu/access/io_permission.h"
#include "cpu/events/breakpoints.h"
#include "cpu/ops/operand_forms.h"

namespace shadowbox {

namespace {

u64 address_mask(const Insn& insn) {
    return insn.asize == 3 ? ~u64{0} : insn.asize == 2 ? 0xFFFFFFFF : 0xFFFF;
}

void set_index(Vcpu& cpu, unsigned number, const Insn& insn, u64 value) {
    if (insn.asize == 3)
        cpu.gpr[number] = value;
    else if (insn.asize == 2)
        cpu.gpr[number] = static_cast<u32>(value);
    else
        cpu.set_reg<u16>(number, static_cast<u16>(value));
}
void advance(Vcpu& cpu, unsigned number, const Insn& insn, i64 bytes) {
    set_index(cpu, number, insn, cpu.gpr[number] + static_cast<u64>(bytes));
}
u64 count_of(const Vcpu& cpu, const Insn& insn) { return cpu.gpr[kRcx] & address_mask(insn); }

bool source_address(Vcpu& cpu, const Insn& insn, unsigned size, u64& gva) {
    return segment_address(cpu, static_cast<Seg>(insn.seg), cpu.gpr[kRsi] & address_mask(insn), size,
                           MemoryAccess::kRead, gva);
}
bool target_address(Vcpu& cpu, const Insn& insn, unsigned size, MemoryAccess access, u64& gva) {
    return segment_address(cpu, kEs, cpu.gpr[kRdi] & address_mask(insn), size, access, gva);
}

template <class T>
u64 bulk(Vcpu& cpu, const Insn& insn, u64 count, bool copy);
template <class T>
u64 bulk_down(Vcpu& cpu, const Insn& insn, u64 count, bool copy);
u64 run_bytes(Vcpu& cpu, const Insn& insn, unsigned size, u64 count, bool out, u64& gva);

/// Each operation: one iteration, and for some up to `count` of them at once (0: do one).
template <class T>
struct Movs {
    static bool once(Vcpu& cpu, const Insn& insn, i64 step) {
        u64 from, to;
        T value;
        if (!source_address(cpu, insn, sizeof(T), from) ||
            !target_address(cpu, insn, sizeof(T), MemoryAccess::kWrite, to))
            return false;
        if (!load<T>(cpu, from, value) || !store<T>(cpu, to, value)) return false;
        advance(cpu, kRsi, insn, step);
        advance(cpu, kRdi, insn, step);
        return true;
    }
    static u64 many(Vcpu& cpu, const Insn& insn, u64 count) { return bulk<T>(cpu, insn, count, true); }
    static u64 many_down(Vcpu& cpu, const Insn& insn, u64 count) {
        return bulk_down<T>(cpu, insn, count, true);
    }
};
template <class T>
struct Stos {
    static bool once(Vcpu& cpu, const Insn& insn, i64 step) {
        u64 to;
        if (!target_address(cpu, insn, sizeof(T), MemoryAccess::kWrite, to) ||
            !store<T>(cpu, to, get<T>(cpu, kRax)))
            return false;
        advance(cpu, kRdi, insn, step);
        return true;
    }
    static u64 many(Vcpu& cpu, const Insn& insn, u64 count) { return bulk<T>(cpu, insn, count, false); }
    static u64 many_down(Vcpu& cpu, const Insn& insn, u64 count) {
        return bulk_down<T>(cpu, insn, count, false);
    }
};
template <class T>
struct Lods {
    static bool once(Vcpu& cpu, const Insn& insn, i64 step) {
        u64 from;
        T value;
        if (!source_address(cpu, insn, sizeof(T), from) || !load<T>(cpu, from, value)) return false;
        put<T>(cpu, kRax, value);
        advance(cpu, kRsi, insn, step);
        return true;
    }
};
template <class T>
struct Cmps {
    static bool once(Vcpu& cpu, const Insn& insn, i64 step) {
        u64 from, to;
        T a, b;
        if (!source_address(cpu, insn, sizeof(T), from) ||
            !target_address(cpu, insn, sizeof(T), MemoryAccess::kRead, to))
            return false;
        if (!load<T>(cpu, from, a) || !load<T>(cpu, to, b)) return false;
        cpu.flags.sub<T>(a, b, static_cast<T>(a - b));
        advance(cpu, kRsi, insn, step);
        advance(cpu, kRdi, insn, step);
        return true;
    }
};
template <class T>
struct Scas {
    static bool once(Vcpu& cpu, const Insn& insn, i64 step) {
        u64 to;
        T b;
        if (!target_address(cpu, insn, sizeof(T), MemoryAccess::kRead, to) || !load<T>(cpu, to, b))
            return false;
        T a = get<T>(cpu, kRax);
        cpu.flags.sub<T>(a, b, static_cast<T>(a - b));
        advance(cpu, kRdi, insn, step);
        return true;
    }
};
template <class T>
struct Ins {
    static constexpr bool kEndsBlock = true;
    static bool once(Vcpu& cpu, const Insn& insn, i64 step) {
        u64 to;
        u16 port = static_cast<u16>(cpu.gpr[kRdx]);
        if (!cpu.single) {
            cpu.exit = ExitReason::kSingleInsn;  // the page may go while the port is read: device_accesses.h
            return false;
        }
        if (!target_address(cpu, insn, sizeof(T), MemoryAccess::kWrite, to)) return false;
        if (!io_allowed(cpu, port, sizeof(T)) || !probe_write(cpu, to, sizeof(T))) return false;
        ++cpu.counters.port_io;
        const u64 value = cpu.device_accesses.once([&] { return cpu.bus.port_read(port, sizeof(T)); });
        if (!store<T>(cpu, to, static_cast<T>(value))) return false;
        note_port_access(cpu, port, sizeof(T));
        advance(cpu, kRdi, insn, step);
        return true;
    }
    static u64 many(Vcpu& cpu, const Insn& insn, u64 count) {
        u64 to, bytes = run_bytes(cpu, insn, sizeof(T), count, false, to);
        u8* host = bytes ? cpu.mmu.context()->probe_write(to, static_cast<unsigned>(bytes)) : nullptr;
        if (!host) return 0;
        u64 done = cpu.bus.port_read_run(static_cast<u16>(cpu.gpr[kRdx]), sizeof(T), {host, bytes});
        cpu.counters.port_io += done;
        advance(cpu, kRdi, insn, static_cast<i64>(done * sizeof(T)));
        return done;
    }
};
template <class T>
struct Outs {
    static constexpr bool kEndsBlock = true;
    static bool once(Vcpu& cpu, const Insn& insn, i64 step) {
        u64 from;
        T value;
        u16 port = static_cast<u16>(cpu.gpr[kRdx]);
        if (!source_address(cpu, insn, sizeof(T), from) || !io_allowed(cpu, port, sizeof(T)) ||
            !load<T>(cpu, from, value))
            return false;
        ++cpu.counters.port_io;
        cpu.bus.port_write(port, sizeof(T), value);
        note_port_access(cpu, port, sizeof(T));
        advance(cpu, kRsi, insn, step);
        return true;
    }
    static u64 many(Vcpu& cpu, const Insn& insn, u64 count) {
        u64 from, bytes = run_bytes(cpu, insn, sizeof(T), count, true, from);
        const u8* host = bytes ? cpu.mmu.context()->probe_read(from, static_cast<unsigned>(bytes)) : nullptr;
        if (!host) return 0;
        u64 done = cpu.bus.port_write_run(static_cast<u16>(cpu.gpr[kRdx]), sizeof(T), {host, bytes});
        cpu.counters.port_io += done;
        advance(cpu, kRsi, insn, static_cast<i64>(done * sizeof(T)));
        return done;
    }
};

/// The memory side of a run of INS or OUTS: bytes of whole elements on one page and within the segment, or 0.
/// Below the I/O privilege level the permission bitmap is looked at for each element, as INS may change it.
u64 run_bytes(Vcpu& cpu, const Insn& insn, unsigned size, u64 count, bool out, u64& gva) {
    bool trusted = !(cpu.cr0 & cr0::kPE) || (!cpu.vm86() && cpu.cpl <= cpu.iopl());
    if (!trusted || cpu.alignment_checked) return 0;
    u64 index = cpu.gpr[out ? kRsi : kRdi] & address_mask(insn);
    Fault kept = cpu.fault;
    if (!(out ? source_address(cpu, insn, size, gva)
              : target_address(cpu, insn, size, MemoryAccess::kWrite, gva))) {
        cpu.fault = kept;
        cpu.exit = ExitReason::kNone;
        return 0;
    }
    u64 bytes = std::min<u64>(count, kPageSize / size) * size;
    bytes = std::min(bytes, kPageSize - (gva & kPageOffsetMask));
    bytes -= bytes % size;
    if (bytes < 2 * size || index + bytes - 1 > address_mask(insn)) return 0;
    const SegmentRegister& segment = cpu.seg[out ? insn.seg : unsigned{kEs}];
    if (!cpu.long64() && (segment.expand_down() || index + bytes - 1 > segment.limit)) return 0;
    return bytes;
}

/// STOS of `bytes` at `out`, whatever the direction.
template <class T>
void fill(u8* out, T value, u64 bytes) {
    bool same = true;
    for (unsigned i = 1; i < sizeof(T); ++i)
        same &= static_cast<u8>(static_cast<u64>(value) >> (8 * i)) == static_cast<u8>(value);
    if (same)
        guest_fill(out, static_cast<u8>(value), bytes);
    else
        for (u64 i = 0; i < bytes; i += sizeof(T)) guest_store<T>(out + i, value);
}

/// Iterations that can run as one host copy: both sides inside their pages, forward, flat or within limits
/// for the whole piece.
template <class T>
u64 bulk(Vcpu& cpu, const Insn& insn, u64 count, bool copy) {
    u64 to, from = 0, bytes = count * sizeof(T), mask = address_mask(insn);
    if (cpu.alignment_checked) return 0;
    u64 target = cpu.gpr[kRdi] & mask, source = cpu.gpr[kRsi] & mask;
    bytes = std::min(bytes, kPageSize - (target & kPageOffsetMask));
    if (copy) bytes = std::min(bytes, kPageSize - (source & kPageOffsetMask));
    bytes -= bytes % sizeof(T);
    if (bytes < 2 * sizeof(T) || !cpu.long64()) {
        if (bytes < 2 * sizeof(T) || target + bytes - 1 > mask || source + bytes - 1 > mask) return 0;
        const SegmentRegister& es = cpu.seg[kEs];
        if (es.expand_down() || target + bytes - 1 > es.limit || (es.base & kPageOffsetMask)) return 0;
        const SegmentRegister& ds = cpu.seg[insn.seg];
        if (copy && (ds.expand_down() || source + bytes - 1 > ds.limit || (ds.base & kPageOffsetMask)))
            return 0;
    }
    Fault kept = cpu.fault;
    if (!target_address(cpu, insn, sizeof(T), MemoryAccess::kWrite, to) ||
        (copy && !source_address(cpu, insn, sizeof(T), from))) {
        cpu.fault = kept;
        cpu.exit = ExitReason::kNone;
        return 0;
    }
    u8* out = cpu.mmu.context()->probe_write(to, static_cast<unsigned>(bytes));
    if (!out) return 0;
    if (copy) {
        const u8* in = cpu.mmu.context()->probe_read(from, static_cast<unsigned>(bytes));
        if (!in) return 0;
        if (out > in &&
            out < in + bytes) {  // overlapping forward copy replicates a pattern: element by element
            if (static_cast<u64>(out - in) < sizeof(T)) return 0;
            for (u64 i = 0; i < bytes; i += sizeof(T)) guest_store<T>(out + i, guest_load<T>(in + i));
        } else {
            guest_move(out, in, bytes);
        }
        advance(cpu, kRsi, insn, static_cast<i64>(bytes));
    } else {
        fill(out, get<T>(cpu, kRax), bytes);
    }
    advance(cpu, kRdi, insn, static_cast<i64>(bytes));
    return bytes / sizeof(T);
}

/// The same with DF set: RSI and RDI point at the last elements of what is copied.
template <class T>
u64 bulk_down(Vcpu& cpu, const Insn& insn, u64 count, bool copy) {
    constexpr u64 kSize = sizeof(T);
    const u64 mask = address_mask(insn), target = cpu.gpr[kRdi] & mask, source = cpu.gpr[kRsi] & mask;
    const u64 target_end = (target & kPageOffsetMask) + kSize,
              source_end = (source & kPageOffsetMask) + kSize;
    if (cpu.alignment_checked || target_end > kPageSize || (copy && source_end > kPageSize)) return 0;
    u64 bytes = std::min(count, kPageSize) * kSize;
    bytes = std::min(bytes, target_end);
    if (copy) bytes = std::min(bytes, source_end);
    bytes -= bytes % kSize;
    if (bytes < 2 * kSize) return 0;
    if (!cpu.long64()) {
        const SegmentRegister &es = cpu.seg[kEs], &ds = cpu.seg[insn.seg];
        if (es.expand_down() || (es.base & kPageOffsetMask) ||
            (copy && (ds.expand_down() || (ds.base & kPageOffsetMask))))
            return 0;
    }
    u64 to, from = 0;
    Fault kept = cpu.fault;
    if (!target_address(cpu, insn, kSize, MemoryAccess::kWrite, to) ||
        (copy && !source_address(cpu, insn, kSize, from))) {
        cpu.fault = kept;
        cpu.exit = ExitReason::kNone;
        return 0;
    }
    const u64 below = bytes - kSize;
    u8* out = cpu.mmu.context()->probe_write(to - below, static_cast<unsigned>(bytes));
    if (!out) return 0;
    if (copy) {
        const u8* in = cpu.mmu.context()->probe_read(from - below, static_cast<unsigned>(bytes));
        if (!in) return 0;
        const u64 distance = static_cast<u64>(out < in ? in - out : out - in);
        if (distance >= bytes) {
            guest_move(out, in, bytes);
        } else {  // overlapping: from the top, by the largest step that no step's own result is a source of
            if (distance < kSize) return 0;
            u64 left = bytes;
            for (; distance >= 8 && left >= 8; left -= 8)
                guest_store<u64>(out + left - 8, guest_load<u64>(in + left - 8));
            for (; left > 0; left -= kSize)
                guest_store<T>(out + left - kSize, guest_load<T>(in + left - kSize));
        }
        advance(cpu, kRsi, insn, -static_cast<i64>(bytes));
    } else {
        fill(out, get<T>(cpu, kRax), bytes);
    }
    advance(cpu, kRdi, insn, -static_cast<i64>(bytes));
    return bytes / kSize;
}

enum class Stop : u8 { kNever, kOnZf };

/// The repeated form. RIP was set behind the instruction; it goes back to it while iterations are left.
template <class T, class Op, Stop stop>
bool repeat(Vcpu& cpu, const Insn& insn) {
    i64 step = cpu.other_flags & rflags::kDF ? -static_cast<i64>(sizeof(T)) : static_cast<i64>(sizeof(T));
    u64 left = count_of(cpu, insn);
    if (left == 0) return true;
    bool counted = false;  // the block's debit paid for the first iteration
    for (;;) {
        u64 done = 0;
        if constexpr (requires { Op::many(cpu, insn, left); }) {
            if (left > 1 && !cpu.single) {
                u64 allowed = cpu.budget > 0
                                  ? std::min<u64>(left, static_cast<u64>(cpu.budget) + (counted ? 0 : 1))
                                  : (counted ? 0 : 1);
                if (allowed > 1 && step > 0) done = Op::many(cpu, insn, allowed);
                if constexpr (requires { Op::many_down(cpu, insn, left); }) {
                    if (allowed > 1 && step < 0) done = Op::many_down(cpu, insn, allowed);
                }
            }
        }
        if (done == 0) {
            if (!Op::once(cpu, insn, step)) {
                // Done iterations stay done; the instruction restarts with what is left. The unfinished one
                // is not charged.
                if (counted) {
                    cpu.budget -= 1;  // leave_at() gives the block's debit for this instruction back
                    // It waits, or is to run alone: an interrupt may come here, between iterations.
                    if (cpu.exit != ExitReason::kFault) cpu.other_flags |= rflags::kRF;
                }
                return false;
            }
            done = 1;
        }
        left -= done;
        set_index(cpu, kRcx, insn, left);
        cpu.budget -= static_cast<i64>(done) - (counted ? 0 : 1);
        counted = true;
        if (left == 0) return true;
        if (stop == Stop::kOnZf && cpu.flags.zf() != (insn.rep == static_cast<u32>(RepPrefix::kRep)))
            return true;
        if (cpu.budget <= 0 || cpu.single || cpu.safepoint.attention.load(std::memory_order_relaxed)) {
            cpu.rip = rip_of(cpu, &insn);
            cpu.other_flags |= rflags::kRF;  // what comes between iterations pushes it (SDM 3B 18.3.1.1)
            return true;
        }
    }
}

template <template <class> class Op, class T, Stop stop>
const Insn* string_handler(Vcpu& cpu, const Insn* insn) {
    if (insn->rep) {
        cpu.rip = next_rip(cpu, insn);
        if (!repeat<T, Op<T>, stop>(cpu, *insn)) return leave_at(cpu, insn);
        SB_GO_ON(cpu, next_block(cpu));
    }
    i64 step = cpu.other_flags & rflags::kDF ? -static_cast<i64>(sizeof(T)) : static_cast<i64>(sizeof(T));
    if constexpr (requires { Op<T>::kEndsBlock; }) {  // ports: as the rows say
        cpu.rip = next_rip(cpu, insn);
        if (!Op<T>::once(cpu, *insn, step)) SB_FAILED(cpu, insn);
        SB_GO_ON(cpu, next_block(cpu));
    } else {
        if (!Op<T>::once(cpu, *insn, step)) SB_FAILED(cpu, insn);
        SB_NEXT(cpu, insn);
    }
}

template <template <class> class Op, Stop stop>
Handler select_string(const Insn& insn) {
    switch (operand_bytes(insn)) {
        case 1: return string_handler<Op, u8, stop>;
        case 2: return string_handler<Op, u16, stop>;
        case 4: return string_handler<Op, u32, stop>;
        default: return string_handler<Op, u64, stop>;
    }
}

}  // namespace

Handler select_movs(Insn& insn, bool) { return select_string<Movs, Stop::kNever>(insn); }
Handler select_stos(Insn& insn, bool) { return select_string<Stos, Stop::kNever>(insn); }
Handler select_lods(Insn& insn, bool) { return select_string<Lods, Stop::kNever>(insn); }
Handler select_cmps(Insn& insn, bool) { return select_string<Cmps, Stop::kOnZf>(insn); }
Handler select_scas(Insn& insn, bool) { return select_string<Scas, Stop::kOnZf>(insn); }
Handler select_ins(Insn& insn, bool) {
    if (insn.osize == 3) insn.osize = 2;
    return select_string<Ins, Stop::kNever>(insn);
}
Handler select_outs(Insn& insn, bool) {
    if (insn.osize == 3) insn.osize = 2;
    return select_string<Outs, Stop::kNever>(insn);
}

}  // namespace shadowbox
