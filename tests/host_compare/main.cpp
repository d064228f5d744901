// SPDX-License-Identifier: MIT
// host_compare: random instruction sequences on the host CPU and on the emulated side, compared bit for bit.
//   host_compare [--cases N] [--seed N] [--first N] [--mode 64|32|both] [--name MNEMONIC | --avx]
//                [--max-failures N] [--no-tables] [--accel interp|jit|mixed] [--small-cache] [--verbose]
//                [--no-32bit-segments | --ldt-segment] [--corpus FILE]
//   host_compare --replay FILE [...]      32-bit mode against a recorded corpus; options as of corpus_replay
//   host_compare --record FILE [--seed N] [--record-bytes N]
//   host_compare --list-skipped
//   host_compare --coverage LOG README [--write]     (see coverage.sh)
// On a host without 32-bit code segments, or as if on one with --no-32bit-segments or SHADOWBOX_DENY_32BIT=1
// in the environment, 64-bit mode is compared with the host and 32-bit mode with the corpus of the repository
// (or --corpus). Exit status 1 if anything differed, 2 for wrong options or a bad corpus, 77 if nothing can
// be compared. See tests/host_compare/README.md.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "corpus/recording.h"
#include "corpus/replay.h"
#include "coverage.h"
#include "native/alu_tables.h"
#include "native/code_segments.h"
#include "native/native_session.h"

using namespace shadowbox;
using namespace shadowbox::compare;

namespace {

struct Options : SessionOptions {
    bool seed_given = false, tables = true, list_skipped = false;
    Deny32 deny32 = denied_by_environment();
    std::string corpus = HOST_COMPARE_CORPUS;
    RecordingOptions record;
    ReplayOptions replay;
};

int usage() {
    fmt::print(stderr, "host_compare: see the head of tests/host_compare/main.cpp for its options\n");
    return 2;
}

bool parse(int count, char** arguments, Options& o) {
    for (int i = 1; i < count; ++i) {
        std::string a = arguments[i];
        bool more = i + 1 < count, taken = true;
        auto number = [&] { return std::strtoull(arguments[++i], nullptr, 0); };
        if (a == "--no-tables") {
            o.tables = false;
        } else if (a == "--list-skipped") {
            o.list_skipped = true;
        } else if (a == "--no-32bit-segments") {
            o.deny32 = Deny32::kAll;
        } else if (a == "--ldt-segment") {
            if (o.deny32 == Deny32::kNone) o.deny32 = Deny32::kGdt;
        } else if (!more) {
            taken = false;
        } else if (a == "--cases") {
            o.cases = number();
        } else if (a == "--seed") {
            o.seed = number();
            o.seed_given = true;
        } else if (a == "--first") {
            o.first = number();
        } else if (a == "--corpus") {
            o.corpus = arguments[++i];
        } else if (a == "--record") {
            o.record.path = arguments[++i];
        } else if (a == "--record-bytes") {
            o.record.bytes = number();
        } else if (a == "--mode") {
            std::string mode = arguments[++i];
            if (mode != "64" && mode != "32" && mode != "both") return false;
            o.modes = mode == "64" ? Modes::kOnly64 : mode == "32" ? Modes::kOnly32 : Modes::kBoth;
        } else {
            taken = false;
        }
        if (!taken && !take_replay_option(count, arguments, i, o.replay)) return false;
    }
    // What both kinds of run know.
    o.engine = o.replay.engine;
    o.small_cache = o.replay.small_cache;
    o.verbose = o.replay.verbose;
    o.avx = o.replay.avx;
    o.name = o.replay.name;
    o.max_failures = o.replay.max_failures;
    if (!o.seed_given) {
        auto now = std::chrono::system_clock::now().time_since_epoch();
        o.seed = static_cast<u64>(now.count()) & 0xFFFFFFFF;
    }
    return true;
}

int record(Options& o, NativeWorker& worker) {
    Code32 code32 = find_code32(worker, o.deny32);
    if (code32.selector != kGdtCode32) {
        fmt::print(stderr, "host_compare: cannot record here: no 32-bit code segment of Linux's own ({})\n",
                   code32.how);
        return 2;
    }
    if (o.seed_given) o.record.seed = o.seed;
    return record_corpus(o.record, worker);
}

int compare_natively(Options& o, NativeWorker& worker) {
    fmt::print("host_compare: seed {}\n", o.seed);
    auto start = std::chrono::steady_clock::now();
    Code32 code32 = find_code32(worker, o.deny32);
    ReplayResult replayed;
    if (!code32.selector && o.modes != Modes::kOnly64) {
        fmt::print(
            "host_compare: skipped: 32-bit mode on this CPU, for there is no 32-bit code segment ({}); "
            "compared with the corpus instead\n",
            code32.how);
        o.replay.path = o.corpus;
        replayed = replay_corpus(o.replay);
        if (replayed.status > 1 || o.modes == Modes::kOnly32) return replayed.status;
    }
    NativeSession session(o, worker, code32.selector);
    u64 table_failures = o.tables ? compare_alu_tables(worker, session.emulated(), code32.selector) : 0;
    session.run();
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    session.summary(took.count(), replayed.runs);
    bool failed = session.failed() || table_failures || replayed.status;
    return failed || !session.complete(replayed.runs) ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
    Options options;
    if (count >= 4 && std::string(arguments[1]) == "--coverage")
        return coverage(arguments[2], arguments[3], count > 4);
    if (!parse(count, arguments, options)) return usage();
    if (options.list_skipped) {
        fmt::print("{}", vendor_table_text());
        return 0;
    }
    if (!options.replay.path.empty()) return replay_corpus(options.replay).status;
    NativeWorker worker;
    if (!worker.usable()) {
        fmt::print("host_compare: cannot start the native worker; nothing compared\n");
        return 77;
    }
    return options.record.path.empty() ? compare_natively(options, worker) : record(options, worker);
}
