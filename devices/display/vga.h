// SPDX-License-Identifier: MIT
// The display adapter "stdvga" (1234:1111): an IBM VGA with the Bochs display interface (DISPI) for high
// resolutions, as SeaBIOS's VGA BIOS, Linux's bochs driver and Windows's VGA driver know it. Draws frames for
// front ends; knows no window. No blinking, no EDID, no interrupts. FreeVGA project (VGA hardware); QEMU's
// docs/specs/standard-vga.rst; Bochs' vbe_display_api.txt.
//
//   vga_ports.cpp   registers            vga_window.cpp  A0000h-BFFFFh: planes, latches, write modes
//   vga_dispi.cpp   DISPI, BAR 2         vga_render.cpp  pictures and text
//
// Four planes share the frame buffer: byte p of the 32-bit word n is plane p's byte n.
#pragma once

#include <string>
#include <vector>

#include "devices/bus/pci_device.h"
#include "devices/display/vga_memory.h"

namespace shadowbox {

/// A picture: 0x00RRGGBB, row by row.
struct VgaFrame {
    unsigned width = 0, height = 0;
    std::vector<u32> pixels;
};

class Vga final : public PciDevice {
 public:
    /// `option_rom`: the VGA BIOS for the ROM BAR; may be empty.
    Vga(TimerQueue& timers, GuestMemory& memory, VgaMemory::RunExclusive run_exclusive,
        std::vector<u8> option_rom);

    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& ports() { return ports_; }              ///< 48 ports at 3B0h
    PortHandler& dispi_ports() { return dispi_ports_; }  ///< 4 ports at 1CEh
    MmioHandler& window() { return window_; }            ///< 128 KiB at A0000h
    /// Before each access to it (VgaMemory::hold_window).
    MemoryAnswer hold_window() { return vram_.hold_window(); }
    VgaMemory& memory() { return vram_; }

    // --- vga_render.cpp; device lock held ---
    void render(VgaFrame& frame) const;
    /// The characters of a text mode as UTF-8, without blanks at the ends; empty in graphics modes.
    std::vector<std::string> text_screen() const;

 private:
    static constexpr unsigned kDispiRegisters = 11;
    struct MemoryFunctions final : MmioHandler {
        std::function<u64(u64, unsigned)> read;
        std::function<void(u64, unsigned, u64)> write;
        u64 mmio_read(u64 offset, unsigned size) override { return read(offset, size); }
        void mmio_write(u64 offset, unsigned size, u64 value) override { write(offset, size, value); }
    };
    struct TextMode;
    struct Scan;

    // vga_ports.cpp
    u8 read_port(u16 port);
    void write_port(u16 port, u8 value);
    bool hidden(u16 port) const;
    u8 status1();
    void write_attribute(u8 value);
    void write_crtc(u8 value);
    u8 read_dac();
    void write_dac(u8 value);

    // vga_dispi.cpp
    void wire_registers_bar();
    u16 dispi_read(unsigned index) const;
    void dispi_write(unsigned index, u16 value);
    void fix_dispi();
    void dispi_enable(u16 value);
    void set_registers_for_dispi();
    u64 registers_read(u64 offset);
    void registers_write(u64 offset, u8 value, unsigned position, u64 whole, unsigned size);
    bool dispi_on() const { return state_.dispi[4] & 1; }
    bool eight_bit_dac() const { return state_.dispi[4] & 0x20; }
    u8 plane_enable() const { return state_.attribute[0x12] & 15; }
    u32 dispi_pitch() const;

    // vga_window.cpp
    bool window_address(u32 offset, u32& result) const;
    void show_window();  ///< after a change of registers: which part of the memory the window shows
    u8 window_read(u32 offset);
    void window_write(u32 offset, u8 value);
    u32 combine(u8 value) const;

    // vga_render.cpp
    bool text() const { return !dispi_on() && !(state_.graphics[6] & 1); }
    bool blank() const;
    u32 dac_color(u8 index) const;
    u32 attribute_color(u8 value) const;
    TextMode text_mode() const;
    Scan scan() const;
    void render_text(VgaFrame& frame) const;
    void render_planar(VgaFrame& frame) const;
    void render_dispi(VgaFrame& frame) const;

    TimerQueue& timers_;
    VgaMemory vram_;
    PortFunctions ports_, dispi_ports_;
    MemoryFunctions window_, registers_;
    struct State {
        u8 misc, feature;
        u8 sequencer_index, sequencer[8];
        u8 graphics_index, graphics[16];
        u8 crtc_index, crtc[32];
        u8 attribute_index, attribute[32];
        bool attribute_data;  // flip-flop of 3C0h
        u8 dac_mask, dac_write_index, dac_read_index, dac_component, dac_state;
        u8 dac_entry[3], palette[768];
        u32 latch;
        u16 dispi_index, dispi[kDispiRegisters];
    } state_{};
};

}  // namespace shadowbox
