// SPDX-License-Identifier: MIT
// Writes a screen image as PNG.
#pragma once

#include <string>

#include "core/error.h"
#include "vmm/screen/screen.h"

namespace shadowbox {

Expected<void> write_png(const ScreenImage& image, const std::string& file);

}  // namespace shadowbox
