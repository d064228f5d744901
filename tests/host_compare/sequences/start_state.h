// SPDX-License-Identifier: MIT
// The state in which a sequence starts, derived from a number: registers, flags, x87 and vector contents,
// memory. A recorded corpus (corpus_file.h) holds that number and what the generator changed afterwards. So
// whoever changes what is drawn here, or RandomSource, or fill_image, counts kStartStateVersion up and
// records again.
#pragma once

#include "sequences/random_source.h"
#include "sequences/test_case.h"

namespace shadowbox::compare {

constexpr u32 kStartStateVersion = 1;

/// Draws from `random`, whose state before it is the case's state_seed. `ymm`: fill the upper halves too.
TestCase derive_start_state(RandomSource& random, bool mode32, bool ymm, u16 selector32);

/// Where an operand lies: mostly in the data pages, sometimes at an edge, sometimes nowhere. `wide`: up to 32
/// bytes. `low`: in the page that 16-bit addresses reach.
u64 data_address(RandomSource& random, bool mode32, bool wide, bool aligned, bool low);

}  // namespace shadowbox::compare
