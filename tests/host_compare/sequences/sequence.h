// SPDX-License-Identifier: MIT
// What the tables say about a sequence: where its instructions start, which rows they are, which flags are
// undefined where.
#pragma once

#include "cpu/state/cpu_model.h"
#include "sequences/test_case.h"

namespace shadowbox::compare {

/// The mode bits under which test code is decoded.
u64 sequence_mode(bool mode32);

/// Decodes the sequence again, filling in starts and undefined flags for the rows that it has. False if it no
/// longer decodes, or reads what is undefined.
bool annotate_sequence(TestCase& c, const CpuModel& model);

/// The rows from the bytes alone; `insns` is the number there must be. False if they decode to another
/// number. An undefined VEX encoding at the end gets the row that it nearly is.
bool find_rows(TestCase& c, unsigned insns, const CpuModel& model);

}  // namespace shadowbox::compare
