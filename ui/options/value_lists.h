// SPDX-License-Identifier: MIT
// "help" as an option's value: what the option knows, as QEMU prints it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shadowbox {

/// The list of values of `option`; nullopt where "help" is a value like others (a file's name).
std::optional<std::string> value_list(std::string_view option);

}  // namespace shadowbox
