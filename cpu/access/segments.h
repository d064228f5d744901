// SPDX-License-Identifier: MIT
// Descriptors and segment-register loads (SDM 3A chapters 3 and 5). Functions return false with a fault
// raised.
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

/// An 8-byte descriptor as it lies in the GDT, LDT or IDT (system ones in long mode have 8 more bytes:
/// `upper`).
struct Descriptor {
    u32 low = 0, high = 0;
    u32 upper = 0;  ///< base bits 63-32 of a 16-byte system descriptor

    unsigned type() const { return high >> 8 & 15; }
    bool code_or_data() const { return high & 0x1000; }
    unsigned dpl() const { return high >> 13 & 3; }
    bool present() const { return high & 0x8000; }
    bool is_code() const { return code_or_data() && (high & 0x800); }
    bool conforming() const { return high & 0x400; }                     ///< code
    bool writable() const { return !(high & 0x800) && (high & 0x200); }  ///< data
    bool readable_code() const { return high & 0x200; }
    bool long_mode() const { return high & 0x200000; }
    bool big() const { return high & 0x400000; }
    u32 base32() const { return low >> 16 | (high & 0xFF) << 16 | (high & 0xFF000000); }
    u64 base64() const { return base32() | static_cast<u64>(upper) << 32; }
    u32 limit() const {
        u32 raw = (low & 0xFFFF) | (high & 0xF0000);
        return high & 0x800000 ? raw << 12 | 0xFFF : raw;
    }
    // gates
    u16 gate_selector() const { return static_cast<u16>(low >> 16); }
    u32 gate_offset32() const { return (low & 0xFFFF) | (high & 0xFFFF0000); }
    u64 gate_offset64() const { return gate_offset32() | static_cast<u64>(upper) << 32; }

    SegmentRegister segment(u16 selector) const {
        return {selector, static_cast<u16>(high >> 8 & 0xF0FF), limit(), base32()};
    }
};

/// System descriptor types.
enum SystemType : unsigned {
    kTss16 = 1,
    kLdt = 2,
    kBusyTss16 = 3,
    kCallGate16 = 4,
    kTaskGate = 5,
    kInterruptGate16 = 6,
    kTrapGate16 = 7,
    kTss32 = 9,
    kBusyTss32 = 11,
    kCallGate32 = 12,
    kInterruptGate32 = 14,
    kTrapGate32 = 15
};

inline bool is_null(u16 selector) { return (selector & ~3) == 0; }
inline u32 selector_error(u16 selector) { return selector & 0xFFFC; }

/// Reads the descriptor of `selector` from the GDT or LDT. Beyond the limit: `vector`(selector). `wide` reads
/// 16 bytes; the type field of their upper half, where a legacy descriptor would have its own, must be 0.
bool read_descriptor(Vcpu& cpu, u16 selector, Vector vector, Descriptor& descriptor, bool wide = false);
/// Sets the accessed bit of a code or data descriptor in its table if it is clear.
bool mark_accessed(Vcpu& cpu, u16 selector, Descriptor& descriptor);
/// Sets or clears the busy bit of a TSS descriptor in the GDT.
bool set_task_busy(Vcpu& cpu, u16 selector, bool busy);

/// MOV/POP to a segment register other than CS; all modes.
bool load_segment(Vcpu& cpu, Seg seg, u16 selector);
/// Real-mode and virtual-8086 load.
void set_real_segment(Vcpu& cpu, Seg seg, u16 selector);
/// Checks and loads a stack segment for privilege level `cpl` (faults as `vector`(selector)); result in
/// `out`.
bool check_stack_segment(Vcpu& cpu, u16 selector, unsigned cpl, Vector vector, SegmentRegister& out);
/// After a return to an outer level: data segments that the new level may not hold become null.
void drop_inaccessible_segments(Vcpu& cpu);
/// Loads CS from a checked descriptor with RPL = cpl; sets CPL. The caller sets RIP and calls update_mode().
void set_code_segment(Vcpu& cpu, u16 selector, const Descriptor& descriptor, unsigned cpl);

}  // namespace shadowbox
