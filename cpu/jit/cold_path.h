// SPDX-License-Identifier: MIT
// What a translation seldom runs: one Cold for each way out of its straight code, emitted in the region's
// cold part when the rest is done (Translator::emit_cold).
#pragma once

#include <variant>

#include "cpu/jit/emitter.h"
#include "cpu/jit/jit.h"

namespace shadowbox::jit {

/// Where the guest's arithmetic flags are: host RFLAGS, the frame, registers that a compare can be made again
/// from, nowhere (nobody reads them).
enum class FlagsIn : u8 { kHost, kFrame, kRecover, kDead };

/// How a probe's linear address is made once more, in its cold path.
struct AddressAgain {
    enum Kind : u8 {
        kOperand,    ///< the ModRM operand
        kRegister,   ///< base + disp; outside 64-bit mode in SS
        kBitString,  ///< the ModRM operand and a bit offset in a register
        kString      ///< register `base` in `segment`
    } kind = kOperand;
    u8 base = 0, segment = kDs;
    i32 disp = 0;
};

/// Has the page slot (if there is one) or the TLB filled, and goes back or leaves.
struct ColdProbe {
    AddressAgain address;
    u16 request;           ///< size, kFillWrite, kFillNeedsWrite
    i32 slot = -1;         ///< offset from kTlb, or -1
    u8* forced = nullptr;  ///< outside 64-bit mode: where a write goes on at [RCX + RDX], without the
                           ///< right to write the page
    ExitKind exit = ExitKind::kCell;
};
struct ColdLeave {
    ExitKind kind;
};
struct ColdVectors {
    bool wide;  ///< all 32 bytes
};
struct ColdX87 {};
struct ColdLink {
    u32 number;
};
struct ColdCache {
    u32 number;  ///< of the InlineCache
    bool is_call;
};
struct ColdReturn {};
struct Cold {
    FlagsIn flags;
    u16 step;
    Fixup from;
    std::variant<ColdProbe, ColdLeave, ColdVectors, ColdX87, ColdLink, ColdCache, ColdReturn> path;
    int recover = -1;
    u8* back = nullptr;
};

}  // namespace shadowbox::jit
