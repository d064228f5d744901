// SPDX-License-Identifier: MIT
// Text mode without firmware: what the VGA BIOS's mode 3 leaves behind, for kernels that -kernel starts at
// once. Called by the board at power-on. The font is the VGA BIOS file's own, found in it at run time;
// without the file the screen stays blank.
#pragma once

#include <span>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

class MmioBus;
class PortBus;

/// The 256 characters of 8 x 16, 4096 bytes; empty if the ROM holds none.
std::vector<u8> vga_font(std::span<const u8> vga_bios);

/// 80 x 25 in 16 colors at B8000H, cleared, with this font. Device lock held.
void set_text_mode(PortBus& ports, MmioBus& mmio, std::span<const u8> font);

/// The first bytes of Linux's boot parameters that say so (struct screen_info).
std::vector<u8> text_screen_info();

}  // namespace shadowbox
