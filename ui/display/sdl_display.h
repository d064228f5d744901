// SPDX-License-Identifier: MIT
// The window of each guest: its screen scaled to the window, keyboard and mouse into the guest. A click grabs
// keyboard and mouse, Ctrl-Alt-G lets go, Ctrl-Alt-F is full screen. Everything here runs on the main thread.
#pragma once

#include <memory>

#include "core/error.h"

namespace shadowbox {

class ProcessControl;

/// Whether this process could open a window (DISPLAY, WAYLAND_DISPLAY, or SDL_VIDEODRIVER set).
bool display_available();

class SdlDisplay {
 public:
    /// One window for each guest of `control`.
    static Expected<std::unique_ptr<SdlDisplay>> create(ProcessControl& control);
    ~SdlDisplay();
    /// Handles input and draws what changed. True when the user closed a window.
    bool poll();

 private:
    SdlDisplay();
    struct Windows;
    std::unique_ptr<Windows> windows_;
};

}  // namespace shadowbox
