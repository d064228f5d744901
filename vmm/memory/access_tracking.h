// SPDX-License-Identifier: MIT
// Which pages a guest uses, exactly, a period of guest time after the other (mmu/page_epochs.h): a service of
// the Host for each guest that is tracked. What reads it: views now, the memory policies later.
#pragma once

#include <optional>

#include "vmm/machine/host.h"

namespace shadowbox {

/// From now on an epoch of the guest ends every `period_ns` of guest time; takes the place of an earlier
/// period. Ends with the guest.
void track_accesses(Host& host, const VmHandle& vm, u64 period_ns);
/// Nothing is stamped any more, and the counts are forgotten.
void stop_tracking(Host& host, const VmHandle& vm);
/// Nanoseconds of guest time from epoch to epoch; nothing: it is not tracked.
std::optional<u64> tracking_period(const Host& host, const VirtualMachine& vm);

}  // namespace shadowbox
