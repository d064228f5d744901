// SPDX-License-Identifier: MIT
// The native side: a forked child that maps the test layout at its real addresses and runs test code on the
// host CPU. Each case ends in a signal; the handler stores the outcome, writes the next case's state into the
// signal frame, and returns into it, so that the kernel loads every register, CS 33H or 23H included. A
// seccomp filter keeps stray SYSCALLs inside.
#pragma once

#include <sys/types.h>

#include "sequences/test_case.h"

namespace shadowbox::compare {

constexpr unsigned kBatch = 64;
constexpr u16 kGdtCode32 = 0x23;  ///< Linux's
constexpr u16 kLdtCode32 = 0x0F;  ///< entry 1 of an LDT

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
    /// From now on the child has kLdtCode32 in its LDT, if the kernel lets it.
    void use_ldt();
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
    bool low_page_ = false, ldt_ = false;
};

}  // namespace shadowbox::compare
