// SPDX-License-Identifier: MIT
// Whether both sides agree and the report when they do not.
#pragma once

#include <string>
#include <vector>

#include "emulated_side.h"
#include "sequences/row_use.h"
#include "sequences/test_case.h"

namespace shadowbox::compare {

/// What differs, in words; empty if nothing that is defined. `also_undefined`: flags besides those of the
/// sequence (wild_path.h).
std::string difference(const TestCase& c, const Outcome& native, const Outcome& emulated,
                       u32 also_undefined = 0);

/// A difference where the vendors differ by design (row_use.cpp's table of outcomes): counted as skipped.
bool excused(const TestCase& c, const Outcome& native, const Outcome& emulated, const HostCpu& host);

/// What differs between two emulated runs, which must agree in every flag.
std::string engine_difference(const TestCase& c, const Outcome& interpreted, const Outcome& other);

/// difference(), and if there is one: again, with what a wild jump led to. `skip` says why no result is
/// defined.
struct Judgement {
    enum Skip : u8 { kNone, kLandedOnRowLeftOut, kReadUndefined } skip = kNone;
    std::string what;
};
/// `reference`: an interpreter that is asked where a wild jump led.
Judgement judge(const TestCase& c, const Outcome& native, const Outcome& emulated, EmulatedSide& reference,
                const HostCpu& host);

/// Bytes, disassembly, both end states.
std::string report(const TestCase& c, const Outcome& native, const Outcome& emulated);
std::string disassemble(const TestCase& c);

}  // namespace shadowbox::compare
