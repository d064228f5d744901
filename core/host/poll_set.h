// SPDX-License-Identifier: MIT
// Waiting for several host file descriptors at once, and a pipe that interrupts the wait. For threads that
// serve sockets.
#pragma once

#include <memory>

#include "core/integers.h"

namespace shadowbox {

class PollSet {
 public:
    enum Events : unsigned { kRead = 1, kWrite = 2, kUrgent = 4, kError = 8, kHangup = 16 };
    PollSet();
    ~PollSet();
    PollSet(const PollSet&) = delete;
    PollSet& operator=(const PollSet&) = delete;

    void clear();
    /// Returns the index for events().
    int add(int descriptor, unsigned events);
    /// Waits up to `milliseconds` (negative: for ever), or until interrupt().
    void wait(int milliseconds);
    unsigned events(int index) const;
    /// From any thread.
    void interrupt();

 private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace shadowbox
