// SPDX-License-Identifier: MIT
// Switching C0000h-FFFFFh between ROM and RAM.
#include "devices/chipset/i440fx_pam.h"

#include "core/log.h"

namespace shadowbox {

namespace {
constexpr std::size_t kVisibleRom = 128 << 10;  // BIOS ROM decoded at E0000h-FFFFFh
constexpr u64 kEnd = 0x100;                     // 1 MiB in pages
}  // namespace

Expected<void> ShadowRam::load_rom(std::span<const u8> firmware) {
    std::size_t size = std::min(firmware.size(), kVisibleRom);
    size &= ~(kPageSize - 1);
    rom_.assign(firmware.end() - static_cast<std::ptrdiff_t>(size), firmware.end());
    for (unsigned region = 0; region < kRegions; ++region) {
        modes_[region] = Mode::kRom;
        if (auto shown = show(region, Mode::kRom); !shown) return shown;
    }
    return {};
}

void ShadowRam::set(unsigned region, bool read_enable, bool write_enable) {
    if (rom_.empty() || region >= kRegions) return;
    Mode mode = !read_enable ? Mode::kRom : write_enable ? Mode::kRam : Mode::kReadOnlyRam;
    if (!read_enable && write_enable)
        guest_oddity("pam-write-only", "shadow RAM set to read ROM and write RAM; writes are dropped");
    if (modes_[region] == mode) return;
    modes_[region] = mode;
    run_exclusive_([this, region, mode] {
        if (auto shown = show(region, mode); !shown) spdlog::error("{}", shown.error().text());
    });
}

Expected<void> ShadowRam::show(unsigned region, Mode mode) {
    Ppn first = first_page(region);
    u64 count = page_count(region);
    u64 rom_first = kEnd - rom_.size() / kPageSize;
    for (Ppn ppn = first; ppn < first + count; ++ppn) {
        if (mode == Mode::kRom) {
            memory_.unmap(ppn, 1);
            if (ppn.value < rom_first) continue;
            std::size_t offset = (ppn.value - rom_first) * kPageSize;
            auto mapped = memory_.map_rom(ppn, std::span<const u8>(rom_).subspan(offset, kPageSize));
            if (!mapped) return mapped;
        } else if (memory_.pmap().load_stable(ppn).state() == PageState::kMmio) {
            memory_.map_ram(ppn, 1);
        }
    }
    if (mode != Mode::kRom) memory_.set_rom(first, count, mode == Mode::kReadOnlyRam);
    return {};
}

}  // namespace shadowbox
