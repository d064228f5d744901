// SPDX-License-Identifier: MIT
// The guest's x87 registers in the host's: loaded by a stub that blocks call, stored on the way to C++. C++
// runs with an empty stack, as its calling convention says, and with the guest's control word, as it does
// without a translator (host_fpu.h).
#include <array>

#include "cpu/jit/stubs.h"
#include "cpu/jit/x87_image.h"
#include "cpu/state/vcpu.h"

namespace shadowbox::jit {

namespace {

/// The tag word of each X87State::empty. Of registers that are not empty the processor finds the tags itself
/// (SDM 2A FLDENV).
constexpr auto kTagWords = [] {
    std::array<u16, 256> words{};
    for (unsigned empty = 0; empty < 256; ++empty) {
        for (unsigned n = 0; n < 8; ++n)
            words[empty] = static_cast<u16>(words[empty] | (empty >> n & 1) * 3u << (2 * n));
    }
    return words;
}();

u64 address(const void* p) { return reinterpret_cast<u64>(p); }

}  // namespace

void Stubs::make_load_x87() {
    // ZF: refused, since the guest unmasks an exception: the host must not get it. Destroys RAX and RCX.
    jit_.load_x87_ = e_.cursor;
    constexpr i32 kShift = 8, kEnvironment = static_cast<i32>(offsetof(Frame, spilled)) + kShift;
    e_.load_imm(hRax, address(&jit_.cpu_.x87));
    e_.op({0, 1, 0xB7}, hRcx, at(hRax, offsetof(X87State, control)));
    e_.store32(in_frame(kEnvironment), hRcx);
    e_.alu_imm(4, hRcx, 0x3F, false);
    e_.alu_imm(7, hRcx, 0x3F, false);
    Fixup unmasked = e_.jcc_forward(kNe);
    // PXOR MM0, MM0 and EMMS: TOP is 0 and all registers are empty, so eight loads put register n at st[n].
    // FNINIT is slower.
    e_.op({0, 1, 0xEF}, 0, 0);
    e_.byte(0x0F);
    e_.byte(0x77);
    for (i32 n = 7; n >= 0; --n)
        e_.op({0, 0, 0xDB}, 5,
              at(hRax, static_cast<i32>(offsetof(X87State, st)) + n * static_cast<i32>(sizeof(Float80))));
    e_.op({0, 1, 0xB7}, hRcx, at(hRax, offsetof(X87State, status)));
    e_.store32(in_frame(kEnvironment + 4), hRcx);
    e_.op({0, 1, 0xB6}, hRcx, at(hRax, offsetof(X87State, empty)));
    e_.load_imm(hRax, address(kTagWords.data()));
    e_.op({0, 1, 0xB7}, hRcx, Mem{hRax, hRcx, 1, 0});
    e_.store32(in_frame(kEnvironment + 8), hRcx);
    for (i32 pointers : {12, 20}) e_.store_imm32(in_frame(kEnvironment + pointers), 0, true);
    e_.op({0, 0, 0xD9}, 4, in_frame(kEnvironment));  // fldenv
    e_.store_imm8(in_frame(static_cast<i32>(offsetof(Frame, x87_loaded)) + kShift), 1);
    e_.test(hRsp, hRsp);  // not 0: ZF is clear
    e_.ret();
    e_.bind(unmasked);
    e_.alu(7, hRcx, hRcx);
    e_.ret();
}

void Stubs::store_x87(i32 shift) {
    e_.op({0, 0, 0x80}, 7, in_frame(static_cast<i32>(offsetof(Frame, x87_loaded)) + shift));
    e_.byte(0);
    Fixup none = e_.jcc_short(kE);
    e_.load_imm(hRax, address(jit_.x87_image_.get()));
    e_.op({0, 1, 0xAE}, 0, at(hRax));  // fxsave
    e_.byte(0x0F);                     // emms: all registers empty; control word and flags stay
    e_.byte(0x77);
    e_.bind(none);
}

void Stubs::restore_x87(i32 shift) {
    e_.op({0, 0, 0x80}, 7, in_frame(static_cast<i32>(offsetof(Frame, x87_loaded)) + shift));
    e_.byte(0);
    Fixup none = e_.jcc_short(kE);
    e_.load_imm(hRcx, address(jit_.x87_image_.get()));
    e_.op({0, 1, 0xAE}, 1, at(hRcx));  // fxrstor
    e_.bind(none);
}

void Jit::take_x87() {
    X87State& f = cpu_.x87;
    const X87Image& image = *x87_image_;
    f.control = image.control;
    f.status = image.status;
    f.empty = static_cast<u8>(~image.valid);
    for (unsigned i = 0; i < 8; ++i)
        f.st[(f.top() + i) & 7] = Float80{image.st[i].significand, image.st[i].sign_exponent};
}

}  // namespace shadowbox::jit
