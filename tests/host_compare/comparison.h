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

/// What differs, in words; empty if nothing that is defined.
std::string difference(const TestCase& c, const Outcome& native, const Outcome& emulated);

/// A difference where the vendors differ by design (row_use.cpp's table of outcomes): counted as skipped.
bool excused(const TestCase& c, const Outcome& native, const Outcome& emulated, const HostCpu& host);

/// Whether a jump into the middle of an instruction landed on a row that is not generated here (row_use). `executed`:
/// EmulatedSide::rows_executed().
bool landed_on_row_left_out(const TestCase& c, const std::vector<u16>& executed, const HostCpu& host);

/// What differs between two emulated runs, which must agree in every flag.
std::string engine_difference(const TestCase& c, const Outcome& interpreted, const Outcome& other);

/// Runs one case alone on both sides.
std::string run_once(const TestCase& c, NativeWorker& worker, EmulatedSide& emulated, Outcome& native, Outcome& guest);

/// Drops instructions, patches and register values while the difference stays.
TestCase minimise(const TestCase& c, NativeWorker& worker, EmulatedSide& emulated, const Generator& generator);

/// Bytes, disassembly, both end states.
std::string report(const TestCase& c, const Outcome& native, const Outcome& emulated);
std::string disassemble(const TestCase& c);

}  // namespace shadowbox::compare
