// SPDX-License-Identifier: MIT
// Whether both sides agree, the report when they do not, and the minimiser behind it.
#pragma once

#include <string>
#include <vector>

#include "emulated_side.h"
#include "generator.h"
#include "native_worker.h"
#include "test_case.h"

namespace shadowbox::compare {

/// What differs, in words; empty if nothing that is defined. `also_undefined`: flags besides those of the
/// sequence (wild_path.h).
std::string difference(const TestCase& c, const Outcome& native, const Outcome& emulated,
                       u32 also_undefined = 0);

/// A difference where the vendors differ by design (row_use.cpp's table of outcomes): counted as skipped.
bool excused(const TestCase& c, const Outcome& native, const Outcome& emulated, const HostCpu& host);

/// What differs between two emulated runs, which must agree in every flag.
std::string engine_difference(const TestCase& c, const Outcome& interpreted, const Outcome& other);

/// Both sides, and an interpreter (kInterpreter) that is asked where a wild jump led.
struct Sides {
    NativeWorker& worker;
    EmulatedSide &emulated, &reference;
    const HostCpu& host;
};

/// difference(), and if there is one: again, with what a wild jump led to. `skip` says why no result is
/// defined.
struct Judgement {
    enum Skip : u8 { kNone, kLandedOnRowLeftOut, kReadUndefined } skip = kNone;
    std::string what;
};
Judgement judge(const TestCase& c, const Outcome& native, const Outcome& emulated, const Sides& sides);

/// Runs one case alone on both sides.
std::string run_once(const TestCase& c, const Sides& sides, Outcome& native, Outcome& guest);

/// Drops instructions, patches and register values while the difference stays.
TestCase minimise(const TestCase& c, const Sides& sides, const Generator& generator);

/// Bytes, disassembly, both end states.
std::string report(const TestCase& c, const Outcome& native, const Outcome& emulated);
std::string disassemble(const TestCase& c);

}  // namespace shadowbox::compare
