// SPDX-License-Identifier: MIT
// host_compare: random instruction sequences on the host CPU and in the interpreter, compared bit for bit.
//   host_compare [--cases N] [--seed N] [--first N] [--mode 64|32|both] [--name MNEMONIC | --avx]
//   [--max-failures N] [--no-tables]
//                [--accel interp|jit|mixed] [--small-cache] [--verbose] [--list-skipped]
//   host_compare --coverage LOG README [--write]     (see coverage.sh)
// Exit status 1 if anything differed. See tests/README.md.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "alu_tables.h"
#include "comparison.h"
#include "coverage.h"

using namespace shadowbox;
using namespace shadowbox::compare;

namespace {

struct Options {
    u64 cases = 100000, seed = 0, first = 0, max_failures = 5;
    bool seed_given = false, tables = true, verbose = false, avx = false, list_skipped = false,
         small_cache = false;
    Modes modes = Modes::kBoth;
    Engine engine = Engine::kInterpreter;
    const char* name = nullptr;
};

int usage() {
    fmt::print(stderr, "host_compare: see the head of tests/host_compare/main.cpp for its options\n");
    return 2;
}

bool parse(int count, char** arguments, Options& o) {
    for (int i = 1; i < count; ++i) {
        std::string a = arguments[i];
        bool more = i + 1 < count;
        auto number = [&] { return std::strtoull(arguments[++i], nullptr, 0); };
        if (a == "--no-tables")
            o.tables = false;
        else if (a == "--verbose")
            o.verbose = true;
        else if (a == "--avx")
            o.avx = true;
        else if (a == "--small-cache")
            o.small_cache = true;
        else if (a == "--list-skipped")
            o.list_skipped = true;
        else if (!more)
            return false;
        else if (a == "--cases")
            o.cases = number();
        else if (a == "--seed")
            o.seed = number(), o.seed_given = true;
        else if (a == "--first")
            o.first = number();
        else if (a == "--max-failures")
            o.max_failures = number();
        else if (a == "--name")
            o.name = arguments[++i];
        else if (a == "--accel") {
            std::string engine = arguments[++i];
            if (engine != "interp" && engine != "jit" && engine != "mixed") return false;
            o.engine = engine == "jit"     ? Engine::kTranslator
                       : engine == "mixed" ? Engine::kMixed
                                           : Engine::kInterpreter;
        } else if (a == "--mode") {
            std::string mode = arguments[++i];
            o.modes = mode == "64" ? Modes::kOnly64 : mode == "32" ? Modes::kOnly32 : Modes::kBoth;
        } else {
            return false;
        }
    }
    return true;
}

/// Under ASan a part of the worker's address space that should fault does not (Linux on x86-64: its shadow).
bool in_sanitizer_shadow([[maybe_unused]] const Outcome& guest) {
#if defined(SHADOWBOX_SANITIZED)
    return guest.kind == Outcome::kException && guest.vector == 14 && guest.cr2 >= 0x7FFF7000 &&
           guest.cr2 < 0x1000'7FFF'8000;
#else
    return false;
#endif
}

struct Counts {
    u64 compared = 0, skipped_calls = 0, skipped_endless = 0, skipped_died = 0, skipped_vendor = 0,
        skipped_landed = 0, skipped_undefined = 0, skipped_shadow = 0, failed = 0, sliced = 0;
};

class Session {
 public:
    explicit Session(const Options& options)
        : options_(options),
          emulated_(low_page(),
                    options.engine == Engine::kTranslator ? Engine::kTranslator : Engine::kInterpreter,
                    options.small_cache),
          reference_(low_page()),
          generator_(emulated_.model(), host_, worker_.has_low_page(), options.modes, options.name,
                     options.avx),
          runs_(kOpcodeRowCount) {}

    bool usable() const { return worker_.usable(); }
    bool low_page() const { return worker_.usable() && worker_.has_low_page(); }
    NativeWorker& worker() { return worker_; }
    EmulatedSide& emulated() { return emulated_; }

