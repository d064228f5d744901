// SPDX-License-Identifier: MIT
// QEMU's "word,key=value,flag" option texts. A doubled comma is a comma inside a value.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/integers.h"

namespace shadowbox {

struct KeyValue {
    std::string key, value;
    bool bare = false;  ///< no '='
};

class KeyValues {
 public:
    /// `first_word`: a first item without '=' is a word (a driver's or backend's name), not a flag.
    KeyValues(std::string_view text, bool first_word);
    const std::string& word() const { return word_; }
    /// Takes the value of `key` out; nullopt if it was not given.
    std::optional<std::string> take(std::string_view key);
    /// All values of a key that may come several times.
    std::vector<std::string> take_all(std::string_view key);
    /// A switch: "key", "key=on", "nokey".
    Expected<bool> take_switch(std::string_view key, bool otherwise);
    Expected<u64> take_number(std::string_view key, u64 otherwise, u64 largest);
    /// An error about the first thing nobody took, naming what is `known`.
    Expected<void> finish(std::string_view of, std::string_view known) const;

 private:
    std::string word_;
    std::vector<KeyValue> items_;
};

}  // namespace shadowbox
