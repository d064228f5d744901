// SPDX-License-Identifier: MIT
// Writes a screen image as PNG or as a portable pixmap (PPM).
#pragma once

#include <string>

#include "core/error.h"
#include "vmm/screen/screen.h"

namespace shadowbox {

Expected<void> write_png(const ScreenImage& image, const std::string& file);
Expected<void> write_ppm(const ScreenImage& image, const std::string& file);

}  // namespace shadowbox
