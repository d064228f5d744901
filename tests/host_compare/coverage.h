// SPDX-License-Identifier: MIT
// The coverage table of tests/host_compare/README.md: for each .def file, how many rows are compared with the
// host, how many others a unit or asm test executes, and which have none.
#pragma once

#include <string>

namespace shadowbox::compare {

/// `log` is what SB_ROW_LOG collected (tests/row_log.h). With `write` the table in `readme` is replaced, else
/// compared. Returns the exit status: 1 if a live row has no test, or the README's table is not this one.
int coverage(const std::string& log, const std::string& readme, bool write);

}  // namespace shadowbox::compare
