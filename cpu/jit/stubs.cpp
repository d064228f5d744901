// SPDX-License-Identifier: MIT
// The hand-made host code around translated blocks: entry from C++, the common exit, and the calls back into
// C++. Addresses of the vCPU's fields are constants in it, because each vCPU has its own code.
#include "cpu/jit/stubs.h"

#include "cpu/jit/forms.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {
constexpr u8 kCalleeSaved[] = {hRbx, hRbp, hR12, hR13, hR14, hR15};
constexpr u8 kCallerSavedHomes[] = {hRsi, hRdi, hR8, hR9, hR10, hR11};
/// Six pushes and the return address leave RSP at 8 modulo 16.
constexpr i32 kFrameBytes = sizeof(Frame) + 8;
static_assert((kFrameBytes + 7 * 8) % 16 == 0);
/// RSP below the frame in stubs that call C++: the return address and the alignment.
constexpr i32 kCallShift = 16;

unsigned guest_of(u8 host) {
    for (unsigned g = 0; g < 16; ++g) {
        if (kHome[g] == host) return g;
    }
    return 16;
}
u64 address(const void* p) { return reinterpret_cast<u64>(p); }
}  // namespace

void Stubs::load_state() {
    e_.load_imm(hRax, address(jit_.cpu_.gpr));
    for (unsigned g = 0; g < 16; ++g) {
        u8 host = kHome[g] == kInFrame ? static_cast<u8>(hRcx) : kHome[g];
        e_.load(host, at(hRax, static_cast<i32>(8 * g)));
        if (kHome[g] == kInFrame) e_.store(in_frame(frame_gpr(g)), host);
    }
    for (unsigned seg : {static_cast<unsigned>(kFs), static_cast<unsigned>(kGs)}) {
        e_.load_imm(hRax, address(&jit_.cpu_.seg[seg].base));
        e_.load(hRax, at(hRax));
        e_.store(in_frame(seg == kFs ? offsetof(Frame, fs_base) : offsetof(Frame, gs_base)), hRax);
    }
    e_.load_imm(hRax, address(&jit_.tlb_));
    e_.load(kTlb, at(hRax));
}

void Stubs::store_state() {
    e_.load_imm(hRax, address(jit_.cpu_.gpr));
    for (unsigned g = 0; g < 16; ++g) {
        if (kHome[g] != kInFrame) e_.store(at(hRax, static_cast<i32>(8 * g)), kHome[g]);
    }
    for (unsigned g = 0; g < 16; ++g) {
        if (kHome[g] != kInFrame) continue;
        e_.load(hRsi, in_frame(frame_gpr(g)));
        e_.store(at(hRax, static_cast<i32>(8 * g)), hRsi);
    }
}

void Stubs::load_vectors(Width width, u8 scratch) {
    e_.load_imm(scratch, address(jit_.cpu_.vec));
    for (u8 n = 0; n < 16; ++n) {
        Mem where = at(scratch, 32 * n);
        if (width == Width::kLow)
            e_.op({0, 1, 0x28}, n, where);
        else
            e_.vex({0x66, 1, 0x6F}, width == Width::kAll, n, 0, where);  // VEX.128 zeroes the upper half
    }
}

void Stubs::store_vectors(Width width, u8 scratch) {
    e_.load_imm(scratch, address(jit_.cpu_.vec));
    for (u8 n = 0; n < 16; ++n) {
        Mem where = at(scratch, 32 * n);
        if (width == Width::kLow)
            e_.op({0, 1, 0x29}, n, where);
        else
            e_.vex({0x66, 1, 0x7F}, true, n, 0, where);
    }
    if (width == Width::kAll) zero_upper();
}

/// C++ is legacy SSE code, which the host runs slower beside upper halves that are not zero.
void Stubs::zero_upper() {
    e_.byte(0xC5);
    e_.byte(0xF8);
    e_.byte(0x77);
}

template <class None, class Some>
void Stubs::by_level(i32 shift, None none, Some some) {
    e_.op({0, 0, 0x80}, 7, in_frame(static_cast<i32>(offsetof(Frame, vectors_loaded)) + shift));
    e_.byte(kVectorsLow);
    Fixup is_none = e_.jcc_forward(kB), is_wide{};
    if (wide_vectors_) is_wide = e_.jcc_forward(kNe);
    some(Width::kLow);
    if (wide_vectors_) {
        e_.bind(is_wide);
        e_.op({0, 0, 0x80}, 7, in_frame(static_cast<i32>(offsetof(Frame, vectors_loaded)) + shift));
        e_.byte(kVectorsAll);
        Fixup is_all = e_.jcc_forward(kE);
        some(Width::kZeroUpper);
        e_.bind(is_all);
        some(Width::kAll);
    }
    e_.bind(is_none);
    none();
}

