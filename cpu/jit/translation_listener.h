// SPDX-License-Identifier: MIT
// Who wants to see each block as it is translated: the log of -d in_asm,out_asm and the perf map. Told by the
// vCPU's thread, with all vCPUs of all guests calling at once; what it is shown is valid during the call
// only.
#pragma once

#include <span>

#include "core/integers.h"

namespace shadowbox::jit {

struct Translation {
    struct GuestCode {
        u64 rip;  ///< of the first byte
        unsigned instructions;
        std::span<const u8> bytes;
    };
    unsigned vcpu;
    unsigned bits;                     ///< 16, 32 or 64
    std::span<const GuestCode> guest;  ///< at least one; in the order of the host code
    struct HostCode {
        std::span<const u8> bytes;  ///< readable here
        u64 address;                ///< where they are executed
    };
    HostCode host;  ///< from the checked entry on
    HostCode cold;  ///< ways out and other things that seldom run, which lie apart
};

class TranslationListener {
 public:
    virtual ~TranslationListener() = default;
    virtual void translated(const Translation& block) = 0;
};

}  // namespace shadowbox::jit
