// SPDX-License-Identifier: MIT
// The keys of a PC keyboard by QEMU's sendkey names, and their scan codes in all three sets (table:
// keys.def). Used by the keyboard and by whoever injects keys (monitor, GUI, tests).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

enum class Key : u8 {
#define KEY(enumerator, name, set1, set2, set3) enumerator,
#include "devices/input/keys.def"
#undef KEY
    kCount
};

struct KeyCodes {
    std::string_view name;
    u16 set1, set2, set3;  // 0xE0nn: two bytes
};

/// Codes of `key`; those of kEscape for a value out of range.
const KeyCodes& key_codes(Key key);

/// "ret", "ctrl", "f1"; also QEMU's "asterisk", "compose" and set 1 codes like "0x1c".
std::optional<Key> key_from_name(std::string_view name);

/// "ctrl-alt-delete" as the keys to press in order; empty if a name is unknown.
std::vector<Key> keys_from_combination(std::string_view combination);

/// A US-layout character as the keys to hold together (shift first where needed); empty if it has none.
std::vector<Key> keys_for_character(char character);

}  // namespace shadowbox
