// SPDX-License-Identifier: MIT
// The texts of -serial, -monitor, -qmp and -chardev, as ChardevConfig.
#pragma once

#include "core/error.h"
#include "vmm/config/machine_config.h"

namespace shadowbox {

/// "socket,id=s0,path=/tmp/s,server=on,wait=off".
Expected<ChardevConfig> parse_chardev(const std::string& text);
/// "stdio", "none", "file:PATH", "tcp:HOST:PORT,server=on", "unix:PATH", "chardev:ID" (looked up in
/// `chardevs`). "mon:stdio" is stdio with the id "mon".
Expected<ChardevConfig> parse_char_spec(const std::string& text, const std::vector<ChardevConfig>& chardevs);

}  // namespace shadowbox
