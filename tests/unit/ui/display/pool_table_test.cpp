// SPDX-License-Identifier: MIT
// The pool's table in the lowest lines of a terminal: its width, and what a change of size does.
#include "ui/display/pool_table.h"

#include <catch2/catch.hpp>

using namespace shadowbox;

namespace {
const std::string kText = std::string(78, 'a') + "\n" + std::string(78, 'b') + "\n";
std::size_t count(const std::string& text, char c) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), c));
}
}  // namespace

TEST_CASE("pool table: lines are cut at the terminal's width") {
    PoolTableArea area;
    std::string wide = pool_table_at_bottom(kText, {24, 80}, area);
    CHECK(count(wide, 'a') == 78);
    CHECK(wide.find("\x1b[1;22r\x1b[23;1H") != std::string::npos);
    PoolTableArea narrow_area;
    std::string narrow = pool_table_at_bottom(kText, {24, 40}, narrow_area);
    CHECK(count(narrow, 'a') == 39);  // the last column would wrap
    CHECK(count(narrow, 'b') == 39);
}

TEST_CASE("pool table: after a change of size the old place scrolls and the new one does not") {
    PoolTableArea area;
    pool_table_at_bottom(kText, {24, 80}, area);
    std::string same = pool_table_at_bottom(kText, {24, 80}, area);
    CHECK(same.find("\x1b[r") == std::string::npos);
    std::string taller = pool_table_at_bottom(kText, {40, 80}, area);
    CHECK(taller.starts_with("\x1b[r\x1b[23;1H\x1b[J"));  // the old table goes
    CHECK(taller.find("\x1b[1;38r\x1b[39;1H") != std::string::npos);
    std::string lower = pool_table_at_bottom(kText, {20, 80}, area);
    CHECK(lower.starts_with("\x1b[r\x1b[20;1H"));
    CHECK(lower.find("\x1b[1;18r\x1b[19;1H") != std::string::npos);
    CHECK(area.lines == 2);
    CHECK(area.size == TerminalSize{20, 80});
}
