// SPDX-License-Identifier: MIT
// Builds the outside end that a ChardevConfig describes. Called by ui/session before the guests are built;
// errors are the user's.
#pragma once

#include <memory>

#include "core/error.h"
#include "core/host/stream.h"
#include "vmm/config/machine_config.h"
#include "vmm/lines/char_console.h"

namespace shadowbox {

struct OpenedChar {
    std::unique_ptr<CharLine> line;  ///< nullptr for "null"
    Stream log;
};

/// `kind`: stdio, null, file (path), socket (path, or host and port). `guest` names the line in messages and
/// prefixes.
Expected<OpenedChar> open_char(const ChardevConfig& config, PollLoop& loop, CharConsole& console,
                               const std::string& guest);

}  // namespace shadowbox
