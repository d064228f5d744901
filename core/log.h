// SPDX-License-Identifier: MIT
// Logging: everything goes to stderr (stdout belongs to the serial console). Levels by reader:
// error and warn for the user, info for progress, debug for us. guest_oddity() is for a guest doing
// something strange: one line per kind and guest, at most ten a second, and always a count.
#pragma once

#include <spdlog/spdlog.h>

#include <string_view>

namespace shadowbox {

/// Sends the default spdlog logger to stderr as "shadowbox: level: text". Call once at start.
void init_logging(bool verbose);

/// While it lives, guest_oddity() on this thread is about this guest.
class GuestLogScope {
 public:
    explicit GuestLogScope(std::string_view guest);  ///< outlives the scope
    ~GuestLogScope();
    GuestLogScope(const GuestLogScope&) = delete;
    GuestLogScope& operator=(const GuestLogScope&) = delete;

 private:
    std::string_view before_;
};

/// One rate-limited line about odd guest behaviour. `kind` is a stable short key ("unknown-port"); one
/// line for each kind and guest.
void guest_oddity(std::string_view kind, std::string_view text);

/// Counts what firmware and systems do on every PC, which is worth no line.
void guest_habit(std::string_view kind);

/// How often `kind` happened since start in all guests, suppressed lines included.
unsigned long guest_oddity_count(std::string_view kind);

}  // namespace shadowbox
