// SPDX-License-Identifier: MIT
// One entry of a corpus: the bytes of a sequence, the number its start state derives from and what was
// changed in that state, and what the CPU changed. About 40 bytes before compression.
//
//   code    insns and flags:1 size:1 bytes
//   start   state seed:8, changes (registers, flags, x87 and vectors), patches of memory
//   end     vector:1 error, CR2 and RIP, changes, changed memory; of more than kMaxMemoryBytes only a hash
#pragma once

#include <functional>

#include "corpus/corpus_file.h"
#include "sequences/test_case.h"

namespace shadowbox::compare {

/// What a CPU made of a case.
struct Recorded {
    Outcome outcome;
    bool memory_hashed = false;  ///< outcome.image is not known, memory_hash is that of all its bytes
    u64 memory_hash = 0;
};

constexpr unsigned kMaxMemoryBytes = 64;
u64 hash_of_image(const u8* image);

/// Appends a case that ended in an exception. `derived`: its start came from derive_start_state; else it is
/// written out.
void append_entry(const TestCase& c, const Outcome& outcome, bool derived, CorpusSection& section);

/// Each entry in turn, without rows, starts and undefined flags (sequence.h); `insns` is how many it has.
/// False if the section is malformed.
bool each_entry(const CorpusSection& section,
                const std::function<void(u32 number, TestCase& c, unsigned insns, Recorded& recorded)>& use);

}  // namespace shadowbox::compare