    void run() {
        Shared& shared = worker_.shared();
        for (u64 done = 0; done < options_.cases && counts_.failed < options_.max_failures;) {
            unsigned batch = static_cast<unsigned>(std::min<u64>(kBatch, options_.cases - done));
            for (unsigned i = 0; i < batch; ++i)
                shared.cases[i] = generator_.make(options_.seed, options_.first + done + i);
            shared.count = batch;
            worker_.run();
            for (unsigned i = 0; i < batch && counts_.failed < options_.max_failures; ++i)
                judge(shared.cases[i], shared.outcomes[i], options_.first + done + i);
            done += batch;
        }
    }

    void summary(double seconds) const {
        unsigned in_scope = 0, compared = 0, system = 0, no_feature = 0, vendor = 0;
        std::string missing;
        for (unsigned n = 0; n < kOpcodeRowCount; ++n) {
            const OpcodeRow& row = kOpcodeRows[n];
            RowUse use = row_use(row, false, host_);
            if (use != RowUse::kCompare) {
                RowUse other = row_use(row, true, host_);
                if (use == RowUse::kOtherMode || other == RowUse::kCompare) use = other;
            }
            if (use == RowUse::kSystem) ++system;
            if (use == RowUse::kNoFeature) ++no_feature;
            if (use == RowUse::kVendor) ++vendor;
            if (use != RowUse::kCompare) continue;
            ++in_scope;
            if (runs_[n])
                ++compared;
            else if (!options_.name && (!options_.avx || is_avx(row)) && options_.cases >= 50000)
                missing += fmt::format(" {}", row.name);
        }
        fmt::print("host_compare: {} sequences compared in {:.1f} s, {} differ; {} of {} rows ran\n",
                   counts_.compared, seconds, counts_.failed, compared, in_scope);
        const char* how = options_.engine == Engine::kMixed ? "with interpreter and translator taking turns"
                                                            : "in slices of random budgets";
        fmt::print("  {} of them again {}\n", counts_.sliced, how);
        fmt::print(
            "  skipped sequences: {} made a system call, {} endless on the host, {} lost with a dead worker, "
            "{} met a vendor difference\n",
            counts_.skipped_calls, counts_.skipped_endless, counts_.skipped_died, counts_.skipped_vendor);
        fmt::print(
            "  skipped after a wild jump: {} for a row left out, {} for an undefined flag that was read\n",
            counts_.skipped_landed, counts_.skipped_undefined);
        fmt::print(
            "  rows not comparable here: {} system, {} without the host feature, {} vendor-specific{}\n",
            system, no_feature, vendor,
            worker_.has_low_page() ? "" : "; 16-bit addresses only with faults (no low page)");
        if (counts_.skipped_shadow)
            fmt::print("  skipped sequences: {} reached the address sanitizer's own memory\n",
                       counts_.skipped_shadow);
        if (!missing.empty()) fmt::print("  rows that never ran:{}\n", missing);
    }
    /// A long run that left rows out is no proof.
    bool complete() const {
        if (options_.name || options_.avx || options_.modes != Modes::kBoth || options_.cases < 100000 ||
            counts_.failed)
            return true;
        for (unsigned n = 0; n < kOpcodeRowCount; ++n) {
            bool wanted = row_use(kOpcodeRows[n], false, host_) == RowUse::kCompare ||
                          row_use(kOpcodeRows[n], true, host_) == RowUse::kCompare;
            if (wanted && !runs_[n]) return false;
        }
        return true;
    }
    u64 failed() const { return counts_.failed; }

 private:
    void judge(const TestCase& c, const Outcome& native, u64 number) {
        static Outcome guest, sliced;
        if (native.kind == Outcome::kException || options_.engine != Engine::kTranslator)
            emulated_.run(c, guest);
        if (in_sanitizer_shadow(guest)) {
            ++counts_.skipped_shadow;
            return;
        }
        switch (native.kind) {
            case Outcome::kSystemCall: ++counts_.skipped_calls; return;
            case Outcome::kEndless:
                ++counts_.skipped_endless;
                if (options_.verbose) fmt::print("endless on the host: case {}\n{}", number, disassemble(c));
                return;
            case Outcome::kException: break;
            default: ++counts_.skipped_died; return;
        }
        Judgement judgement = compare::judge(c, native, guest, sides_);
        if (!judgement.what.empty() && excused(c, native, guest, host_)) {
            ++counts_.skipped_vendor;
            return;
        }
        switch (judgement.skip) {
            case Judgement::kLandedOnRowLeftOut: ++counts_.skipped_landed; return;
            case Judgement::kReadUndefined: ++counts_.skipped_undefined; return;
            case Judgement::kNone: break;
        }
        ++counts_.compared;
        for (unsigned i = 0; i < c.insns; ++i) {
            ++runs_[c.row[i]];
            if (native.end.rip == kCode + c.starts[i] && native.vector != 1) break;
        }
        if (!judgement.what.empty()) return failure(c, number, judgement.what);
        if (options_.engine == Engine::kMixed)
            check_mixed(c, number, guest, sliced);
        else if (options_.engine == Engine::kInterpreter && number % 4 == 0)
            check_slices(c, number, guest, sliced);
    }

