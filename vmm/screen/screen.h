// SPDX-License-Identifier: MIT
// A guest's screen as front ends see it (screendump, the SDL window). The VM's display adapter stands behind
// it.
#pragma once

#include <string>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

/// Pixels are 0x00RRGGBB, row by row.
struct ScreenImage {
    unsigned width = 0, height = 0;
    std::vector<u32> pixels;
};

class ScreenSource {
 public:
    virtual ~ScreenSource() = default;
    /// Any thread. False if the picture is the one that `image` already holds.
    virtual bool render(ScreenImage& image) = 0;
    /// In text modes the characters shown, one line a row; otherwise empty.
    virtual std::vector<std::string> text_screen() = 0;
};

}  // namespace shadowbox
