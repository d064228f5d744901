// SPDX-License-Identifier: MIT
// The VGA's own registers, save state and views.
#include "devices/bus/layout.h"
#include "devices/display/vga.h"

namespace shadowbox {

Vga::Vga(TimerQueue& timers, GuestMemory& memory, VgaMemory::RunExclusive run_exclusive,
         std::vector<u8> option_rom)
    : PciDevice("vga", {.vendor = 0x1234,
                        .device = 0x1111,
                        .revision = 2,
                        .class_code = 0x030000,
                        .subsystem_vendor = 0x1AF4,
                        .subsystem = 0x1100}),
      timers_(timers),
      vram_(memory, std::move(run_exclusive)),
      ports_([this](u16 offset, unsigned) { return u32{read_port(static_cast<u16>(0x3B0 + offset))}; },
             [this](u16 offset, unsigned, u32 value) {
                 write_port(static_cast<u16>(0x3B0 + offset), static_cast<u8>(value));
             }),
      // Index at 1CEh; data at 1CFh, and at 1D0h for those who cannot write odd ports.
      dispi_ports_(
          [this](u16 offset, unsigned) {
              return offset == 0 ? u32{state_.dispi_index} : u32{dispi_read(state_.dispi_index)};
          },
          [this](u16 offset, unsigned, u32 value) {
              if (offset == 0)
                  state_.dispi_index = static_cast<u16>(value);
              else if (offset < 3)
                  dispi_write(state_.dispi_index, static_cast<u16>(value));
          },
          2) {
    window_.read = [this](u64 offset, unsigned size) {
        u64 value = 0;
        for (unsigned i = 0; i < size; ++i)
            value |= u64{window_read(static_cast<u32>(offset + i))} << (i * 8);
        return value;
    };
    window_.write = [this](u64 offset, unsigned size, u64 value) {
        for (unsigned i = 0; i < size; ++i)
            window_write(static_cast<u32>(offset + i), static_cast<u8>(value >> (i * 8)));
    };
    add_ram_bar(0, VgaMemory::kBytes, pci::kBarPrefetchable,
                [this](std::optional<u64> where) { vram_.place(where); });
    wire_registers_bar();
    set_expansion_rom(std::move(option_rom));
    reset();
}

void Vga::reset() {
    PciDevice::reset();
    state_ = State{};
    state_.dac_mask = 0xFF;
    state_.graphics[8] = 0xFF;
    state_.dispi[0] = 0xB0C5;
    fix_dispi();
    show_window();
    vram_.let_window_go();
}

// --- ports ---

/// The CRTC answers at 3Bxh or 3Dxh, as bit 0 of the miscellaneous register says.
bool Vga::hidden(u16 port) const {
    bool mono = port >= 0x3B0 && port < 0x3C0, color = port >= 0x3D0;
    return state_.misc & 1 ? mono : color;
}

u8 Vga::read_port(u16 port) {
    State& s = state_;
    if (hidden(port)) return 0xFF;
    switch (port) {
        case 0x3C0: return s.attribute_index;
        case 0x3C1: return s.attribute[s.attribute_index & 31];
        case 0x3C2: return 0x10;  // switch sense: a color display
        case 0x3C4: return s.sequencer_index;
        case 0x3C5: return s.sequencer[s.sequencer_index & 7];
        case 0x3C6: return s.dac_mask;
        case 0x3C7: return s.dac_state;
        case 0x3C8: return s.dac_write_index;
        case 0x3C9: return read_dac();
        case 0x3CA: return s.feature;
        case 0x3CC: return s.misc;
        case 0x3CE: return s.graphics_index;
        case 0x3CF: return s.graphics[s.graphics_index & 15];
        case 0x3B4:
        case 0x3D4: return s.crtc_index;
        case 0x3B5:
        case 0x3D5: return s.crtc[s.crtc_index & 31];
        case 0x3BA:
        case 0x3DA: return status1();
        default: return 0xFF;
    }
}

void Vga::write_port(u16 port, u8 value) {
    // Reserved bits read as 0.
    static constexpr u8 kSequencerBits[8] = {0x03, 0x3D, 0x0F, 0x3F, 0x0E, 0, 0, 0xFF};
    static constexpr u8 kGraphicsBits[16] = {0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF};
    State& s = state_;
    if (hidden(port)) return;
    switch (port) {
        case 0x3C0: return write_attribute(value);
        case 0x3C2: s.misc = value & ~0x10; break;
        case 0x3C4: s.sequencer_index = value & 7; break;
        case 0x3C5:
            s.sequencer[s.sequencer_index & 7] = value & kSequencerBits[s.sequencer_index & 7];
            return show_window();
        case 0x3C6: s.dac_mask = value; break;
        case 0x3C7:
            s.dac_read_index = value;
            s.dac_component = 0;
            s.dac_state = 3;
            break;
        case 0x3C8:
            s.dac_write_index = value;
            s.dac_component = 0;
            s.dac_state = 0;
            break;
        case 0x3C9: return write_dac(value);
        case 0x3CE: s.graphics_index = value & 15; break;
        case 0x3CF: s.graphics[s.graphics_index & 15] = value & kGraphicsBits[s.graphics_index & 15]; break;
        case 0x3B4:
        case 0x3D4: s.crtc_index = value; break;
        case 0x3B5:
        case 0x3D5: return write_crtc(value);
        case 0x3BA:
        case 0x3DA: s.feature = value & 0x10; break;
        default: break;
    }
}

/// Input status 1: retrace as a 60 Hz display has it, so that software waiting for either edge goes on.
u8 Vga::status1() {
    constexpr GuestNs kFrame = 16'683'000, kLine = 31'778, kShownLines = 480;
    state_.attribute_data = false;
    GuestNs in_frame = timers_.now() % kFrame;
    bool vertical = in_frame / kLine >= kShownLines, horizontal = in_frame % kLine > kLine * 4 / 5;
    return static_cast<u8>((vertical ? 0x08 : 0) | (vertical || horizontal ? 0x01 : 0));
}

void Vga::write_attribute(u8 value) {
    static constexpr u8 kMode = 0x10;
    State& s = state_;
    if (!s.attribute_data) {
        s.attribute_index = value & 0x3F;
    } else {
        u8 index = s.attribute_index & 31;
        // The palette is the display's while bit 5 of the index is set.
        if (index < kMode ? !(s.attribute_index & 0x20) : index <= 0x14)
            s.attribute[index] = index < kMode ? value & 0x3F : value;
    }
    s.attribute_data = !s.attribute_data;
}

void Vga::write_crtc(u8 value) {
    State& s = state_;
    u8 index = s.crtc_index;
    if (index > 0x18) return;
    bool locked = (s.crtc[0x11] & 0x80) && index <= 7;
    if (locked && index != 7) return;
    if (locked) value = static_cast<u8>((s.crtc[7] & ~0x10) | (value & 0x10));  // only line compare bit 8
    s.crtc[index] = value;
}

u8 Vga::read_dac() {
    State& s = state_;
    u8 value = s.palette[s.dac_read_index * 3 + s.dac_component];
    if (!eight_bit_dac()) value &= 0x3F;
    if (++s.dac_component == 3) {
        s.dac_component = 0;
        ++s.dac_read_index;
    }
    return value;
}

void Vga::write_dac(u8 value) {
    State& s = state_;
    s.dac_entry[s.dac_component] = value;
    if (++s.dac_component < 3) return;
    s.dac_component = 0;
    for (unsigned i = 0; i < 3; ++i) s.palette[s.dac_write_index * 3 + i] = s.dac_entry[i];
    ++s.dac_write_index;
}

// --- Device ---

void Vga::serialize(Archive& archive) {
    vram_.serialize(archive);  // first: mapping the BAR below moves pages from where they are
    PciDevice::serialize(archive);
    State& s = state_;
    archive(s.misc, s.feature, s.sequencer_index, s.sequencer, s.graphics_index, s.graphics, s.crtc_index,
            s.crtc, s.attribute_index, s.attribute, s.attribute_data, s.dac_mask, s.dac_write_index,
            s.dac_read_index, s.dac_component, s.dac_state, s.dac_entry, s.palette, s.latch, s.dispi_index,
            s.dispi);
    if (!archive.loading()) return;
    s.dac_component %= 3;
    fix_dispi();
    show_window();
}

void Vga::inspect(Inspector& inspector) const {
    PciDevice::inspect(inspector);
    const State& s = state_;
    inspector.text("frame buffer", fmt::format("{}", vram_.location()));
    if (dispi_on())
        inspector.text("mode", fmt::format("{}x{}, {} bits", s.dispi[1], s.dispi[2], s.dispi[3]));
    else
        inspector.text("mode", text() ? "text" : "VGA graphics");
    inspector.hex("miscellaneous", s.misc);
    auto list = [&](const char* name, const u8* values, unsigned count) {
        std::string text;
        for (unsigned i = 0; i < count; ++i) text += fmt::format("{}{:02x}", i ? " " : "", values[i]);
        inspector.text(name, text);
    };
    list("sequencer", s.sequencer, 5);
    list("graphics", s.graphics, 9);
    list("CRTC", s.crtc, 25);
    list("attribute", s.attribute, 21);
}

}  // namespace shadowbox
