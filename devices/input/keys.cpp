// SPDX-License-Identifier: MIT
// Key table look-ups.
#include "devices/input/keys.h"

#include <array>
#include <charconv>

namespace shadowbox {

namespace {

constexpr std::array kTable{
#define KEY(enumerator, name, set1, set2, set3) KeyCodes{name, set1, set2, set3},
#include "devices/input/keys.def"
#undef KEY
};

constexpr std::string_view kUnshifted = "`1234567890-=[]\\;',./";
constexpr std::string_view kShifted = "~!@#$%^&*()_+{}|:\"<>?";
constexpr std::array kSymbolKeys{
    Key::kGraveAccent, Key::k1,         Key::k2,          Key::k3,           Key::k4,
    Key::k5,           Key::k6,         Key::k7,          Key::k8,           Key::k9,
    Key::k0,           Key::kMinus,     Key::kEqual,      Key::kBracketLeft, Key::kBracketRight,
    Key::kBackslash,   Key::kSemicolon, Key::kApostrophe, Key::kComma,       Key::kDot,
    Key::kSlash};
static_assert(kUnshifted.size() == kSymbolKeys.size() && kShifted.size() == kSymbolKeys.size());

}  // namespace

const KeyCodes& key_codes(Key key) {
    std::size_t index = static_cast<std::size_t>(key);
    return kTable[index < kTable.size() ? index : 0];
}

std::optional<Key> key_from_name(std::string_view name) {
    if (name == "asterisk") return Key::kKpMultiply;
    if (name == "compose") return Key::kMenu;
    for (std::size_t i = 0; i < kTable.size(); ++i)
        if (kTable[i].name == name) return static_cast<Key>(i);
    if (!name.starts_with("0x")) return std::nullopt;
    unsigned code = 0;
    auto [end, error] = std::from_chars(name.data() + 2, name.data() + name.size(), code, 16);
    if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
    if (code >= 0x80 && code < 0x100) code = 0xE000 | (code & 0x7F);  // QEMU's spelling of extended keys
    for (std::size_t i = 0; i < kTable.size(); ++i)
        if (kTable[i].set1 == code) return static_cast<Key>(i);
    return std::nullopt;
}

std::vector<Key> keys_from_combination(std::string_view combination) {
    std::vector<Key> keys;
    while (true) {
        std::size_t dash = combination.find('-');
        std::optional<Key> key = key_from_name(combination.substr(0, dash));
        if (!key) return {};
        keys.push_back(*key);
        if (dash == std::string_view::npos) return keys;
        combination.remove_prefix(dash + 1);
    }
}

std::vector<Key> keys_for_character(char character) {
    if (character >= 'A' && character <= 'Z') {
        std::vector<Key> keys = keys_for_character(static_cast<char>(character - 'A' + 'a'));
        keys.insert(keys.begin(), Key::kShift);
        return keys;
    }
    if (character >= 'a' && character <= 'z') return {*key_from_name(std::string_view(&character, 1))};
    switch (character) {
        case '\n':
        case '\r': return {Key::kReturn};
        case '\t': return {Key::kTab};
        case '\b':
        case 0x7F: return {Key::kBackspace};
        case 0x1B: return {Key::kEscape};
        case ' ': return {Key::kSpace};
        case 0: return {};
    }
    if (std::size_t at = kUnshifted.find(character); at != std::string_view::npos) return {kSymbolKeys[at]};
    if (std::size_t at = kShifted.find(character); at != std::string_view::npos)
        return {Key::kShift, kSymbolKeys[at]};
    return {};
}

}  // namespace shadowbox
