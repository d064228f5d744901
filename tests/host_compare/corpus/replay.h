// SPDX-License-Identifier: MIT
// Compares the emulated side with a recorded corpus: 32-bit mode on hosts that give user programs no 32-bit
// code segment, or that are no x86 at all. Runs no code of a test on the host.
#pragma once

#include <string>
#include <vector>

#include "emulated_side.h"

namespace shadowbox::compare {

struct ReplayOptions {
    std::string path;
    Engine engine = Engine::kInterpreter;
    bool small_cache = false, verbose = false, avx = false;
    const char* name = nullptr;     ///< sequences that have this mnemonic
    const char* without = nullptr;  ///< as if the corpus had none that have this mnemonic (tests)
    i64 section = -1, entry = -1;   ///< only this one
    u64 max_failures = 5;
    bool whole() const { return !name && !avx && entry < 0; }
};

struct ReplayResult {
    int status =
        0;  ///< exit status: 1 if anything differed or a row has no entry, 2 for a bad file, 77: cannot
    std::vector<u64> runs;  ///< how often each row was compared
};

/// Prints what differs, then what was compared and what was not.
ReplayResult replay_corpus(const ReplayOptions& options);

/// The options that host_compare --replay and corpus_replay share: takes one with its value at `at`, false if
/// it is none.
bool take_replay_option(int count, char** arguments, int& at, ReplayOptions& options);
bool parse_engine(const std::string& text, Engine& engine);

}  // namespace shadowbox::compare
