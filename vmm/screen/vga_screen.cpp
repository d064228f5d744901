// SPDX-License-Identifier: MIT
#include "vmm/screen/vga_screen.h"

#include <utility>

namespace shadowbox {

bool VgaScreen::render(ScreenImage& image) {
    VgaFrame frame;
    {
        std::lock_guard lock(device_lock_);
        vga_.render(frame);
    }
    if (frame.width == image.width && frame.height == image.height && frame.pixels == image.pixels)
        return false;
    image = {frame.width, frame.height, std::move(frame.pixels)};
    return true;
}

std::vector<std::string> VgaScreen::text_screen() {
    std::lock_guard lock(device_lock_);
    return vga_.text_screen();
}

}  // namespace shadowbox
