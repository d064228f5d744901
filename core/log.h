// SPDX-License-Identifier: MIT
// Logging: everything goes to stderr (stdout belongs to the serial console). Levels by reader:
// error and warn for the user, info for progress, debug for us. guest_oddity() is for a guest doing
// something strange: one line per kind and at most ten a second, and always a count.
#pragma once

#include <spdlog/spdlog.h>

#include <string_view>

namespace shadowbox {

/// Sends the default spdlog logger to stderr as "shadowbox: level: text". Call once at start.
void init_logging(bool verbose);

/// One rate-limited line about odd guest behaviour. `kind` is a stable short key ("unknown-port").
void guest_oddity(std::string_view kind, std::string_view text);

/// How often `kind` happened since start, suppressed lines included.
unsigned long guest_oddity_count(std::string_view kind);

}  // namespace shadowbox
