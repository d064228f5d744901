// SPDX-License-Identifier: MIT
// Random sequences on this host's CPU and on the emulated side, and the account of what was compared.
#pragma once

#include <string>
#include <vector>

#include "case_judge.h"
#include "native/native_worker.h"
#include "sequences/generator.h"

namespace shadowbox::compare {

struct SessionOptions {
    u64 cases = 100000, seed = 0, first = 0, max_failures = 5;
    bool verbose = false, avx = false, small_cache = false;
    Modes modes = Modes::kBoth;
    Engine engine = Engine::kInterpreter;
    const char* name = nullptr;
};

class NativeSession {
 public:
    /// `selector32`: of a 32-bit code segment, 0 if there is none: only 64-bit mode is generated then.
    NativeSession(const SessionOptions& options, NativeWorker& worker, u16 selector32);
    void run();
    /// `elsewhere`: how often a corpus compared each row, if it was asked.
    void summary(double seconds, const std::vector<u64>& elsewhere) const;
    /// A long run that left rows out is no proof.
    bool complete(const std::vector<u64>& elsewhere) const;
    u64 failed() const { return judge_.counts().failed; }
    EmulatedSide& emulated() { return judge_.emulated(); }

 private:
    void failure(const TestCase& c, const std::string& what);
    std::string recipe(u64 number, const char* accel) const;
    bool ran(unsigned row, const std::vector<u64>& elsewhere) const {
        return judge_.runs()[row] || (row < elsewhere.size() && elsewhere[row]);
    }

    SessionOptions options_;
    Modes modes_;  // as asked for, or what this host can
    HostCpu host_;
    NativeWorker& worker_;
    CaseJudge judge_;
    Generator generator_;
};

}  // namespace shadowbox::compare
