// SPDX-License-Identifier: MIT
// The keyboard controller of a PC/AT with its PS/2 keyboard and mouse: ports 60h and 64h, A20 and reset
// lines, and translation of set 2 to set 1. Key and mouse events from outside enter here, under the device
// lock. IBM PS/2 Hardware Technical Reference, "Keyboard and auxiliary device controller".
#pragma once

#include <functional>

#include "devices/bus/device.h"
#include "devices/chipset/system_control.h"
#include "devices/input/ps2_keyboard.h"
#include "devices/input/ps2_mouse.h"

namespace shadowbox {

class I8042 final : public Device {
 public:
    I8042(TimerQueue& timers, IrqLine keyboard_irq, IrqLine mouse_irq, A20Gate& a20,
          std::function<void()> reset_machine);

    std::string_view name() const override { return "i8042"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& data_port() { return data_port_; }        ///< 60h
    PortHandler& command_port() { return command_port_; }  ///< 64h

    void key_event(Key key, bool pressed) { keyboard_.key_event(key, pressed); }
    void mouse_event(int dx, int dy, int wheel, u8 buttons) { mouse_.move(dx, dy, wheel, buttons); }
    u8 keyboard_leds() const { return keyboard_.leds(); }

 private:
    enum class Source : u8 { kNone, kController, kKeyboard, kMouse };
    u8 read_data();
    u8 read_status() const;
    void write_data(u8 value);
    void write_command(u8 value);
    void write_output_port(u8 value);
    u8 output_port() const;
    void respond(u8 value, Source source = Source::kController);
    void fill_output();
    bool translate(u8& byte);
    void update_irqs();

    IrqLine keyboard_irq_, mouse_irq_;
    A20Gate& a20_;
    std::function<void()> reset_machine_;
    TimerQueue& timers_;
    Timer next_byte_;
    Ps2Keyboard keyboard_;
    Ps2Mouse mouse_;
    PortFunctions data_port_, command_port_;
    struct State {
        u8 ram[32];  // ram[0] is the command byte
        u8 output;
        Source output_source;  // kNone: the output buffer is empty
        u8 pending_command;    // waits for its byte at port 60h
        bool break_prefix;     // F0 seen by the translator
        bool last_write_command;
    } state_{};
};

}  // namespace shadowbox
