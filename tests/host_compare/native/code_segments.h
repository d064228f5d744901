// SPDX-License-Identifier: MIT
// Whether this host's kernel gives user programs a 32-bit code segment. Some hypervisors do not: they run
// 64-bit code alone.
#pragma once

#include <string>

#include "native/native_worker.h"

namespace shadowbox::compare {

struct Code32 {
    u16 selector = 0;  ///< 0: there is none
    std::string how;   ///< which one it is, or why there is none
};

/// To act as on another host: one where LAR of selector 23H fails, or one without any such segment.
enum class Deny32 : u8 { kNone, kGdt, kAll };

/// Asks LAR about Linux's segment, then tries an LDT; either counts only once the worker has run code in it.
Code32 find_code32(NativeWorker& worker, Deny32 deny);

/// kAll if the environment variable SHADOWBOX_DENY_32BIT is set to anything but 0.
Deny32 denied_by_environment();

}  // namespace shadowbox::compare
