// SPDX-License-Identifier: MIT
// Makes a sequence that differs as small as still differs, by asking the host CPU again and again.
#pragma once

#include <string>

#include "emulated_side.h"
#include "native/native_worker.h"
#include "sequences/row_use.h"
#include "sequences/test_case.h"

namespace shadowbox::compare {

/// Both sides, and an interpreter (kInterpreter) that is asked where a wild jump led.
struct Sides {
    NativeWorker& worker;
    EmulatedSide &emulated, &reference;
    const HostCpu& host;
};

/// Runs one case alone on both sides.
std::string run_once(const TestCase& c, const Sides& sides, Outcome& native, Outcome& guest);

/// Drops instructions, patches and register values while the difference stays.
TestCase minimise(const TestCase& c, const Sides& sides);

}  // namespace shadowbox::compare
