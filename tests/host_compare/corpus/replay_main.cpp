// SPDX-License-Identifier: MIT
// corpus_replay: what host_compare --replay does, linked without anything that runs on x86 only.
//   corpus_replay --replay FILE [--accel interp|jit|mixed] [--small-cache] [--name MNEMONIC | --avx] [--entry
//   SECTION:NUMBER]
//                 [--max-failures N] [--verbose] [--without MNEMONIC]
#include <fmt/format.h>

#include "corpus/replay.h"

using namespace shadowbox::compare;

int main(int count, char** arguments) {
    ReplayOptions options;
    for (int i = 1; i < count; ++i) {
        if (take_replay_option(count, arguments, i, options)) continue;
        fmt::print(stderr, "corpus_replay: cannot take '{}': see the head of replay_main.cpp\n",
                   arguments[i]);
        return 2;
    }
    if (options.path.empty()) {
        fmt::print(stderr, "corpus_replay: --replay FILE is missing\n");
        return 2;
    }
    return replay_corpus(options).status;
}
