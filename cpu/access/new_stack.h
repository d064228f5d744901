// SPDX-License-Identifier: MIT
// A stack being built before it becomes current: privilege changes push on it while registers still hold the
// old state.
#pragma once

#include "cpu/access/memory_access.h"
#include "cpu/access/segments.h"

namespace shadowbox {

struct NewStack {
    Vcpu& cpu;
    SegmentRegister ss;
    u64 rsp = 0;
    bool long_mode = false;  ///< 64-bit stack: no segment
    bool supervisor = true;  ///< the level that the stack belongs to is below 3
    u32 error = 0;           ///< error code for a stack fault

    u64 mask() const { return long_mode ? ~u64{0} : ss.big() ? 0xFFFFFFFF : 0xFFFF; }

    bool push(u64 value, unsigned size) {
        u64 offset = (rsp - size) & mask(), gva = offset;
        if (!long_mode) {
            u64 last = offset + size - 1, top = ss.big() ? 0xFFFFFFFF : 0xFFFF;
            bool inside = ss.expand_down() ? offset > ss.limit && last <= top : last <= ss.limit;
            if (!inside) return cpu.raise(Vector::kSS, error);
            gva = (ss.base + offset) & 0xFFFFFFFF;
        } else if (!is_canonical(gva, cpu.cr4)) {
            return cpu.raise(Vector::kSS, error);
        }
        if (!(supervisor ? store_slow(cpu, gva, size, &value, true) : store_bytes(cpu, gva, size, &value)))
            return false;
        rsp = (rsp & ~mask()) | offset;
        return true;
    }
};

}  // namespace shadowbox
