// SPDX-License-Identifier: MIT
// Emits the code that every translated block shares (stubs.cpp), once per vCPU.
#pragma once

#include "cpu/jit/jit.h"

namespace shadowbox::jit {

class Stubs {
 public:
    Stubs(Jit& jit, bool wide_vectors) : jit_(jit), e_(jit.emitter_), wide_vectors_(wide_vectors) {}
    void make();

 private:
    void make_entry(bool legacy);
    void load_segments();  ///< uses RAX and XMM0
    void make_exit();
    void make_fill();
    void make_time();
    /// Emits a call of C++ and the return from the stub; guest registers, vectors and x87 are as before. RCX
    /// and RDX reach `call_cpp`, RAX comes back.
    template <class Call>
    void keep_state_around(Call call_cpp);
    void make_cell();
    void make_load_vectors();
    u8* make_slot(bool write);
    // x87 (stubs_x87.cpp)
    void make_load_x87();
    /// If the guest's stack is loaded: into the image, and the host's is empty; Frame::x87_loaded stays. RSP
    /// is `shift` below the frame. Uses RAX.
    void store_x87(i32 shift);
    void restore_x87(i32 shift);  ///< out of it again; uses RCX
    /// All guest registers and bases from the Vcpu into their homes; uses RAX and RCX.
    void load_state();
    /// Back; keeps RCX. Uses RAX and RSI.
    void store_state();
    enum class Width : u8 { kLow, kZeroUpper, kAll };
    void load_vectors(Width width, u8 scratch);
    void zero_upper();
    void store_vectors(Width width, u8 scratch);  ///< wide ones leave the host's upper halves zero
    /// Emits `some` for each width that the frame may say is loaded, then `none`. What `some` emits must
    /// leave.
    template <class None, class Some>
    void by_level(i32 shift, None none, Some some);

    Jit& jit_;
    Emitter& e_;
    bool wide_vectors_;
};

}  // namespace shadowbox::jit