    /// `whole` is the interpreter's. Every flag and the count must be the same, also where the manual leaves
    /// them undefined.
    void check_mixed(const TestCase& c, u64 number, const Outcome& whole, Outcome& mixed) {
        if (!mixed_)
            mixed_ = std::make_unique<EmulatedSide>(low_page(), Engine::kMixed, options_.small_cache);
        ++counts_.sliced;
        mixed_->run_mixed(c, mixed, number);
        std::string what = engine_difference(c, whole, mixed);
        if (mixed_->retired() != emulated_.retired())
            what += fmt::format(" retired {} != {}", mixed_->retired(), emulated_.retired());
        if (what.empty()) return;
        ++counts_.failed;
        fmt::print(
            "\nDIFFERS when interpreter and translator take turns:{}\n{}  replay: host_compare --accel mixed "
            "--seed {} --first {} --cases 1 --no-tables\n",
            what, report(c, whole, mixed), options_.seed, number);
    }

    /// The same run in slices must give the same end and the same retired count.
    void check_slices(const TestCase& c, u64 number, const Outcome& whole, Outcome& sliced) {
        u64 retired = emulated_.retired();
        ++counts_.sliced;
        emulated_.run(c, sliced, static_cast<i64>(1 + number / 4 % 3));
        std::string what = difference(c, whole, sliced);
        if (emulated_.retired() != retired)
            what += fmt::format(" retired {} != {}", emulated_.retired(), retired);
        if (what.empty()) return;
        ++counts_.failed;
        fmt::print(
            "\nDIFFERS when run in slices of {}:{}\n{}  replay: host_compare --seed {} --first {} --cases 1 "
            "--no-tables\n",
            1 + number / 4 % 3, what, report(c, whole, sliced), options_.seed, number);
    }

    void failure(const TestCase& c, u64 number, const std::string& what) {
        ++counts_.failed;
        static Outcome native, guest;
        TestCase small = minimise(c, sides_, generator_);
        std::string again = run_once(small, sides_, native, guest);
        fmt::print("\nDIFFERS (emulated != native):{}\n", what);
        fmt::print("  minimised:{}\n{}", again.empty() ? " (alone it agrees)" : again,
                   again.empty() ? disassemble(c) : report(small, native, guest));
        fmt::print("  replay: host_compare --accel {} --seed {} --first {} --cases 1 --no-tables\n",
                   options_.engine == Engine::kTranslator ? "jit" : "interp", options_.seed, number);
        fflush(stdout);
    }

    Options options_;
    HostCpu host_;
    NativeWorker worker_;
    EmulatedSide emulated_, reference_;
    Sides sides_{worker_, emulated_, reference_, host_};
    std::unique_ptr<EmulatedSide> mixed_;
    Generator generator_;
    Counts counts_;
    std::vector<u64> runs_;
};

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
    if (!options.seed_given)
        options.seed =
            static_cast<u64>(std::chrono::system_clock::now().time_since_epoch().count()) & 0xFFFFFFFF;
    fmt::print("host_compare: seed {}\n", options.seed);
    auto start = std::chrono::steady_clock::now();
    Session session(options);
    if (!session.usable()) {
        fmt::print("host_compare: cannot start the native worker; nothing compared\n");
        return 77;
    }
    u64 table_failures = options.tables ? compare_alu_tables(session.worker(), session.emulated()) : 0;
    session.run();
    session.summary(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return session.failed() || table_failures || !session.complete() ? 1 : 0;
}
