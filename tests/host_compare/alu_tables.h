// SPDX-License-Identifier: MIT
// Exhaustive tables of the 8-bit instructions: a loop over all operands and carries runs on both sides and
// leaves a checksum of results and defined flags for each value of the first operand.
#pragma once

#include "emulated_side.h"
#include "native_worker.h"

namespace shadowbox::compare {

/// Prints one line and each difference; the number of tables that differ.
u64 compare_alu_tables(NativeWorker& worker, EmulatedSide& emulated);

}  // namespace shadowbox::compare
