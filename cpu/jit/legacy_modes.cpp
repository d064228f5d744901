// SPDX-License-Identifier: MIT
// What the translator's C++ side adds outside 64-bit mode: segments as emitted code sees them, and jump-table
// entries of modes that are many, since each CS base and limit is one.
#include "cpu/jit/jit.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

/// As segment_address() judges (cpu/access/memory_access.cpp); what grows down is left to it.
void Jit::view_segments(const Vcpu& cpu, SegmentView* views) {
    const bool typed = (cpu.cr0 & cr0::kPE) && !cpu.vm86();
    for (unsigned n = 0; n < 6; ++n) {
        const SegmentRegister& s = cpu.seg[n];
        const i64 limit = s.expand_down() || (typed && !s.present()) ? -1 : static_cast<i64>(s.limit);
        views[n] =
            SegmentView{s.base, typed && !s.readable() ? -1 : limit, typed && !s.writable() ? -1 : limit};
    }
}

/// Small programs keep data, and their stacks, beside their code. Such a write may go on if it hits none of
/// the code. With several vCPUs another could make code of them before the write is done.
bool Jit::may_write_beside_code(u64 gva, unsigned size, const Resolved& found) {
    const u64 offset = gva & kPageOffsetMask;
    if ((cpu_.mode & mode_bits::kLong64) || found.rom || cpu_.vcpu_count > 1 || (cpu_.dr[7] & 0xFF))
        return false;
    if (cpu_.blocks->holds_code(found.gpa.ppn(), static_cast<u32>(offset), size)) return false;
    beside_code_ = {offset, found.host - offset};
    return true;
}

u32 Jit::mode_number(u64 mode) {
    return mode_numbers_.try_emplace(mode, static_cast<u32>(mode_numbers_.size()) + 1).first->second;
}

unsigned Jit::legacy_jump_index(u64 mode, u64 rip, u64& key) {
    const u32 number = mode_number(mode);
    key = u64{number} << 32 | rip;
    return jump_index(rip) ^ jump_salt(number);
}

/// `code` null: no entry for it any more.
void Jit::set_jump(u64 mode, u64 rip, const u8* code) {
    if (mode & mode_bits::kLong64) {
        jump_table_[jump_index(rip)] = JumpEntry{rip, code};
        return;
    }
    u64 key;
    if (!legacy_table_.memory) return;
    const unsigned index = legacy_jump_index(mode, rip, key);
    JumpEntry& entry = legacy_table_.entries()[index];
    if (code)
        entry = JumpEntry{key, code};
    else if (entry.rip == key)
        entry = empty_jump_entry(index);
}

}  // namespace shadowbox::jit