void Stubs::make_entry(bool legacy) {
    (legacy ? jit_.enter_legacy_ : jit_.enter_) =
        reinterpret_cast<Jit::EnterCode>(address(jit_.executable(e_.cursor)));
    for (u8 reg : kCalleeSaved) e_.push(reg);
    e_.alu_imm(5, hRsp, kFrameBytes);
    e_.store(in_frame(offsetof(Frame, argument)), hRdi);
    e_.store32(in_frame(offsetof(Frame, flags)), hRsi);
    e_.store_imm32(in_frame(offsetof(Frame, vectors_loaded)), 0);
    e_.load_imm(hRax, address(&jit_.cpu_.safepoint.attention));
    e_.store(in_frame(offsetof(Frame, attention)), hRax);
    e_.load_imm(hRax, address(&jit_.jump_table_));
    e_.load(hRax, at(hRax));
    e_.store(in_frame(offsetof(Frame, jump_table)), hRax);
    e_.load_imm(hRax, address(&jit_.cpu_.budget));
    e_.load(hRax, at(hRax));
    e_.store(in_frame(offsetof(Frame, budget)), hRax);
    e_.store_imm32(in_frame(offsetof(Frame, slot_misses)), kSlotMisses);
    load_state();
    if (legacy) load_segments();
    e_.jmp_mem(in_frame(offsetof(Frame, argument)));
}

void Stubs::load_segments() {
    static_assert(sizeof jit_.segments_ % 16 == 0);
    e_.load_imm(hRax, address(jit_.segments_));
    for (i32 offset = 0; offset < static_cast<i32>(sizeof jit_.segments_); offset += 16) {
        e_.op({0, 1, 0x10}, 0, at(hRax, offset));  // movups
        e_.op({0, 1, 0x11}, 0, in_frame(static_cast<i32>(offsetof(Frame, segments)) + offset));
    }
}

void Stubs::make_exit() {
    // ECX or RCX: argument; EDX: kind, and the cell's number in bits 8 and up.
    jit_.exit_host_flags_ = e_.cursor;
    e_.save_flags();
    jit_.exit_stub_ = e_.cursor;
    e_.load_imm(hRax, address(&jit_.exit_));
    e_.store(at(hRax, offsetof(Jit::Exit, argument)), hRcx);
    e_.op({0, 1, 0xB6}, hRcx, hRdx);  // movzx ecx, dl
    e_.store32(at(hRax, offsetof(Jit::Exit, kind)), hRcx);
    e_.shift_right(hRdx, 8, false);
    e_.store32(at(hRax, offsetof(Jit::Exit, cell)), hRdx);
    e_.load(hRcx, in_frame(offsetof(Frame, argument)));
    e_.store(at(hRax, offsetof(Jit::Exit, target)), hRcx);
    e_.load32(hRcx, in_frame(offsetof(Frame, flags)));
    e_.store32(at(hRax, offsetof(Jit::Exit, flags)), hRcx);
    e_.op({0, 1, 0xB6}, hRcx, in_frame(offsetof(Frame, x87_loaded)));
    e_.op({0, 0, 0x88}, hRcx, at(hRax, offsetof(Jit::Exit, x87_loaded)));
    e_.load(hRcx, in_frame(offsetof(Frame, budget)));
    e_.store(at(hRax, offsetof(Jit::Exit, budget)), hRcx);
    store_state();
    store_x87(0);
    auto leave = [&] {
        e_.alu_imm(0, hRsp, kFrameBytes);
        for (unsigned i = sizeof kCalleeSaved; i-- > 0;) e_.pop(kCalleeSaved[i]);
        e_.ret();
    };
    by_level(0, leave, [&](Width width) {
        store_vectors(width, hRax);
        leave();
    });
}

template <class Call>
void Stubs::keep_state_around(Call call_cpp) {
    e_.alu_imm(5, hRsp, 8);
    for (u8 host : kCallerSavedHomes) e_.store(in_frame(frame_gpr(guest_of(host)) + kCallShift), host);
    store_x87(kCallShift);
    auto leave = [&] {
        restore_x87(kCallShift);
        for (u8 host : kCallerSavedHomes) e_.load(host, in_frame(frame_gpr(guest_of(host)) + kCallShift));
        e_.alu_imm(0, hRsp, 8);
        e_.ret();
    };
    auto call_and_leave = [&] {
        call_cpp();
        leave();
    };
    by_level(kCallShift, call_and_leave, [&](Width width) {
        store_vectors(width, hRax);
        call_cpp();
        load_vectors(width, hRcx);
        leave();
    });
}

void Stubs::make_fill() {
    // RCX: GVA; EDX: size, and 256 for a write. EAX: nonzero if the TLB holds the page now. All guest state
    // stays.
    jit_.fill_stub_ = e_.cursor;
    keep_state_around([&] {
        e_.load_imm(hRdi, address(&jit_.cpu_));
        e_.mov(hRsi, hRcx);
        e_.lea(hRcx, in_frame(kCallShift));
        e_.load_imm(hRax, reinterpret_cast<u64>(&Jit::fill_tlb));
        e_.call_reg(hRax);
    });
}

