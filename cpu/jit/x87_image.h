// SPDX-License-Identifier: MIT
// FXSAVE's image (SDM 1 10.5.1) as emitted code stores the host's x87 stack into it, and jit.cpp takes it
// over.
#pragma once

#include "core/integers.h"

namespace shadowbox::jit {

struct alignas(16) X87Image {
    u16 control, status;
    u8 valid, unused0;  ///< bit n: physical register n is not empty
    u16 opcode;
    u64 instruction_pointer, data_pointer;
    u32 mxcsr, mxcsr_mask;
    struct {
        u64 significand;
        u16 sign_exponent, unused[3];
    } st[8];  ///< ST(0) first
    u8 vectors[512 - 160];
};
static_assert(sizeof(X87Image) == 512);

}  // namespace shadowbox::jit
