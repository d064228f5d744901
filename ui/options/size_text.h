// SPDX-License-Identifier: MIT
// Numbers and sizes as people write them on the command line and in TOML files.
#pragma once

#include <string_view>

#include "core/error.h"
#include "core/integers.h"

namespace shadowbox {

/// "256M", "2G", "64K", "1T" (also MB, MiB, lower case); a plain number counts in `unit` bytes.
Expected<u64> parse_size(std::string_view text, u64 unit);
/// Decimal, or hexadecimal with 0x; at most `largest`.
Expected<u64> parse_number(std::string_view text, u64 largest = ~u64{0});
/// on, off, yes, no, true, false.
Expected<bool> parse_switch(std::string_view text);
/// "1.5 GiB", "640 KiB".
std::string size_text(u64 bytes);

}  // namespace shadowbox
