// SPDX-License-Identifier: MIT
#include "cpu/access/memory_access.h"

#include <cstring>

#include "cpu/access/effective_address.h"
#include "cpu/access/table_access.h"
#include "cpu/apic/local_apic.h"
#include "cpu/blocks/block.h"
#include "cpu/events/breakpoints.h"

namespace shadowbox {

namespace {

/// The local APIC's page is the vCPU's own: no bus, no lock.
bool is_own_apic(const Vcpu& cpu, Gpa gpa) {
    return cpu.apic->enabled() && (cpu.apic->base() ^ gpa.value) >> kPageShift == 0;
}

/// Turns what resolve() found into the vCPU's exit; true only for host memory and MMIO.
/// `effect`: an access to a device must not be repeated if the instruction has to start again.
bool usable(Vcpu& cpu, const Resolved& found, u64 gva, bool effect = false) {
    switch (found.kind) {
        case Resolved::Kind::kHost:
            if (__builtin_expect(cpu.alignment_checked, 0)) cpu.mmu.context()->forget_rights(gva);
            return true;
        case Resolved::Kind::kMmio:
            // Under icount a device must be reached at an exact count: run this instruction alone (design
            // section 5). So must one that goes on to another page with what it did (device_accesses.h).
            if ((cpu.exact_time || (effect && !is_own_apic(cpu, found.gpa))) && !cpu.single &&
                !cpu.delivering) {
                cpu.exit = ExitReason::kSingleInsn;
                return false;
            }
            if (const MemoryAnswer answer = cpu.bus.hold_pages(found.gpa); !answer.ready()) {
                cpu.mmu.want(answer);
                return cpu.want_page(
                    answer.outcome == MemoryOutcome::kWait ? ExitReason::kWaitPage : ExitReason::kRefused,
                    answer.ppn);
            }
            ++cpu.counters.mmio;
            return true;
        case Resolved::Kind::kFault:
            ++cpu.counters.faults;
            return cpu.raise(Fault{Vector::kPF, true, found.error_code, gva, 0});
        case Resolved::Kind::kWait: return cpu.want_page(ExitReason::kWaitPage, found.gpa.ppn());
        case Resolved::Kind::kRefused: return cpu.want_page(ExitReason::kRefused, found.gpa.ppn());
    }
    return false;
}

/// Linear addresses have 64 bits in 64-bit mode, and in compatibility mode for what the processor itself
/// reads: descriptor tables, the TSS, the stack of a 64-bit interrupt handler (SDM 3A 6.14).
bool wide_address(const Vcpu& cpu, bool supervisor) {
    return cpu.long64() || (supervisor && cpu.long_mode());
}
u64 wrap(const Vcpu& cpu, u64 gva, bool supervisor = false) {
    return wide_address(cpu, supervisor) ? gva : gva & 0xFFFFFFFF;
}

/// #GP(0) for a non-canonical address; leave_at() makes it #SS(0) for stack accesses (SDM 3A 6.15, #SS).
bool canonical(Vcpu& cpu, u64 gva, unsigned size, bool supervisor) {
    if (!wide_address(cpu, supervisor)) return true;
    if (is_canonical(gva, cpu.cr4) && is_canonical(gva + size - 1, cpu.cr4)) return true;
    cpu.raise(Vector::kGP, 0);
    cpu.fault.non_canonical = true;
    return false;
}

/// #AC: unaligned data access at CPL 3 with CR0.AM and EFLAGS.AC (SDM 3A 6.15).
bool alignment(Vcpu& cpu, u64 gva, unsigned size, bool supervisor) {
    if (!cpu.alignment_checked || supervisor) return true;
    // SDM 3A table 6-7: 80-bit reals by 8, YMM operands by 16, x87 environments and other areas by 4.
    unsigned unit = size == 10 ? 8 : size == 32 ? 16 : size > 16 || (size & (size - 1)) ? 4 : size;
    if ((unit & (unit - 1)) != 0 || gva % unit == 0) return true;
    return cpu.raise(Vector::kAC, 0);
}

DeviceAccesses& accesses(Vcpu& cpu) { return cpu.delivering ? cpu.event_accesses : cpu.device_accesses; }

u64 device_read(Vcpu& cpu, Gpa gpa, unsigned size) {
    if (!is_own_apic(cpu, gpa)) return accesses(cpu).once([&] { return cpu.bus.mmio_read(gpa, size); });
    u32 value = cpu.apic->mmio_read(static_cast<u32>(gpa.offset()) & ~3u);
    return static_cast<u64>(value) >> (8 * (gpa.value & 3));
}
void device_write(Vcpu& cpu, Gpa gpa, unsigned size, u64 value) {
    if (!is_own_apic(cpu, gpa) && (cpu.single || cpu.delivering))
        accesses(cpu).once([&] { return cpu.bus.mmio_write(gpa, size, value), u64{0}; });
    else if (!is_own_apic(cpu, gpa))
        cpu.bus.mmio_write(gpa, size, value);
    else if (size >= 4)
        cpu.apic->mmio_write(static_cast<u32>(gpa.offset()), static_cast<u32>(value));
}

bool read_piece(Vcpu& cpu, u64 gva, const Resolved& found, unsigned size, u8* to) {
    if (found.kind == Resolved::Kind::kHost) {
        switch (size) {  // one access of natural size where it has one
            case 1: *to = guest_load<u8>(found.host); break;
            case 2: {
                u16 v = guest_load<u16>(found.host);
                memcpy(to, &v, 2);
                break;
            }
            case 4: {
                u32 v = guest_load<u32>(found.host);
                memcpy(to, &v, 4);
                break;
            }
            case 8: {
                u64 v = guest_load<u64>(found.host);
                memcpy(to, &v, 8);
                break;
            }
            default: guest_copy_out(to, found.host, size);
        }
        return true;
    }
    for (unsigned done = 0; done < size;) {
        unsigned piece = size - done >= 8 ? 8 : size - done >= 4 ? 4 : size - done >= 2 ? 2 : 1;
        u64 value = device_read(cpu, found.gpa + done, piece);
        memcpy(to + done, &value, piece);
        done += piece;
    }
    return true;
}

/// Code was stored to. The running block may hold it, and the next instruction must be the new one: what this
/// vCPU knows of it goes at once. Other vCPUs hear of it through the listener, which a machine has.
void code_changed(Vcpu& cpu, Gpa where, unsigned size) {
    const u32 offset = static_cast<u32>(where.offset());
    cpu.blocks->invalidate(where.ppn(), offset, size);
    CodeWriteListener* listener = cpu.mmu.memory().code_listener();
    if (listener && cpu.vcpu_count > 1) listener->code_written(where.ppn(), offset, size);
}

void write_piece(Vcpu& cpu, u64 gva, const Resolved& found, unsigned size, const u8* from) {
    if (found.kind == Resolved::Kind::kHost) {
        if (found.rom) return;
        switch (size) {
            case 1: guest_store<u8>(found.host, *from); break;
            case 2: {
                u16 v;
                memcpy(&v, from, 2);
                guest_store(found.host, v);
                break;
            }
            case 4: {
                u32 v;
                memcpy(&v, from, 4);
                guest_store(found.host, v);
                break;
            }
            case 8: {
                u64 v;
                memcpy(&v, from, 8);
                guest_store(found.host, v);
                break;
            }
            default: guest_copy_in(found.host, from, size);
        }
        if (found.code_page) code_changed(cpu, found.gpa, size);
        return;
    }
    for (unsigned done = 0; done < size;) {
        unsigned piece = size - done >= 8 ? 8 : size - done >= 4 ? 4 : size - done >= 2 ? 2 : 1;
        u64 value = 0;
        memcpy(&value, from + done, piece);
        device_write(cpu, found.gpa + done, piece, value);
        done += piece;
    }
}

/// An access that is done: `first` bytes at `gva`, the rest of `size` at `second`.
void note(Vcpu& cpu, u64 gva, unsigned first, u64 second, unsigned size, bool write) {
    note_data_access(cpu, gva, first, write);
    if (first < size) note_data_access(cpu, second, size - first, write);
}

}  // namespace

bool load_slow(Vcpu& cpu, u64 gva, unsigned size, void* value, bool supervisor) {
    gva = wrap(cpu, gva, supervisor);
    if (!canonical(cpu, gva, size, supervisor) || !alignment(cpu, gva, size, supervisor)) return false;
    unsigned first = static_cast<unsigned>(std::min<u64>(size, kPageSize - (gva & kPageOffsetMask)));
    Resolved a = cpu.mmu.resolve(Gva(gva), first, MemoryAccess::kRead, supervisor);
    if (!usable(cpu, a, gva, true)) return false;
    Resolved b;
    u64 second = wrap(cpu, gva + first, supervisor);
    if (first < size) {
        b = cpu.mmu.resolve(Gva(second), size - first, MemoryAccess::kRead, supervisor);
        if (!usable(cpu, b, second, true)) return false;
    }
    read_piece(cpu, gva, a, first, static_cast<u8*>(value));
    // A device call is a safepoint: what was resolved before it may have moved.
    if (first < size && a.kind == Resolved::Kind::kMmio)
        b = cpu.mmu.resolve(Gva(second), size - first, MemoryAccess::kRead, supervisor);
    if (first < size && !usable(cpu, b, second)) return false;
    if (first < size) read_piece(cpu, second, b, size - first, static_cast<u8*>(value) + first);
    if (__builtin_expect(cpu.mmu.watches(), 0)) note(cpu, gva, first, second, size, false);
    return true;
}

bool store_slow(Vcpu& cpu, u64 gva, unsigned size, const void* value, bool supervisor) {
    gva = wrap(cpu, gva, supervisor);
    if (!canonical(cpu, gva, size, supervisor) || !alignment(cpu, gva, size, supervisor)) return false;
    unsigned first = static_cast<unsigned>(std::min<u64>(size, kPageSize - (gva & kPageOffsetMask)));
    Resolved a = cpu.mmu.resolve(Gva(gva), first, MemoryAccess::kWrite, supervisor);
    const bool crosses = first < size;
    if (!usable(cpu, a, gva, crosses)) return false;
    Resolved b;
    u64 second = wrap(cpu, gva + first, supervisor);
    if (first < size) {
        b = cpu.mmu.resolve(Gva(second), size - first, MemoryAccess::kWrite, supervisor);
        if (!usable(cpu, b, second, true)) return false;
    }
    write_piece(cpu, gva, a, first, static_cast<const u8*>(value));
    if (first < size && a.kind == Resolved::Kind::kMmio)
        b = cpu.mmu.resolve(Gva(second), size - first, MemoryAccess::kWrite, supervisor);
    if (first < size && !usable(cpu, b, second)) return false;
    if (first < size) write_piece(cpu, second, b, size - first, static_cast<const u8*>(value) + first);
    if (__builtin_expect(cpu.mmu.watches(), 0)) note(cpu, gva, first, second, size, true);
    return true;
}

bool change_table_bits(Vcpu& cpu, u64 gva, u8 set, u8 clear) {
    gva = wrap(cpu, gva, true);
    if (!canonical(cpu, gva, 1, true)) return false;
    const Resolved found = cpu.mmu.resolve(Gva(gva), 1, MemoryAccess::kWrite, true);
    if (!usable(cpu, found, gva)) return false;
    if (found.kind == Resolved::Kind::kMmio) {
        u8 byte = 0;
        if (!load_slow(cpu, gva, 1, &byte, true)) return false;
        byte = static_cast<u8>((byte | set) & ~clear);
        return store_slow(cpu, gva, 1, &byte, true);
    }
    if (found.rom) return true;
    if (set) __atomic_fetch_or(found.host, set, __ATOMIC_SEQ_CST);
    if (clear) __atomic_fetch_and(found.host, static_cast<u8>(~clear), __ATOMIC_SEQ_CST);
    if (found.code_page) code_changed(cpu, found.gpa, 1);
    if (__builtin_expect(cpu.mmu.watches(), 0)) note_data_access(cpu, gva, 1, true);
    return true;
}

bool probe_write(Vcpu& cpu, u64 gva, unsigned size) {
    gva = wrap(cpu, gva);
    if (!canonical(cpu, gva, size, false) || !alignment(cpu, gva, size, false)) return false;
    for (u64 done = 0; done < size;) {
        u64 here = wrap(cpu, gva + done);
        u64 piece = std::min<u64>(size - done, kPageSize - (here & kPageOffsetMask));
        if (!cpu.mmu.context()->probe_write(here, static_cast<unsigned>(piece))) {
            Resolved found = cpu.mmu.resolve(Gva(here), static_cast<unsigned>(piece), MemoryAccess::kWrite);
            if (!usable(cpu, found, here)) return false;
        }
        done += piece;
    }
    return true;
}

u8* locked_pointer(Vcpu& cpu, u64 gva, unsigned size, bool& plain) {
    gva = wrap(cpu, gva);
    if (!probe_write(cpu, gva, size)) return nullptr;
    if ((gva & kPageOffsetMask) + size <= kPageSize) {
        Resolved found = cpu.mmu.resolve(Gva(gva), size, MemoryAccess::kWrite);
        if (!usable(cpu, found, gva)) return nullptr;
        if (found.kind == Resolved::Kind::kHost && !found.rom && !found.code_page &&
            !cpu.mmu.watches(Gva(gva)))
            return found.host;
        if (found.kind == Resolved::Kind::kMmio || found.rom) {
            plain = true;
            return nullptr;
        }
    }
    // Two pages, or a page whose writes must be seen: only while no other vCPU runs (design section 3).
    if (cpu.alone) {
        plain = true;
    } else {
        cpu.exit = ExitReason::kExclusive;
    }
    return nullptr;
}

bool load_bytes(Vcpu& cpu, u64 gva, unsigned size, void* to) {
    for (unsigned done = 0; done < size;) {
        u64 here = wrap(cpu, gva + done);
        unsigned piece =
            static_cast<unsigned>(std::min<u64>(size - done, kPageSize - (here & kPageOffsetMask)));
        u8* out = static_cast<u8*>(to) + done;
        if (const u8* host = cpu.mmu.context()->probe_read(here, piece)) {
            guest_copy_out(out, host, piece);
        } else {
            if (!load_slow(cpu, here, piece, out)) return false;
        }
        done += piece;
    }
    return true;
}

bool store_bytes(Vcpu& cpu, u64 gva, unsigned size, const void* from) {
    if (!probe_write(cpu, gva, size)) return false;
    for (unsigned done = 0; done < size;) {
        u64 here = wrap(cpu, gva + done);
        unsigned piece =
            static_cast<unsigned>(std::min<u64>(size - done, kPageSize - (here & kPageOffsetMask)));
        const u8* in = static_cast<const u8*>(from) + done;
        if (u8* host = cpu.mmu.context()->probe_write(here, piece)) {
            guest_copy_in(host, in, piece);
        } else {
            if (!store_slow(cpu, here, piece, in)) return false;
        }
        done += piece;
    }
    return true;
}

u64 effective_address(const Vcpu& cpu, const Insn& insn) {
    u64 offset = cpu.gpr[insn.rm] + (cpu.gpr[insn.index] << insn.scale) + static_cast<u64>(insn.disp);
    if (insn.asize == 3) return offset;
    return insn.asize == 2 ? offset & 0xFFFFFFFF : offset & 0xFFFF;
}

bool operand_address(Vcpu& cpu, const Insn& insn, unsigned size, MemoryAccess access, u64& gva) {
    return segment_address(cpu, static_cast<Seg>(insn.seg), effective_address(cpu, insn), size, access, gva);
}

bool segment_address(Vcpu& cpu, Seg which, u64 offset, unsigned size, MemoryAccess access, u64& gva) {
    const SegmentRegister& seg = cpu.seg[which];
    if (cpu.long64()) {
        gva = which >= kFs ? offset + seg.base : offset;
        return true;  // canonical: checked on the miss path
    }
    gva = (seg.base + offset) & 0xFFFFFFFF;
    Vector vector = which == kSs ? Vector::kSS : Vector::kGP;
    if (cpu.cr0 & cr0::kPE && !cpu.vm86()) {
        if (!seg.present()) return cpu.raise(Vector::kGP, 0);  // null or unusable
        if (access == MemoryAccess::kWrite ? !seg.writable() : !seg.readable()) return cpu.raise(vector, 0);
    }
    u64 last = offset + size - 1;
    if (seg.expand_down()) {
        u64 top = seg.big() ? 0xFFFFFFFFull : 0xFFFFull;
        if (offset <= seg.limit || last > top) return cpu.raise(vector, 0);
    } else if (last > seg.limit) {
        return cpu.raise(vector, 0);
    }
    return true;
}

}  // namespace shadowbox
