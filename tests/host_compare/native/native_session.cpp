// SPDX-License-Identifier: MIT
#include "native/native_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "native/minimiser.h"

namespace shadowbox::compare {

NativeSession::NativeSession(const SessionOptions& options, NativeWorker& worker, u16 selector32)
    : options_(options),
      modes_(selector32 ? options.modes : Modes::kOnly64),
      host_(HostCpu::here()),
      worker_(worker),
      judge_(
          options.engine, options.small_cache, worker.has_low_page(),
          [this](const TestCase& c, u64, const std::string& what, const Outcome&, const Outcome&) {
              failure(c, what);
          },
          [this](u64 number, const char* accel) { return recipe(number, accel); }),
      generator_(judge_.emulated().model(), host_, worker.has_low_page(), modes_, options.name, options.avx,
                 selector32) {}

void NativeSession::run() {
    Shared& shared = worker_.shared();
    for (u64 done = 0; done < options_.cases && failed() < options_.max_failures;) {
        unsigned batch = static_cast<unsigned>(std::min<u64>(kBatch, options_.cases - done));
        for (unsigned i = 0; i < batch; ++i)
            shared.cases[i] = generator_.make(options_.seed, options_.first + done + i);
        shared.count = batch;
        worker_.run();
        for (unsigned i = 0; i < batch && failed() < options_.max_failures; ++i) {
            u64 number = options_.first + done + i;
            if (options_.verbose && shared.outcomes[i].kind == Outcome::kEndless)
                fmt::print("endless on the host: case {}\n{}", number, disassemble(shared.cases[i]));
            judge_.judge(shared.cases[i], shared.outcomes[i], host_, number);
        }
        done += batch;
    }
}

void NativeSession::failure(const TestCase& c, const std::string& what) {
    static Outcome native, guest;
    Sides sides{worker_, judge_.emulated(), judge_.reference(), host_};
    // The worker's slot 0 is borrowed, with the outcomes of a batch that is still being judged in it.
    Shared& shared = worker_.shared();
    auto kept_outcome = std::make_unique<Outcome>(shared.outcomes[0]);
    TestCase kept_case = shared.cases[0];
    unsigned count = shared.count;
    TestCase small = minimise(c, sides);
    std::string again = run_once(small, sides, native, guest);
    fmt::print("\nDIFFERS (emulated != native):{}\n", what);
    fmt::print("  minimised:{}\n{}", again.empty() ? " (alone it agrees)" : again,
               again.empty() ? disassemble(small) : report(small, native, guest));
    shared.outcomes[0] = *kept_outcome;
    shared.cases[0] = kept_case;
    shared.count = count;
}

std::string NativeSession::recipe(u64 number, const char* accel) const {
    std::string text = fmt::format("host_compare --accel {} --seed {} --first {} --cases 1 --no-tables",
                                   accel, options_.seed, number);
    if (modes_ != Modes::kBoth) text += modes_ == Modes::kOnly64 ? " --mode 64" : " --mode 32";
    if (options_.name) text += fmt::format(" --name {}", options_.name);
    return text + (options_.avx ? " --avx" : "") + (options_.small_cache ? " --small-cache" : "");
}

void NativeSession::summary(double seconds, const std::vector<u64>& elsewhere) const {
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
        if (ran(n, elsewhere))
            ++compared;
        else if (!options_.name && (!options_.avx || is_avx(row)) && options_.cases >= 50000)
            missing += fmt::format(" {}", row.name);
    }
    const Counts& counts = judge_.counts();
    fmt::print("host_compare: {} sequences compared in {:.1f} s, {} differ; {} of {} rows ran{}\n",
               counts.compared, seconds, counts.failed, compared, in_scope,
               elsewhere.empty() ? "" : " here or in the corpus");
    const char* how = options_.engine == Engine::kMixed ? "with interpreter and translator taking turns"
                                                        : "in slices of random budgets";
    fmt::print("  {} of them again {}\n", counts.again, how);
    fmt::print(
        "  skipped sequences: {} made a system call, {} endless on the host, {} lost with a dead worker, "
        "{} met a vendor difference\n",
        counts.skipped_calls, counts.skipped_endless, counts.skipped_died, counts.skipped_vendor);
    fmt::print("  skipped after a wild jump: {} for a row left out, {} for an undefined flag that was read\n",
               counts.skipped_landed, counts.skipped_undefined);
    fmt::print("  rows not comparable here: {} system, {} without the host feature, {} vendor-specific{}\n",
               system, no_feature, vendor,
               worker_.has_low_page() ? "" : "; 16-bit addresses only with faults (no low page)");
    if (counts.skipped_shadow)
        fmt::print("  skipped sequences: {} reached the address sanitizer's own memory\n",
                   counts.skipped_shadow);
    if (!missing.empty()) fmt::print("  rows that never ran:{}\n", missing);
}

bool NativeSession::complete(const std::vector<u64>& elsewhere) const {
    bool asked_for_part = options_.name || options_.avx || options_.modes != Modes::kBoth;
    if (asked_for_part || options_.cases < 100000 || failed()) return true;
    for (unsigned n = 0; n < kOpcodeRowCount; ++n) {
        bool wanted = row_use(kOpcodeRows[n], false, host_) == RowUse::kCompare ||
                      row_use(kOpcodeRows[n], true, host_) == RowUse::kCompare;
        if (wanted && !ran(n, elsewhere)) return false;
    }
    return true;
}

}  // namespace shadowbox::compare
