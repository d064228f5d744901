// SPDX-License-Identifier: MIT
#include "wild_path.h"

#include <algorithm>

#include "sequences/flag_effects.h"

namespace shadowbox::compare {

WildPath wild_path(const TestCase& c, const std::vector<ExecutedInsn>& executed, u64 end,
                   const HostCpu& host) {
    auto has_start = [&c](u64 rip) {
        return std::find(c.starts, c.starts + c.insns, rip - kCode) != c.starts + c.insns;
    };
    auto has_row = [&c](u16 row) { return std::find(c.row, c.row + c.insns, row) != c.row + c.insns; };
    WildPath path;
    for (const ExecutedInsn& step : executed) {
        const OpcodeRow& row = kOpcodeRows[step.insn.row];
        FlagEffects effects = flag_effects(row, step.insn, step.cl);
        if (!has_start(step.rip)) {
            path.left_sequence = true;
            path.left_out |= effects.undefined_result ||
                             (!has_row(step.insn.row) && row_use(row, c.mode32, host) != RowUse::kCompare);
        }
        path.read_undefined |= (effects.reads & path.undefined) != 0;
        bool faulted = &step == &executed.back() && step.rip == end;
        if (!faulted) path.undefined = (path.undefined & ~effects.defines) | effects.undefined;
    }
    return path;
}

}  // namespace shadowbox::compare
