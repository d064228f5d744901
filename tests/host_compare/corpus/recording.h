// SPDX-License-Identifier: MIT
// Records what this host's CPU makes of 32-bit sequences: for each row of the tables some of every form, then
// random sequences until the corpus is full.
#pragma once

#include <string>

#include "case_judge.h"
#include "native/native_worker.h"

namespace shadowbox::compare {

struct RecordingOptions {
    std::string path;
    u64 seed = 1;
    u64 bytes = 0;  ///< of this CPU's section; 0: kSectionBytes or what the others leave
};

/// Leaves room for another vendor's.
constexpr u64 kSectionBytes = 2u << 20;

/// Writes `path`, in which it replaces the section of its own vendor. The exit status: 1 if a recorded entry
/// differs from the emulated side (it is recorded all the same) or the file cannot be written, 2 if the file
/// that is there cannot be read.
int record_corpus(const RecordingOptions& options, NativeWorker& worker);

}  // namespace shadowbox::compare
