// SPDX-License-Identifier: MIT
// Where a wild jump led. An indirect jump may land inside an instruction of the sequence, on others that the
// generator never weighed; which flags are undefined then follows from what was executed. main.cpp asks once
// a difference has been seen.
#pragma once

#include <vector>

#include "emulated_side.h"
#include "sequences/row_use.h"
#include "sequences/test_case.h"

namespace shadowbox::compare {

struct WildPath {
    bool left_sequence = false;   ///< an instruction ran that does not start where one of the sequence does
    bool left_out = false;        ///< one of them is not compared on this host, or its result is undefined
    bool read_undefined = false;  ///< one read a flag that was undefined: no result is defined from there on
    u32 undefined = 0;            ///< flags undefined where it ended
};

/// `executed`: EmulatedSide::executed(). `end`: the instruction that the last fault or trap reported.
WildPath wild_path(const TestCase& c, const std::vector<ExecutedInsn>& executed, u64 end,
                   const HostCpu& host);

}  // namespace shadowbox::compare
