// SPDX-License-Identifier: MIT
// The VGA's picture for front ends: takes the VM's device lock around each look.
#pragma once

#include <mutex>

#include "devices/display/vga.h"
#include "vmm/screen/screen.h"

namespace shadowbox {

class VgaScreen final : public ScreenSource {
 public:
    VgaScreen(const Vga& vga, std::mutex& device_lock) : vga_(vga), device_lock_(device_lock) {}
    bool render(ScreenImage& image) override;
    std::vector<std::string> text_screen() override;

 private:
    const Vga& vga_;
    std::mutex& device_lock_;
};

}  // namespace shadowbox
