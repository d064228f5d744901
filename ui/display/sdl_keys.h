// SPDX-License-Identifier: MIT
// SDL scan codes as PC keys: by position, so that the guest's own layout applies.
#pragma once

#include <optional>

#include "devices/input/keys.h"

namespace shadowbox {

/// `scancode`: an SDL_Scancode.
std::optional<Key> key_from_sdl(int scancode);

}  // namespace shadowbox
