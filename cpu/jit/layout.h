// SPDX-License-Identifier: MIT
// Where guest state lives while emitted code runs: which guest register is in which host register, and the
// frame that host RSP points at. The frame lies on the vCPU thread's own stack, made by the entry stub
// (stubs.cpp).
#pragma once

#include <atomic>
#include <cstddef>

#include "core/integers.h"
#include "cpu/state/registers.h"

namespace shadowbox {
class Vcpu;
}

namespace shadowbox::jit {

enum HostReg : u8 {
    hRax,
    hRcx,
    hRdx,
    hRbx,
    hRsp,
    hRbp,
    hRsi,
    hRdi,
    hR8,
    hR9,
    hR10,
    hR11,
    hR12,
    hR13,
    hR14,
    hR15
};

/// RAX, RCX and RDX are scratch: the host's own instructions want them for flags (LAHF), counts and products.
constexpr u8 kInFrame = 0xFF;
/// Host register of each guest register, or kInFrame: those that compilers hand out last live in the frame.
constexpr u8 kHome[16] = {hR10, hR11, hR13,     hRbx,     hR14, hRbp,     hRsi,     hRdi,
                          hR8,  hR9,  kInFrame, kInFrame, hR12, kInFrame, kInFrame, kInFrame};
/// Points at the current TlbContext.
constexpr HostReg kTlb = hR15;

/// One entry of the cache for indirect jumps, indexed by the guest RIP.
struct JumpEntry {
    u64 rip;
    const u8* code;  ///< the block's checked entry
};
constexpr unsigned kJumpEntries = 65536;
/// Its low bits belong to another place, so that whatever is looked up at `index` differs, canonical or not.
constexpr JumpEntry empty_jump_entry(unsigned index) { return {~u64{index}, nullptr}; }

/// Argument of the TLB fill: span in bytes, and these bits.
constexpr u16 kFillWrite = 0x8000;       ///< the access at hand writes
constexpr u16 kFillNeedsWrite = 0x4000;  ///< useless without the right to write
constexpr u16 kFillSize = 0x3FFF;        ///< the rest: bytes
/// Of an access by itself.
constexpr u16 fill_request(unsigned size, bool write) {
    return static_cast<u16>(size | (write ? kFillWrite | kFillNeedsWrite : 0));
}

/// Frame::vectors_loaded: how much of the guest's vector registers the host's hold. What they do not is in
/// the Vcpu.
enum VectorLevel : u8 {
    kVectorsNone,
    kVectorsLow,        ///< bits 127:0
    kVectorsZeroUpper,  ///< all, and bits 255:128 are zero
    kVectorsAll,
};

/// Misses of page slots after which somebody looks how long they took.
constexpr i32 kSlotMisses = 512;

/// Slot of a guest register in Frame::registers: those that live there come first, within reach of a byte
/// displacement.
constexpr unsigned frame_slot(unsigned number) {
    unsigned slot = 0;
    for (unsigned g = 0; g < 16; ++g)
        slot += kHome[g] == kInFrame && (g < number || kHome[number] != kInFrame);
    if (kHome[number] == kInFrame) return slot;
    slot += 9;  // the fields between
    for (unsigned g = 0; g < number; ++g) slot += kHome[g] != kInFrame;
    return slot;
}

/// A segment as emitted code sees it outside 64-bit mode: limits are compared signed, -1 lets nothing through
/// (the interpreter then finds out what is the matter).
struct SegmentView {
    u64 base = 0;
    i64 read_limit = -1, write_limit = -1;  ///< last offset that may be read, written
};

/// What host RSP points at; the hot fields first. Flags image: LAHF in bits 8-15, OF (SETO) in bits 0-7.
struct Frame {
    u64 resident[5];  ///< the kInFrame registers
    u32 flags;
    u8 vectors_loaded;  ///< VectorLevel
    u8 x87_loaded;      ///< guest x87 stack is in the host's
    u16 cell_done;      ///< the cell that C++ ran completed
    const std::atomic<u32>* attention;
    JumpEntry* jump_table;  ///< of the current mode
    u64 argument;           ///< scratch between emitted code and stubs
    u64 address;            ///< a host address, within one instruction
    u64 fs_base, gs_base;
    i64 budget;
    i32 slot_misses;          ///< counts down
    u64 spilled[11];          ///< the other registers while C++ runs
    u64 slot_offset;          ///< from kTlb, of the page slot that is being filled
    SegmentView segments[6];  ///< outside 64-bit mode
};
static_assert(sizeof(Frame) % 16 == 0 && offsetof(Frame, spilled) == 14 * 8);

constexpr i32 frame_gpr(unsigned number) { return static_cast<i32>(8 * frame_slot(number)); }

}  // namespace shadowbox::jit
