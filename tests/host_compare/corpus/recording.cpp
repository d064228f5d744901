// SPDX-License-Identifier: MIT
#include "corpus/recording.h"

#include <cpuid.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include "corpus/corpus_entry.h"
#include "cpu/decode/decoder.h"
#include "native/alu_tables.h"
#include "sequences/generator.h"
#include "sequences/sequence.h"

namespace shadowbox::compare {

namespace {

constexpr unsigned kTriesARow = 3000, kKeptAForm = 3, kMinKeptARow = 8, kMaxKeptARow = 40;
/// What all rows cost when one entry of each is kept (measured), and the tables.
constexpr u64 kBytesOfARound = 30000, kBytesOfTables = 20000;
/// Between two looks at how much is packed already.
constexpr unsigned kMixedStep = 4096;

/// What tells two entries of one row apart: sizes, prefixes, registers or memory, and how it ended.
using Form = std::tuple<unsigned, u8, bool>;

Form form_of(const TestCase& c, const Outcome& outcome, const CpuModel& model) {
    u8 padded[16];
    memset(padded, 0x90, sizeof padded);
    memcpy(padded, c.code, std::min<unsigned>(c.code_size, 16));
    Insn i;
    decode_insn({sequence_mode(true), c.start.rip, &model}, padded, 16, i);
    unsigned shape = i.osize | i.asize << 2 | i.mem << 4 | i.lock << 5 | i.rep << 6 | i.vex_l << 8 |
                     (i.index != kNoRegister) << 9 | (i.rm == kNoRegister) << 10 | (i.seg > kDs) << 11;
    return {shape, outcome.vector, outcome.end.rip == c.start.rip};
}

std::string vendor_name() {
    unsigned a, word[3] = {};
    __get_cpuid(0, &a, &word[0], &word[2], &word[1]);
    return {reinterpret_cast<const char*>(word), 12};
}

std::string cpu_name() {
    char text[49] = {};
    for (unsigned leaf = 0; leaf < 3; ++leaf) {
        unsigned word[4] = {};
        __get_cpuid(0x80000002 + leaf, &word[0], &word[1], &word[2], &word[3]);
        memcpy(text + 16 * leaf, word, 16);
    }
    unsigned signature = 0, b, c, d;
    __get_cpuid(1, &signature, &b, &c, &d);
    std::string name = text;
    while (!name.empty() && name.back() == ' ') name.pop_back();
    unsigned family = (signature >> 8 & 15) + (signature >> 20 & 255);
    unsigned model = (signature >> 4 & 15) | (signature >> 12 & 0xF0);
    return fmt::format("{}, family {:x}H model {:x}H", name, family, model);
}

class Recorder {
 public:
    Recorder(NativeWorker& worker, u64 seed)
        : worker_(worker),
          host_(HostCpu::here()),
          interpreter_(worker.has_low_page()),
          seed_(seed),
          generator_(interpreter_.model(), host_, worker.has_low_page(), Modes::kOnly32, nullptr) {
        section_.vendor = vendor_name();
        section_.cpu = cpu_name();
        section_.host = host_;
        section_.low_page = worker.has_low_page();
    }

    void tables() {
        for (const TestCase& c : alu_table_programs32()) {
            worker_.shared().cases[0] = c;
            worker_.shared().count = 1;
            worker_.run();
            take(c, worker_.shared().outcomes[0], false);
        }
    }

    /// Some of every form of each row, one instruction each; as many as `bytes` hold.
    void rows(u64 bytes) {
        u64 rounds = (bytes - std::min(bytes, kBytesOfTables)) / kBytesOfARound;
        kept_a_row_ = static_cast<unsigned>(std::clamp<u64>(rounds, kMinKeptARow, kMaxKeptARow));
        for (unsigned n = 0; n < kOpcodeRowCount; ++n) {
            const OpcodeRow& row = kOpcodeRows[n];
            if (row_use(row, true, host_) != RowUse::kCompare || !interpreter_.model().has(row.feature))
                continue;
            Generator generator = generator_;
            generator.restrict_to(static_cast<u16>(n));
            one_row(n, generator);
        }
    }

    /// Random sequences, until the section has this size.
    void mixed(u64 bytes) {
        while (packed_size(section_) < bytes) {
            for (unsigned i = 0; i < kMixedStep; i += kBatch) {
                std::vector<TestCase> cases;
                while (cases.size() < kBatch) {
                    TestCase c = generator_.make(seed_, next_++);
                    if (c.insns > 1) cases.push_back(c);
                }
                run(cases, [this](const TestCase& c, const Outcome& o) { take(c, o, true); });
            }
        }
    }

