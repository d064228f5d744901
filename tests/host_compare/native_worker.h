// SPDX-License-Identifier: MIT
// The native side: a forked child that maps the test layout at its real addresses and runs test code on the
// host CPU. Each case ends in a signal; the handler stores the outcome, writes the next case's state into the
// signal frame, and returns into it, so that the kernel loads every register, CS 33H or 23H included. A
// seccomp filter keeps stray SYSCALLs inside.
#pragma once

#include <sys/types.h>

#include "test_case.h"

namespace shadowbox::compare {

constexpr unsigned kBatch = 64;

struct Shared {
    unsigned count = 0;
    volatile unsigned done = 0;  ///< cases finished, in order
    TestCase cases[kBatch];
    Outcome outcomes[kBatch];
};

class NativeWorker {
 public:
    NativeWorker();
    ~NativeWorker();
    NativeWorker(const NativeWorker&) = delete;
    NativeWorker& operator=(const NativeWorker&) = delete;

    bool usable() const { return shared_ != nullptr; }
    bool has_low_page() const { return low_page_; }
    Shared& shared() { return *shared_; }
    /// Runs cases[0..count). A case that hangs or kills the child gets kEndless or kDied, and the child
    /// starts anew.
    void run();

 private:
    void start();
    void stop();
    void run_singly(unsigned first, unsigned total);
    Shared* shared_ = nullptr;
    pid_t child_ = -1;
    int to_child_ = -1, from_child_ = -1;
    bool low_page_ = false;
};

/// The bytes of the read-only page.
void fill_read_only(u8* page);

}  // namespace shadowbox::compare
