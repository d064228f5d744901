// SPDX-License-Identifier: MIT
#include "ui/options/size_text.h"

#include <charconv>

namespace shadowbox {

namespace {

/// Shift of a unit's letters, -1 if there is no such unit.
int unit_shift(std::string_view unit) {
    if (unit.empty()) return -1;
    static constexpr std::string_view kLetters = "KMGT";
    std::size_t at = kLetters.find(static_cast<char>(unit[0] & ~0x20));
    std::string_view rest = unit.substr(1);
    if (at == std::string_view::npos || !(rest.empty() || rest == "B" || rest == "b" || rest == "iB"))
        return -1;
    return 10 * (static_cast<int>(at) + 1);
}

}  // namespace

Expected<u64> parse_number(std::string_view text, u64 largest) {
    std::string_view digits = text;
    int radix = 10;
    if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2), radix = 16;
    u64 value = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, radix);
    if (error == std::errc::result_out_of_range ||
        (error == std::errc() && end == digits.data() + digits.size() && value > largest))
        return make_error(ErrorCode::kInvalidArgument, "'{}' is too large, the largest value is {}", text,
                          largest);
    if (error != std::errc() || end != digits.data() + digits.size() || digits.empty())
        return make_error(ErrorCode::kInvalidArgument, "'{}' is not a number", text);
    return value;
}

Expected<u64> parse_size(std::string_view text, u64 unit) {
    std::size_t digits = text.find_first_not_of("0123456789");
    u64 scale = unit;
    std::string_view number = text;
    if (digits != std::string_view::npos && !text.starts_with("0x")) {
        int shift = unit_shift(text.substr(digits));
        if (digits == 0 || shift < 0)
            return make_error(ErrorCode::kInvalidArgument, "'{}' is not a size: write 256M or 2G", text);
        number = text.substr(0, digits);
        scale = u64{1} << shift;
    }
    auto value = parse_number(number);
    if (!value || *value > ~u64{0} / scale)
        return make_error(ErrorCode::kInvalidArgument, "'{}' is not a size: write 256M or 2G", text);
    return *value * scale;
}

Expected<bool> parse_switch(std::string_view text) {
    if (text == "on" || text == "yes" || text == "true") return true;
    if (text == "off" || text == "no" || text == "false") return false;
    return make_error(ErrorCode::kInvalidArgument, "'{}' is neither on nor off", text);
}

std::string size_text(u64 bytes) {
    static constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    double value = static_cast<double>(bytes);
    while (value >= 1024 && unit < 4) value /= 1024, ++unit;
    return value == static_cast<double>(static_cast<u64>(value))
               ? fmt::format("{:.0f} {}", value, kUnits[unit])
               : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace shadowbox
