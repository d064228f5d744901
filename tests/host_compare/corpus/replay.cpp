// SPDX-License-Identifier: MIT
#include "corpus/replay.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "case_judge.h"
#include "corpus/corpus_entry.h"
#include "sequences/sequence.h"

namespace shadowbox::compare {

namespace {

const char* words_of(Engine engine) {
    return engine == Engine::kTranslator ? "the translator"
           : engine == Engine::kMixed    ? "interpreter and translator in turn"
                                         : "the interpreter";
}

/// Whether a sequence got as far as instruction `i`.
bool reached(const TestCase& c, const Outcome& recorded, unsigned i) {
    for (unsigned before = 0; before < i; ++before)
        if (recorded.end.rip == kCode + c.starts[before] && recorded.vector != 1) return false;
    return true;
}

class SectionReplay {
 public:
    SectionReplay(const ReplayOptions& options, const CorpusSection& section, unsigned number,
                  std::vector<bool>& has_entry)
        : options_(options),
          section_(section),
          number_(number),
          has_entry_(has_entry),
          judge_(
              options.engine, options.small_cache, section.low_page,
              [this](const TestCase& c, u64, const std::string& what, const Outcome& native,
                     const Outcome& emulated) {
                  fmt::print("\nDIFFERS (emulated != recorded):{}\n{}", what, report(c, native, emulated));
              },
              [this](u64 entry, const char* accel) { return again(entry, accel); }) {}

    /// False if the section is malformed.
    bool run() {
        return each_entry(section_, [this](u32 entry, TestCase& c, unsigned insns, Recorded& recorded) {
            bool asked = options_.entry < 0 || entry == options_.entry;
            if (asked && failed() < options_.max_failures)
                one(entry, c, insns, recorded);
            else
                ++not_asked_;
        });
    }

    u64 failed() const { return judge_.counts().failed + not_decoded_; }
    const std::vector<u64>& runs() const { return judge_.runs(); }

    void print() const {
        const Counts& n = judge_.counts();
        fmt::print("corpus section {}: {}, {} ({}): {} entries; {} compared with {}, {} differ\n", number_,
                   name_of(section_.source), section_.vendor, section_.cpu, section_.entries, n.compared,
                   words_of(options_.engine), failed());
        fmt::print("  {} of them again {}\n", n.again,
                   options_.engine == Engine::kMixed ? "with interpreter and translator taking turns"
                                                     : "in slices of random budgets");
        fmt::print("  skipped entries: {} need a feature that this host cannot emulate, ", no_feature_);
        fmt::print("{} have a row left out for that vendor, {} met a vendor difference, ", left_out_,
                   n.skipped_vendor);
        fmt::print("{} read flags now called undefined, {} not asked for or behind the last failure\n",
                   undefined_, not_asked_);
    }

 private:
    std::string again(u64 entry, const char* accel) const {
        return fmt::format("--replay {} --accel {} --entry {}:{}", options_.path, accel, number_, entry);
    }

    void one(u32 entry, TestCase& c, unsigned insns, Recorded& recorded) {
        // Features that this host lacks must not change what the bytes are called.
        if (insns && !find_rows(c, insns, cpu_model_v3())) {
            ++not_decoded_;
            c.insns = 0;  // disassembled as a program
            fmt::print("\nDIFFERS: {} instructions of the recording decode otherwise now\n{}  again: {}\n",
                       insns, disassemble(c), again(entry, judge_.accel()));
            return;
        }
        if (insns && !annotate_sequence(c, cpu_model_v3())) {
            ++undefined_;
            return;
        }
        bool asked = !options_.name && !options_.avx, feature = true, vendor = false;
        for (unsigned i = 0; i < c.insns; ++i) {
            const OpcodeRow& row = kOpcodeRows[c.row[i]];
            if (options_.without && named(row, options_.without)) return;
            asked = asked || (options_.name && named(row, options_.name)) || (options_.avx && is_avx(row));
            feature = feature && judge_.emulated().model().has(row.feature);
            vendor = vendor || !vendor_reason(row, section_.host).empty();
        }
        for (unsigned i = 0; i < c.insns && reached(c, recorded.outcome, i); ++i) has_entry_[c.row[i]] = true;
        if (!asked)
            ++not_asked_;
        else if (!feature)
            ++no_feature_;
        else if (vendor)
            ++left_out_;
        else
            judge_.judge_recorded(
                c, recorded.outcome, section_.host, entry, [&](Outcome& native, const Outcome& emulated) {
                    bool same =
                        recorded.memory_hashed && hash_of_image(emulated.image) == recorded.memory_hash;
                    if (same) memcpy(native.image, emulated.image, kImageSize);
                });
    }