    CorpusSection& section() { return section_; }
    u64 differ() const { return differ_; }
    void print() const {
        fmt::print(
            "recorded: {} entries of {} ({}), {} bytes; left out: {} where the vendors differ, {} after a "
            "wild "
            "jump, {} that did not end in an exception; {} differ from the emulated side\n",
            section_.entries, section_.vendor, section_.cpu, packed_size(section_), excused_, wild_, no_end_,
            differ_);
    }

 private:
    void run(const std::vector<TestCase>& cases,
             const std::function<void(const TestCase&, const Outcome&)>& use) {
        Shared& shared = worker_.shared();
        for (std::size_t first = 0; first < cases.size(); first += kBatch) {
            shared.count = static_cast<unsigned>(std::min<std::size_t>(kBatch, cases.size() - first));
            std::copy_n(cases.begin() + static_cast<std::ptrdiff_t>(first), shared.count, shared.cases);
            worker_.run();
            for (unsigned i = 0; i < shared.count; ++i) use(shared.cases[i], shared.outcomes[i]);
        }
    }

    void one_row(unsigned row, Generator& generator) {
        std::vector<TestCase> tries;
        for (u64 n = 0; tries.size() < kTriesARow && n < 4 * kTriesARow; ++n) {
            TestCase c = generator.make(seed_ + row, n);
            if (c.insns == 1) tries.push_back(c);
        }
        std::map<Form, std::vector<TestCase>> forms;
        run(tries, [&](const TestCase& c, const Outcome& o) {
            auto& kept = forms[form_of(c, o, interpreter_.model())];
            if (o.kind == Outcome::kException && kept.size() < kept_a_row_) kept.push_back(c);
        });
        // One of each form, then another of each; those that complete get what is left.
        std::vector<TestCase> chosen;
        for (unsigned round = 0; round < kept_a_row_; ++round) {
            for (const auto& [form, kept] : forms) {
                bool faulted = std::get<2>(form);
                if (chosen.size() < kept_a_row_ && round < kept.size() && (round < kKeptAForm || !faulted))
                    chosen.push_back(kept[round]);
            }
        }
        run(chosen, [this](const TestCase& c, const Outcome& o) { take(c, o, true); });
    }

    /// Whether it ran an instruction that the sequence does not list, other than the HLT all around it.
    bool strayed(const TestCase& c) {
        for (const ExecutedInsn& step : interpreter_.executed(c)) {
            bool listed = std::find(c.starts, c.starts + c.insns, step.rip - kCode) != c.starts + c.insns;
            if (!listed && !named(kOpcodeRows[step.insn.row], "hlt")) return true;
        }
        return false;
    }

    void take(const TestCase& c, const Outcome& native, bool derived) {
        static Outcome guest;
        if (native.kind != Outcome::kException) {
            ++no_end_;
            return;
        }
        interpreter_.run(c, guest);
        std::string what = difference(c, native, guest);
        if (!what.empty() && excused(c, native, guest, host_)) {
            ++excused_;
            return;
        }
        if (!c.long_code && strayed(c)) {
            ++wild_;
            return;
        }
        if (!what.empty() && ++differ_ <= 5)
            fmt::print("\nDIFFERS (emulated != native), recorded as the CPU has it:{}\n{}", what,
                       report(c, native, guest));
        append_entry(c, native, derived, section_);
    }

    NativeWorker& worker_;
    HostCpu host_;
    EmulatedSide interpreter_;
    u64 seed_, next_ = 0;
    unsigned kept_a_row_ = kMaxKeptARow;
    Generator generator_;
    CorpusSection section_;
    u64 excused_ = 0, wild_ = 0, no_end_ = 0, differ_ = 0;
};

}  // namespace

int record_corpus(const RecordingOptions& options, NativeWorker& worker) {
    Corpus corpus;
    if (access(options.path.c_str(), F_OK) == 0) {
        std::string error = read_corpus(options.path, corpus);
        if (!error.empty()) {
            fmt::print(stderr, "{}; remove it to record anew\n", error);
            return 2;
        }
    }
    Recorder recorder(worker, options.seed);
    u64 others = 0;
    for (const CorpusSection& s : corpus.sections)
        if (s.vendor != recorder.section().vendor || s.source != CorpusSource::kRealCpu)
            others += packed_size(s);
    constexpr u64 kSlack = 64 << 10;  // what one step may overshoot
    u64 room = kCorpusMaxBytes - std::min<u64>(kCorpusMaxBytes, others + 4 * kSlack);
    u64 bytes = std::min(room, options.bytes ? options.bytes : kSectionBytes);
    recorder.tables();
    recorder.rows(bytes);
    recorder.print();
    recorder.mixed(bytes);
    recorder.print();
    corpus.merge(std::move(recorder.section()));
    std::string error = write_corpus(options.path, corpus);
    if (!error.empty()) fmt::print(stderr, "{}\n", error);
    return error.empty() && !recorder.differ() ? 0 : 1;
}

}  // namespace shadowbox::compare
