// SPDX-License-Identifier: MIT
// Which rows of opcodes.def a test program executed, and in which test: appended to the file that the
// environment variable SB_ROW_LOG names, as "row number, space, test" lines. host_compare --coverage reads
// it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include "cpu/decode/opcode_row.h"

namespace shadowbox {

class RowLog {
 public:
    static RowLog& instance() {
        static RowLog log;
        return log;
    }
    bool on() const { return path_ != nullptr; }
    void note(unsigned row, const std::string& test) {
        if (path_ && row < kOpcodeRowCount) seen_.insert({row, test});
    }
    ~RowLog() {
        FILE* file = path_ ? std::fopen(path_, "a") : nullptr;
        if (!file) return;
        for (const auto& [row, test] : seen_) std::fprintf(file, "%u %s\n", row, test.c_str());
        std::fclose(file);
    }

 private:
    const char* path_ = std::getenv("SB_ROW_LOG");
    std::set<std::pair<unsigned, std::string>> seen_;
};

}  // namespace shadowbox
