// SPDX-License-Identifier: MIT
// Exhaustive tables of the 8-bit instructions: a loop over all operands and carries runs on both sides and
// leaves a checksum of results and defined flags for each value of the first operand.
#pragma once

#include <vector>

#include "emulated_side.h"
#include "native/native_worker.h"

namespace shadowbox::compare {

/// Prints one line and each difference; the number of tables that differ.
/// `selector32`: of a 32-bit code segment; with 0 the tables of 32-bit mode are counted as skipped.
u64 compare_alu_tables(NativeWorker& worker, EmulatedSide& emulated, u16 selector32);

/// The tables' programs for 32-bit mode, to be recorded.
std::vector<TestCase> alu_table_programs32();

}  // namespace shadowbox::compare
