// SPDX-License-Identifier: MIT
#include "native/minimiser.h"

#include <cstring>

#include "comparison.h"
#include "sequences/sequence.h"

namespace shadowbox::compare {

std::string run_once(const TestCase& c, const Sides& sides, Outcome& native, Outcome& guest) {
    sides.worker.shared().cases[0] = c;
    sides.worker.shared().count = 1;
    sides.worker.run();
    native = sides.worker.shared().outcomes[0];
    sides.emulated.run(c, guest);
    if (native.kind != Outcome::kException) return "";
    Judgement judgement = judge(c, native, guest, sides.reference, sides.host);
    return judgement.skip ? "" : judgement.what;
}

TestCase minimise(const TestCase& start, const Sides& sides) {
    static Outcome native, guest;
    TestCase best = start;
    auto keep = [&](const TestCase& tried) {
        if (run_once(tried, sides, native, guest).empty()) return false;
        best = tried;
        return true;
    };
    for (bool smaller = true; smaller && best.insns > 1;) {
        smaller = false;
        for (unsigned drop = 0; drop < best.insns && !smaller; ++drop) {
            TestCase tried = best;
            unsigned from = best.starts[drop] - best.code_offset,
                     to = best.starts[drop + 1] - best.code_offset;
            memmove(tried.code + from, tried.code + to, tried.code_size - to);
            tried.code_size -= to - from;
            for (unsigned i = drop; i + 1 < tried.insns; ++i) tried.row[i] = tried.row[i + 1];
            --tried.insns;
            smaller = annotate_sequence(tried, sides.emulated.model()) && keep(tried);
        }
    }
    for (unsigned i = 0; i < 16; ++i) {
        TestCase tried = best;
        tried.start.gpr[i] = 0;
        if (best.start.gpr[i] && annotate_sequence(tried, sides.emulated.model())) keep(tried);
    }
    for (unsigned i = 0; i < 16; ++i) {
        TestCase tried = best;
        memset(tried.start.fx + 160 + 16 * i, 0, 16);
        keep(tried);
        tried = best;
        memset(tried.start.ymm_high + 16 * i, 0, 16);
        keep(tried);
    }
    TestCase tried = best;
    tried.start.flags = 0x202;
    keep(tried);
    tried = best;
    tried.patches = 0;
    keep(tried);
    tried = best;
    u16 control = 0x37F;
    memset(tried.start.fx + 2, 0, 3);
    memcpy(tried.start.fx, &control, 2);
    keep(tried);
    return best;
}

}  // namespace shadowbox::compare
