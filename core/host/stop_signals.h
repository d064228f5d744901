// SPDX-License-Identifier: MIT
// SIGTERM, SIGINT and SIGHUP as calls on the poll thread. A third signal ends the process on the spot, for
// when even stopping hangs. Used by ui/session only.
#pragma once

#include <functional>

namespace shadowbox {

class PollLoop;

/// After it has gone, one signal is swallowed while the process ends in good order, and the next ends it at
/// once.
class StopSignals {
 public:
    /// `received` runs once for each signal.
    StopSignals(PollLoop& loop, std::function<void()> received);
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

 private:
    PollLoop& loop_;
    unsigned watch_ = 0;
};

}  // namespace shadowbox
