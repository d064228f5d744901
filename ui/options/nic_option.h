// SPDX-License-Identifier: MIT
// -nic and hostfwd.
#pragma once

#include "core/error.h"
#include "vmm/config/machine_config.h"

namespace shadowbox {

/// "none", "user,hostfwd=tcp::2222-:22,model=virtio,mac=52:54:00:12:34:56".
Expected<NicConfig> parse_nic(const std::string& text);
/// "tcp:[address]:port-[guest address]:port"
Expected<ForwardConfig> parse_forward(const std::string& text);

}  // namespace shadowbox
