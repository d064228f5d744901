// SPDX-License-Identifier: MIT
#include "case_judge.h"

#include <fmt/format.h>

namespace shadowbox::compare {

namespace {

/// Under ASan a part of the worker's address space that should fault does not (Linux on x86-64: its shadow).
bool in_sanitizer_shadow([[maybe_unused]] const Outcome& guest) {
#if defined(SHADOWBOX_SANITIZED)
    return guest.kind == Outcome::kException && guest.vector == 14 && guest.cr2 >= 0x7FFF7000 &&
           guest.cr2 < 0x1000'7FFF'8000;
#else
    return false;
#endif
}

}  // namespace

CaseJudge::CaseJudge(Engine engine, bool small_cache, bool low_page, Report report, Recipe recipe)
    : engine_(engine),
      small_cache_(small_cache),
      low_page_(low_page),
      report_(std::move(report)),
      recipe_(std::move(recipe)),
      emulated_(low_page, engine == Engine::kTranslator ? Engine::kTranslator : Engine::kInterpreter,
                small_cache),
      reference_(low_page),
      runs_(kOpcodeRowCount) {}

const char* CaseJudge::accel() const {
    return engine_ == Engine::kTranslator ? "jit" : engine_ == Engine::kMixed ? "mixed" : "interp";
}

void CaseJudge::judge(const TestCase& c, const Outcome& native, const HostCpu& host, u64 number) {
    static Outcome guest;
    if (native.kind == Outcome::kException || engine_ != Engine::kTranslator) emulated_.run(c, guest);
    if (in_sanitizer_shadow(guest)) {
        ++counts_.skipped_shadow;
        return;
    }
    switch (native.kind) {
        case Outcome::kSystemCall: ++counts_.skipped_calls; return;
        case Outcome::kEndless: ++counts_.skipped_endless; return;
        case Outcome::kException: break;
        default: ++counts_.skipped_died; return;
    }
    weigh(c, native, guest, host, number, compare::judge(c, native, guest, reference_, host));
}

void CaseJudge::judge_recorded(const TestCase& c, Outcome& recorded, const HostCpu& host, u64 number,
                               const Complete& complete) {
    static Outcome guest;
    emulated_.run(c, guest);
    complete(recorded, guest);
    weigh(c, recorded, guest, host, number, {Judgement::kNone, difference(c, recorded, guest)});
}

void CaseJudge::weigh(const TestCase& c, const Outcome& native, const Outcome& guest, const HostCpu& host,
                      u64 number, const Judgement& judgement) {
    if (!judgement.what.empty() && excused(c, native, guest, host)) {
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
    if (!judgement.what.empty()) {
        ++counts_.failed;
        report_(c, number, judgement.what, native, guest);
        fmt::print("  again: {}\n", recipe_(number, accel()));
        fflush(stdout);
        return;
    }
    if (c.long_code) return;
    if (engine_ == Engine::kMixed)
        check_mixed(c, number, guest);
    else if (engine_ == Engine::kInterpreter && number % 4 == 0)
        check_slices(c, number, guest);
}

/// `whole` is the interpreter's. Every flag and the count must be the same, also where the manual leaves them
/// undefined.
void CaseJudge::check_mixed(const TestCase& c, u64 number, const Outcome& whole) {
    static Outcome mixed;
    if (!mixed_) mixed_ = std::make_unique<EmulatedSide>(low_page_, Engine::kMixed, small_cache_);
    ++counts_.again;
    mixed_->run_mixed(c, mixed, number);
    std::string what = engine_difference(c, whole, mixed);
    if (mixed_->retired() != emulated_.retired())
        what += fmt::format(" retired {} != {}", mixed_->retired(), emulated_.retired());
    if (what.empty()) return;
    ++counts_.failed;
    fmt::print("\nDIFFERS when interpreter and translator take turns:{}\n{}  again: {}\n", what,
               report(c, whole, mixed), recipe_(number, accel()));
}

/// The same run in slices must give the same end and the same retired count.
void CaseJudge::check_slices(const TestCase& c, u64 number, const Outcome& whole) {
    static Outcome sliced;
    u64 retired = emulated_.retired();
    ++counts_.again;
    emulated_.run(c, sliced, static_cast<i64>(1 + number / 4 % 3));
    std::string what = difference(c, whole, sliced);
    if (emulated_.retired() != retired)
        what += fmt::format(" retired {} != {}", emulated_.retired(), retired);
    if (what.empty()) return;
    ++counts_.failed;
    fmt::print("\nDIFFERS when run in slices of {}:{}\n{}  again: {}\n", 1 + number / 4 % 3, what,
               report(c, whole, sliced), recipe_(number, accel()));
}

}  // namespace shadowbox::compare
