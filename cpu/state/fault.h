// SPDX-License-Identifier: MIT
// A guest fault is a value: ops record it in the Vcpu with raise() and return false.
#pragma once

#include "core/integers.h"

namespace shadowbox {

/// SDM 3A table 6-1.
enum class Vector : u8 {
    kDE = 0,
    kDB = 1,
    kNMI = 2,
    kBP = 3,
    kOF = 4,
    kBR = 5,
    kUD = 6,
    kNM = 7,
    kDF = 8,
    kTS = 10,
    kNP = 11,
    kSS = 12,
    kGP = 13,
    kPF = 14,
    kMF = 16,
    kAC = 17,
    kMC = 18,
    kXM = 19,
};

struct Fault {
    Vector vector = Vector::kUD;
    bool has_error = false;
    u32 error_code = 0;
    u64 cr2 = 0;                 ///< #PF only
    u64 dr6_bits = 0;            ///< #DB only: bits to set in DR6
    bool non_canonical = false;  ///< #GP that becomes #SS if the access was through SS
};

}  // namespace shadowbox
