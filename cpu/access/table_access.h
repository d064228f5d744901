// SPDX-License-Identifier: MIT
// How the processor changes its own tables: accessed and busy bits of descriptors, which lie in one byte with
// the type, while other vCPUs may change the bytes beside it.
#pragma once

#include "cpu/state/vcpu.h"

namespace shadowbox {

/// One atomic access to a byte, as an implicit supervisor access: sets and clears bits of it. False: a fault
/// or a wait, nothing changed.
bool change_table_bits(Vcpu& cpu, u64 gva, u8 set, u8 clear);

}  // namespace shadowbox