    const ReplayOptions& options_;
    const CorpusSection& section_;
    unsigned number_;
    std::vector<bool>& has_entry_;
    CaseJudge judge_;
    u64 not_decoded_ = 0, undefined_ = 0, no_feature_ = 0, left_out_ = 0, not_asked_ = 0;
};

/// Every row that exists in 32-bit mode has an entry, or a reason why it has none. Prints both; true if so.
bool rows_complete(const Corpus& corpus, const std::vector<bool>& has_entry, bool verbose) {
    unsigned with = 0, system = 0, vendor = 0, feature = 0;
    std::string missing, reasons;
    for (unsigned n = 0; n < kOpcodeRowCount; ++n) {
        const OpcodeRow& row = kOpcodeRows[n];
        if (row.attributes & aO64) continue;
        if (has_entry[n]) {
            ++with;
            continue;
        }
        RowUse use = RowUse::kNoFeature;
        std::string reason;
        for (const CorpusSection& section : corpus.sections) {
            RowUse here = row_use(row, true, section.host);
            if (here == RowUse::kCompare || use == RowUse::kNoFeature) use = here;
            if (here == RowUse::kVendor) reason = vendor_reason(row, section.host);
        }
        if (use == RowUse::kSystem) ++system, reason = "system: unit and asm tests have it";
        if (use == RowUse::kVendor) ++vendor;
        if (use == RowUse::kNoFeature) ++feature, reason = "no recording CPU has it";
        if (use == RowUse::kCompare)
            missing += fmt::format(" {} ({:02x})", row.name, row.opcode);
        else
            reasons += fmt::format("  left out: {} ({:02x}): {}\n", row.name, row.opcode, reason);
    }
    fmt::print(
        "corpus: {} rows of 32-bit mode have entries; left out: {} system (unit and asm tests), {} "
        "vendor-specific (--list-skipped), {} that no recording CPU has\n",
        with, system, vendor, feature);
    if (verbose) fmt::print("{}", reasons);
    if (!missing.empty())
        fmt::print("corpus: rows of 32-bit mode without an entry; record again on a host that can:{}\n",
                   missing);
    return missing.empty();
}

}  // namespace

ReplayResult replay_corpus(const ReplayOptions& options) {
    ReplayResult result;
    result.runs.resize(kOpcodeRowCount);
#if !defined(__x86_64__)
    if (options.engine != Engine::kInterpreter) {
        fmt::print("corpus: there is no translator for this host; nothing compared\n");
        result.status = 77;
        return result;
    }
#endif
    Corpus corpus;
    std::string error = read_corpus(options.path, corpus);
    if (!error.empty()) {
        fmt::print(stderr, "{}\n", error);
        result.status = 2;
        return result;
    }
    auto start = std::chrono::steady_clock::now();
    std::vector<bool> has_entry(kOpcodeRowCount);
    u64 failed = 0;
    for (unsigned n = 0; n < corpus.sections.size(); ++n) {
        if (options.section >= 0 && n != options.section) continue;
        SectionReplay replay(options, corpus.sections[n], n, has_entry);
        if (!replay.run()) {
            fmt::print(stderr, "corpus {} is damaged: an entry of section {}\n", options.path, n);
            result.status = 2;
            return result;
        }
        replay.print();
        failed += replay.failed();
        for (unsigned row = 0; row < kOpcodeRowCount; ++row) result.runs[row] += replay.runs()[row];
    }
    bool complete = failed || !options.whole() || rows_complete(corpus, has_entry, options.verbose);
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    fmt::print("corpus: replayed in {:.1f} s\n", took.count());
    result.status = failed || !complete ? 1 : 0;
    return result;
}

bool parse_engine(const std::string& text, Engine& engine) {
    if (text != "interp" && text != "jit" && text != "mixed") return false;
    engine = text == "jit" ? Engine::kTranslator : text == "mixed" ? Engine::kMixed : Engine::kInterpreter;
    return true;
}

bool take_replay_option(int count, char** arguments, int& at, ReplayOptions& o) {
    std::string a = arguments[at];
    if (a == "--verbose") return o.verbose = true;
    if (a == "--avx") return o.avx = true;
    if (a == "--small-cache") return o.small_cache = true;
    if (at + 1 >= count) return false;
    const char* value = arguments[at + 1];
    if (a == "--replay") {
        o.path = value;
    } else if (a == "--accel") {
        if (!parse_engine(value, o.engine)) return false;
    } else if (a == "--name") {
        o.name = value;
    } else if (a == "--without") {
        o.without = value;
    } else if (a == "--max-failures") {
        o.max_failures = std::strtoull(value, nullptr, 0);
    } else if (a == "--entry") {
        char* colon = nullptr;
        o.section = std::strtoll(value, &colon, 0);
        if (*colon != ':') return false;
        o.entry = std::strtoll(colon + 1, nullptr, 0);
    } else {
        return false;
    }
    ++at;
    return true;
}

}  // namespace shadowbox::compare
