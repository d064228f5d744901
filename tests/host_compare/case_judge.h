// SPDX-License-Identifier: MIT
// Runs cases on the emulated side and weighs them against what a real CPU made of them, just now or when a
// corpus was recorded. Interpreted cases run again in slices, mixed ones with interpreter and translator in
// turn.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comparison.h"
#include "emulated_side.h"

namespace shadowbox::compare {

struct Counts {
    u64 compared = 0, skipped_calls = 0, skipped_endless = 0, skipped_died = 0, skipped_vendor = 0,
        skipped_landed = 0, skipped_undefined = 0, skipped_shadow = 0, failed = 0, again = 0;
};

class CaseJudge {
 public:
    /// What is printed when `emulated` differs from the CPU's `native`; `what` in words.
    using Report = std::function<void(const TestCase& c, u64 number, const std::string& what,
                                      const Outcome& native, const Outcome& emulated)>;
    /// How to see case `number` again, `accel` being --accel's value.
    using Recipe = std::function<std::string(u64 number, const char* accel)>;

    CaseJudge(Engine engine, bool small_cache, bool low_page, Report report, Recipe recipe);

    /// `native` is what this host's CPU made of `c`. After a wild jump only what is defined counts.
    void judge(const TestCase& c, const Outcome& native, const HostCpu& host, u64 number);
    /// `recorded` is from a corpus, which has no sequence that strayed: one that does now is wrong.
    /// `complete` may add to it what the corpus knows by a hash only.
    using Complete = std::function<void(Outcome& recorded, const Outcome& emulated)>;
    void judge_recorded(const TestCase& c, Outcome& recorded, const HostCpu& host, u64 number,
                        const Complete& complete);

    EmulatedSide& emulated() { return emulated_; }
    EmulatedSide& reference() { return reference_; }
    const Counts& counts() const { return counts_; }
    /// How often each row of the tables was compared.
    const std::vector<u64>& runs() const { return runs_; }
    const char* accel() const;

 private:
    void weigh(const TestCase& c, const Outcome& native, const Outcome& guest, const HostCpu& host,
               u64 number, const Judgement& judgement);
    void check_mixed(const TestCase& c, u64 number, const Outcome& whole);
    void check_slices(const TestCase& c, u64 number, const Outcome& whole);

    Engine engine_;
    bool small_cache_, low_page_;
    Report report_;
    Recipe recipe_;
    EmulatedSide emulated_, reference_;
    std::unique_ptr<EmulatedSide> mixed_;
    Counts counts_;
    std::vector<u64> runs_;
};

}  // namespace shadowbox::compare
