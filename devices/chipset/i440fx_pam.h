// SPDX-License-Identifier: MIT
// The shadow RAM behind C0000h-FFFFFh: which of its 13 regions show the firmware ROM, read-only RAM or RAM.
// The host bridge (i440fx.h) sets regions from its PAM registers; firmware copies itself into RAM this way.
// 82441FX DS 3.2.15.
//
//   registers   reads from   writes to    here
//   RE 0        ROM          nowhere      ROM pages of the image's tail; open bus where it has none
//   RE 1, WE 0  RAM          nowhere      read-only RAM; starts as a copy of the ROM
//   RE 1, WE 1  RAM          RAM          RAM
// RE 0 with WE 1 (read ROM, write RAM under it) is treated as RE 0: firmware copies from the ROM's other
// address below 4 GiB instead.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "mmu/guest_memory.h"

namespace shadowbox {

class ShadowRam {
 public:
    static constexpr unsigned kRegions = 13;  ///< C0000h-EFFFFh in 16 KiB, then F0000h-FFFFFh
    using RunExclusive = std::function<void(std::function<void()>)>;
    ShadowRam(GuestMemory& memory, RunExclusive run_exclusive)
        : memory_(memory), run_exclusive_(std::move(run_exclusive)) {}

    /// Before start: the last 128 KiB of `firmware` appear at E0000h-FFFFFh (PIIX3 XBCS decodes no more). A
    /// machine without firmware never calls this; then all regions stay RAM.
    Expected<void> load_rom(std::span<const u8> firmware);
    void set(unsigned region, bool read_enable, bool write_enable);

 private:
    enum class Mode : u8 { kRam, kRom, kReadOnlyRam };
    static constexpr u64 kFirst = 0xC0;  // in pages
    static Ppn first_page(unsigned region) { return Ppn(kFirst + region * 4); }
    static u64 page_count(unsigned region) { return region == 12 ? 16 : 4; }
    Expected<void> show(unsigned region, Mode mode);

    GuestMemory& memory_;
    RunExclusive run_exclusive_;
    std::vector<u8> rom_;  // up to FFFFFh
    std::array<Mode, kRegions> modes_{};
};

}  // namespace shadowbox
