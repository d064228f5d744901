// SPDX-License-Identifier: MIT
#include "ui/options/near_word.h"

#include <algorithm>
#include <vector>

namespace shadowbox {

namespace {

/// Edit distance with neighbours swapped as one change.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) {
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a.size()][b.size()];
}

}  // namespace

std::optional<std::string_view> near_word(std::string_view word, std::span<const std::string_view> known) {
    constexpr std::size_t kLongest = 64;
    if (word.size() > kLongest) return std::nullopt;
    std::optional<std::string_view> nearest;
    std::size_t best = word.size() < 3 ? 0 : word.size() < 7 ? 1 : 2;
    for (std::string_view one : known) {
        const std::size_t d = word.size() > 3 && one.starts_with(word) ? 1 : distance(word, one);
        if (d <= best && one.size() > 2) best = d - (d > 0), nearest = one;
    }
    return nearest;
}

}  // namespace shadowbox
