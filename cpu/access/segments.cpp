// SPDX-License-Identifier: MIT
#include "cpu/access/segments.h"

#include <cstring>

#include "cpu/access/memory_access.h"

namespace shadowbox {

namespace {
/// Linear address of the descriptor, or false if it lies beyond its table's limit.
bool descriptor_address(const Vcpu& cpu, u16 selector, unsigned bytes, u64& gva) {
    u64 base = cpu.gdtr.base, limit = cpu.gdtr.limit;
    if (selector & 4) {
        if (!cpu.ldtr.present()) return false;
        base = cpu.ldtr.base;
        limit = cpu.ldtr.limit;
    }
    u64 offset = selector & ~7u;
    if (offset + bytes - 1 > limit) return false;
    gva = base + offset;
    return true;
}
}  // namespace

bool read_descriptor(Vcpu& cpu, u16 selector, Vector vector, Descriptor& descriptor, bool wide) {
    u64 gva;
    if (!descriptor_address(cpu, selector, wide ? 16 : 8, gva))
        return cpu.raise(vector, selector_error(selector));
    u32 words[4] = {};
    if (!load_slow(cpu, gva, 8, words, true) || (wide && !load_slow(cpu, gva + 8, 8, words + 2, true)))
        return false;
    // The type field of the upper half must be 0, so that no half is taken for a descriptor (SDM 3A 7.2.3).
    if (wide && (words[3] & 0x1F00)) return cpu.raise(vector, selector_error(selector));
    descriptor = {words[0], words[1], words[2]};
    return true;
}

bool write_descriptor_high(Vcpu& cpu, u16 selector, u32 high) {
    u64 gva;
    if (!descriptor_address(cpu, selector, 8, gva)) return true;
    return store_slow(cpu, gva + 4, 4, &high, true);
}

bool mark_accessed(Vcpu& cpu, u16 selector, Descriptor& descriptor) {
    if (descriptor.high & 0x100) return true;
    descriptor.high |= 0x100;
    return write_descriptor_high(cpu, selector, descriptor.high);
}

void set_real_segment(Vcpu& cpu, Seg seg, u16 selector) {
    SegmentRegister& s = cpu.seg[seg];
    s.selector = selector;
    s.base = static_cast<u64>(selector) << 4;
    if (cpu.vm86()) {
        s.limit = 0xFFFF;
        s.attributes = 0xF3;
    } else {
        // Real mode keeps limit and size as they are ("unreal mode"), but the segment is a writable one from
        // now on.
        s.attributes = static_cast<u16>((s.attributes & 0xF000) | 0x93);
        if (seg == kCs) s.attributes &= 0x0FFF;
    }
}

bool load_segment(Vcpu& cpu, Seg seg, u16 selector) {
    if (cpu.real_mode() || cpu.vm86()) {
        set_real_segment(cpu, seg, selector);
        return true;
    }
    if (is_null(selector)) {
        if (seg == kSs) {
            if (!cpu.long64() || cpu.cpl == 3 || (selector & 3) != cpu.cpl) return cpu.raise_gp0();
            // 64-bit mode: a null SS is usable below CPL 3.
            cpu.seg[kSs] = {selector, static_cast<u16>(0x4093 | cpu.cpl << 5), 0xFFFFFFFF, 0};
            return true;
        }
        cpu.seg[seg] = {selector, 0, 0, 0};
        return true;
    }
    Descriptor d;
    unsigned rpl = selector & 3;
    if (!read_descriptor(cpu, selector, Vector::kGP, d)) return false;
    if (seg == kSs) {
        SegmentRegister loaded;
        if (!check_stack_segment(cpu, selector, cpu.cpl, Vector::kGP, loaded)) return false;
        cpu.seg[kSs] = loaded;
        return true;
    }
    bool readable = d.code_or_data() && (!d.is_code() || d.readable_code());
    if (!readable) return cpu.raise(Vector::kGP, selector_error(selector));
    bool conforming_code = d.is_code() && d.conforming();
    if (!conforming_code && (rpl > d.dpl() || cpu.cpl > d.dpl()))
        return cpu.raise(Vector::kGP, selector_error(selector));
    if (!d.present()) return cpu.raise(Vector::kNP, selector_error(selector));
    if (!mark_accessed(cpu, selector, d)) return false;
    cpu.seg[seg] = d.segment(selector);
    return true;
}

bool check_stack_segment(Vcpu& cpu, u16 selector, unsigned cpl, Vector vector, SegmentRegister& out) {
    if (is_null(selector)) return cpu.raise(vector, vector == Vector::kGP ? 0 : selector_error(selector));
    Descriptor d;
    if (!read_descriptor(cpu, selector, vector, d)) return false;
    bool writable_data = d.code_or_data() && !d.is_code() && d.writable();
    if ((selector & 3u) != cpl || d.dpl() != cpl || !writable_data)
        return cpu.raise(vector, selector_error(selector));
    if (!d.present()) return cpu.raise(Vector::kSS, selector_error(selector));
    if (!mark_accessed(cpu, selector, d)) return false;
    out = d.segment(selector);
    return true;
}

void drop_inaccessible_segments(Vcpu& cpu) {
    for (Seg seg : {kEs, kDs, kFs, kGs}) {
        SegmentRegister& s = cpu.seg[seg];
        bool conforming = s.is_code() && (s.attributes & 4);
        if (is_null(s.selector)) {  // whatever its attributes: FS and GS keep the bases that MSRs gave them
            s.selector = 0;
            s.attributes = 0;
        } else if (s.present() && !conforming && s.dpl() < cpu.cpl) {
            s = {0, 0, 0, 0};
        }
    }
}

void set_code_segment(Vcpu& cpu, u16 selector, const Descriptor& descriptor, unsigned cpl) {
    cpu.seg[kCs] = descriptor.segment(static_cast<u16>((selector & ~3) | cpl));
    cpu.cpl = static_cast<u8>(cpl);
}

}  // namespace shadowbox
