// SPDX-License-Identifier: MIT
// Host error numbers as text.
#include "core/error.h"

#include <system_error>

namespace shadowbox {

std::string errno_text(int errno_value) { return std::generic_category().message(errno_value); }

}  // namespace shadowbox
