// SPDX-License-Identifier: MIT
// TOML files that are no TOML: one line with the place, never the end of the process (found by tests/fuzz:
// toml++ asserted).
#include <catch2/catch.hpp>

#include "ui/options/toml_config.h"

using namespace shadowbox;

TEST_CASE(
    "toml: nonsense in a table header, and characters that toml++ takes for impossible, are errors with "
    "their line") {
    for (const char* text : {"\n[.a]", "\n[[.]]", "\n[=]", "\n[#]", "\n[{]", "\n[,]", "\nL\xCF\x87x",
                             "\n\xCF\x87 = 1", "\n[[vm]] \xC2\xA1"}) {
        Invocation invocation;
        auto loaded = load_toml_text(text, "/dir/a.toml", invocation);
        CAPTURE(text);
        REQUIRE_FALSE(loaded);
        CHECK(loaded.error().text().find("/dir/a.toml:2: ") == 0);
    }
}
