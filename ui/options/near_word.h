// SPDX-License-Identifier: MIT
// "Did you mean": the known word that a misspelt one is near to.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace shadowbox {

/// A slip of the finger, not another word: one letter off, two in a long one; or the word's beginning.
std::optional<std::string_view> near_word(std::string_view word, std::span<const std::string_view> known);

}  // namespace shadowbox
