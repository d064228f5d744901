// SPDX-License-Identifier: MIT
#include "ui/options/key_values.h"

#include "ui/options/size_text.h"

namespace shadowbox {

KeyValues::KeyValues(std::string_view text, bool first_word) {
    std::vector<std::string> parts(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != ',')
            parts.back() += text[i];
        else if (i + 1 < text.size() && text[i + 1] == ',')
            parts.back() += ',', ++i;
        else
            parts.emplace_back();
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        std::size_t equals = parts[i].find('=');
        if (i == 0 && first_word && equals == std::string::npos)
            word_ = parts[i];
        else if (parts[i].empty())
            continue;
        else if (equals == std::string::npos)
            items_.push_back({parts[i], "", true});
        else
            items_.push_back({parts[i].substr(0, equals), parts[i].substr(equals + 1), false});
    }
}

std::optional<std::string> KeyValues::take(std::string_view key) {
    std::vector<std::string> all = take_all(key);
    if (all.empty()) return std::nullopt;
    return all.back();
}

std::vector<std::string> KeyValues::take_all(std::string_view key) {
    std::vector<std::string> values;
    std::erase_if(items_, [&](const KeyValue& item) {
        if (item.key != key || item.bare) return false;
        values.push_back(item.value);
        return true;
    });
    return values;
}

Expected<bool> KeyValues::take_switch(std::string_view key, bool otherwise) {
    bool result = otherwise;
    std::optional<std::string> bad;
    std::erase_if(items_, [&](const KeyValue& item) {
        bool negated = item.bare && item.key.starts_with("no") && item.key.substr(2) == key;
        if (item.key != key && !negated) return false;
        auto value = item.bare ? Expected<bool>(!negated) : parse_switch(item.value);
        if (value)
            result = *value;
        else
            bad = item.value;
        return true;
    });
    if (bad)
        return make_error(ErrorCode::kInvalidArgument, "{}={}: write {}=on or {}=off", key, *bad, key, key);
    return result;
}

Expected<u64> KeyValues::take_number(std::string_view key, u64 otherwise, u64 largest) {
    auto text = take(key);
    if (!text) return otherwise;
    auto value = parse_number(*text, largest);
    if (!value)
        return make_error(ErrorCode::kInvalidArgument, "{}={}: {}", key, *text, value.error().message);
    return value;
}

Expected<void> KeyValues::finish(std::string_view of, std::string_view known) const {
    if (items_.empty()) return {};
    return make_error(ErrorCode::kInvalidArgument, "unknown key '{}' for {}; known: {}", items_[0].key, of,
                      known);
}

}  // namespace shadowbox