void Stubs::make_time() {
    // RAX: the guest's time stamp counter. All guest state stays.
    jit_.time_stub_ = e_.cursor;
    keep_state_around([&] {
        e_.load_imm(hRdi, address(&jit_.cpu_));
        e_.load_imm(hRax, reinterpret_cast<u64>(&Jit::read_time));
        e_.call_reg(hRax);
    });
}

void Stubs::make_cell() {
    // RCX: the one-instruction block. Flags are in the frame before and after; ZF set on return: it did not
    // complete.
    jit_.cell_stub_ = e_.cursor;
    e_.pop(hRax);
    e_.store(in_frame(offsetof(Frame, argument)), hRax);
    store_state();
    store_x87(0);
    u8* saved = nullptr;
    Fixup to_saved[3];
    unsigned ways = 0;
    by_level(
        0, [&] { saved = e_.cursor; },
        [&](Width width) {
            store_vectors(width, hRax);
            e_.store_imm8(in_frame(offsetof(Frame, vectors_loaded)), kVectorsNone);
            to_saved[ways++] = e_.jmp_forward();
        });
    for (unsigned i = 0; i < ways; ++i) Emitter::bind(to_saved[i], saved);
    e_.load_imm(hRdi, address(&jit_));
    e_.mov(hRsi, hRcx);
    e_.mov(hRdx, hRsp);
    e_.load_imm(hRax, reinterpret_cast<u64>(&Jit::run_cell));
    e_.call_reg(hRax);
    load_state();
    e_.op({0x66, 0, 0x83}, 7, in_frame(offsetof(Frame, cell_done)));
    e_.byte(0);
    e_.jmp_mem(in_frame(offsetof(Frame, argument)));
}

void Stubs::make_load_vectors() {
    constexpr i32 kLevel =
        static_cast<i32>(offsetof(Frame, vectors_loaded)) + 8;  // beyond the return address
    jit_.load_vectors_ = e_.cursor;
    load_vectors(Width::kLow, hRax);
    e_.store_imm8(in_frame(kLevel), kVectorsLow);
    e_.ret();
    if (!wide_vectors_) return;
    jit_.load_wide_ = e_.cursor;
    auto loaded = [&] {
        e_.store_imm8(in_frame(kLevel), kVectorsAll);
        e_.ret();
    };
    by_level(
        8,
        [&] {
            load_vectors(Width::kAll, hRax);
            loaded();
        },
        [&](Width width) {
            if (width == Width::kLow) {
                e_.load_imm(hRax, address(jit_.cpu_.vec));
                for (u8 n = 0; n < 16; ++n) {
                    e_.vex({0x66, 3, 0x18}, true, n, n, at(hRax, 32 * n + 16));  // vinsertf128
                    e_.byte(1);
                }
            }
            loaded();  // zero upper halves are there already
        });
}

u8* Stubs::make_slot(bool write) {
    // RCX: GVA; EDX: span; EAX: a page slot's offset in the context. The slot takes the page of the GVA if
    // the TLB has it with the right and it holds the span; EAX: whether it did. Destroys RCX and RDX.
    u8* start = e_.cursor;
    constexpr i32 kShift = 8;
    e_.op({0, 0, 0xFF}, 1, in_frame(static_cast<i32>(offsetof(Frame, slot_misses)) + kShift));  // dec
    Fixup look = e_.jcc_short(kS);
    e_.store(in_frame(static_cast<i32>(offsetof(Frame, slot_offset)) + kShift), hRax);
    e_.mov32(hRax, hRcx);
    e_.shift_right(hRax, 7, false);
    e_.alu_imm(4, hRax, (kTlbEntries - 1) * 32, false);
    e_.alu(0, hRax, kTlb);
    e_.alu(6, hRcx, at(hRax, tlb_offset(0, write)));
    e_.op({0, 0, 0xF7, true}, 3, hRdx);  // neg
    e_.alu_imm(0, hRdx, kPageSize);
    e_.alu(7, hRcx, hRdx);
    Fixup miss = e_.jcc_short(kA);
    e_.load(hRcx, at(hRax, tlb_offset(0, write)));
    e_.load(hRdx, at(hRax, tlb_page_offset(0, write)));
    e_.alu(5, hRdx, hRcx);
    e_.load(hRax, in_frame(static_cast<i32>(offsetof(Frame, slot_offset)) + kShift));
    e_.store(Mem{kTlb, hRax, 0, offsetof(PageSlot, page)}, hRcx);
    e_.store(Mem{kTlb, hRax, 0, offsetof(PageSlot, delta)}, hRdx);
    e_.load_imm(hRax, 1);
    e_.store(at(kTlb, offsetof(TlbContext, slots_filled)), hRax);
    e_.ret();
    e_.bind(look);
    e_.bind(miss);
    e_.load_imm(hRax, 0);
    e_.ret();
    return start;
}

void Stubs::make() {
    make_entry(false);
    make_entry(true);
    make_exit();
    make_fill();
    make_time();
    make_cell();
    make_load_vectors();
    make_load_x87();
    jit_.read_slot_ = make_slot(false);
    jit_.write_slot_ = make_slot(true);
}

}  // namespace shadowbox::jit
