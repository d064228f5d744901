// SPDX-License-Identifier: MIT
// Machines described in a TOML file: [host] and one [[vm]] for each guest. The keys are listed in
// ui/README.md. Errors name file and line. Relative paths are relative to the file.
#pragma once

#include <string>
#include <string_view>

#include "ui/options/invocation.h"

namespace shadowbox {

Expected<void> load_toml_file(const std::string& path, Invocation& invocation);
/// `path` names the text in errors and gives the directory.
Expected<void> load_toml_text(std::string_view text, const std::string& path, Invocation& invocation);

}  // namespace shadowbox
