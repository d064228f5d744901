// SPDX-License-Identifier: MIT
// 8042: commands, output buffer arbitration, translation, output port.
#include "devices/input/i8042.h"

namespace shadowbox {

namespace {

constexpr u8 kStatusOutputFull = 0x01, kStatusSystem = 0x04, kStatusCommand = 0x08, kStatusUnlocked = 0x10,
             kStatusMouseData = 0x20;
constexpr u8 kByteKeyboardIrq = 0x01, kByteMouseIrq = 0x02, kByteSystem = 0x04, kByteKeyboardOff = 0x10,
             kByteMouseOff = 0x20, kByteTranslate = 0x40;
constexpr u8 kPortNotReset = 0x01, kPortA20 = 0x02, kPortKeyboardFull = 0x10, kPortMouseFull = 0x20;
constexpr u8 kReadRam = 0x20, kWriteRam = 0x60, kMouseOff = 0xA7, kMouseOn = 0xA8, kMouseTest = 0xA9,
             kSelfTest = 0xAA, kKeyboardTest = 0xAB, kKeyboardOff = 0xAD, kKeyboardOn = 0xAE,
             kReadInput = 0xC0, kReadOutput = 0xD0, kWriteOutput = 0xD1, kWriteKeyboardBuffer = 0xD2,
             kWriteMouseBuffer = 0xD3, kWriteMouse = 0xD4, kA20Off = 0xDD, kA20On = 0xDF, kReadTest = 0xE0,
             kPulse = 0xF0;
constexpr u8 kInputPort = 0x80;  // keyboard lock open

/// A byte on the PS/2 cable takes about a millisecond. Handlers that read port 60h twice (an old INT 9 hook
/// and then the BIOS) rely on the next byte not being there at once.
constexpr GuestNs kByteGapNs = 200'000;

// Set 2 to set 1, codes 00-7F: the table in every 8042's ROM (Microsoft, "Keyboard Scan Code Specification",
// app. C).
// clang-format off
constexpr u8 kTranslation[128] = {
    0xFF, 0x43, 0x41, 0x3F, 0x3D, 0x3B, 0x3C, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3E, 0x0F, 0x29, 0x59,
    0x65, 0x38, 0x2A, 0x70, 0x1D, 0x10, 0x02, 0x5A, 0x66, 0x71, 0x2C, 0x1F, 0x1E, 0x11, 0x03, 0x5B,
    0x67, 0x2E, 0x2D, 0x20, 0x12, 0x05, 0x04, 0x5C, 0x68, 0x39, 0x2F, 0x21, 0x14, 0x13, 0x06, 0x5D,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5E, 0x6A, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5F,
    0x6B, 0x33, 0x25, 0x17, 0x18, 0x0B, 0x0A, 0x60, 0x6C, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0C, 0x61,
    0x6D, 0x73, 0x28, 0x74, 0x1A, 0x0D, 0x62, 0x6E, 0x3A, 0x36, 0x1C, 0x1B, 0x75, 0x2B, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7A, 0x0E, 0x7B, 0x7C, 0x4F, 0x7D, 0x4B, 0x47, 0x7E, 0x7F, 0x6F,
    0x52, 0x53, 0x50, 0x4C, 0x4D, 0x48, 0x01, 0x45, 0x57, 0x4E, 0x51, 0x4A, 0x37, 0x49, 0x46, 0x54};
// clang-format on

}  // namespace

I8042::I8042(TimerQueue& timers, IrqLine keyboard_irq, IrqLine mouse_irq, A20Gate& a20,
             std::function<void()> reset_machine)
    : keyboard_irq_(std::move(keyboard_irq)),
      mouse_irq_(std::move(mouse_irq)),
      a20_(a20),
      reset_machine_(std::move(reset_machine)),
      timers_(timers),
      next_byte_(timers, "i8042", [this] { fill_output(); }),
      keyboard_(timers, [this] { fill_output(); }),
      mouse_([this] { fill_output(); }),
      data_port_([this](u16, unsigned) { return u32{read_data()}; },
                 [this](u16, unsigned, u32 value) { write_data(static_cast<u8>(value)); }),
      command_port_([this](u16, unsigned) { return u32{read_status()}; },
                    [this](u16, unsigned, u32 value) { write_command(static_cast<u8>(value)); }) {
    reset();
}

void I8042::reset() {
    state_ = State{};
    // As a PC's firmware finds it after its own boot block: both interfaces usable, translation on.
    state_.ram[0] = kByteKeyboardIrq | kByteMouseIrq | kByteTranslate;
    next_byte_.cancel();
    keyboard_.reset();
    mouse_.reset();
    update_irqs();
}

void I8042::update_irqs() {
    u8 mode = state_.ram[0];
    bool mouse = state_.output_source == Source::kMouse;
    bool full = state_.output_source != Source::kNone;
    keyboard_irq_.set(full && !mouse && (mode & kByteKeyboardIrq));
    mouse_irq_.set(full && mouse && (mode & kByteMouseIrq));
}

void I8042::respond(u8 value, Source source) {
    state_.output = value;
    state_.output_source = source;
    // The controller's own answers raise the interrupt too: a new byte is a new edge.
    keyboard_irq_.lower();
    mouse_irq_.lower();
    update_irqs();
}

/// False: the byte was swallowed (the break prefix becomes bit 7 of the code that follows).
bool I8042::translate(u8& byte) {
    if (byte == 0xF0) {
        state_.break_prefix = true;
        return false;
    }
    if (byte < 0x80)
        byte = kTranslation[byte];
    else if (byte == 0x83)
        byte = 0x41;
    else if (byte == 0x84)
        byte = 0x54;
    if (state_.break_prefix) byte |= 0x80;
    state_.break_prefix = false;
    return true;
}

/// Moves the next byte of keyboard or mouse into the output buffer, if that is free and the cable is idle.
void I8042::fill_output() {
    if (state_.output_source != Source::kNone || next_byte_.armed()) return;
    u8 mode = state_.ram[0];
    while (keyboard_.has_output() && !(mode & kByteKeyboardOff)) {
        u8 byte = keyboard_.take_output();
        if ((mode & kByteTranslate) && !translate(byte)) continue;
        return respond(byte, Source::kKeyboard);
    }
    if (mouse_.has_output() && !(mode & kByteMouseOff)) {
        // take_output() may report more motion; the output buffer must count as taken by then.
        state_.output_source = Source::kMouse;
        respond(mouse_.take_output(), Source::kMouse);
    }
}

u8 I8042::read_data() {
    if (state_.output_source == Source::kNone) return state_.output;  // an empty buffer gives its last byte
    state_.output_source = Source::kNone;
    update_irqs();
    if (keyboard_.has_output() || mouse_.has_output()) next_byte_.arm(timers_.now() + kByteGapNs);
    return state_.output;
}

u8 I8042::read_status() const {
    u8 status = kStatusUnlocked;
    if (state_.output_source != Source::kNone) status |= kStatusOutputFull;
    if (state_.output_source == Source::kMouse) status |= kStatusMouseData;
    if (state_.ram[0] & kByteSystem) status |= kStatusSystem;
    if (state_.last_write_command) status |= kStatusCommand;
    return status;
}

u8 I8042::output_port() const {
    u8 value = kPortNotReset | (a20_.enabled() ? kPortA20 : 0);
    if (state_.output_source == Source::kMouse)
        value |= kPortMouseFull;
    else if (state_.output_source != Source::kNone)
        value |= kPortKeyboardFull;
    return value;
}

void I8042::write_output_port(u8 value) {
    a20_.set(value & kPortA20);
    if (!(value & kPortNotReset) && reset_machine_) reset_machine_();
}

void I8042::write_data(u8 value) {
    state_.last_write_command = false;
    u8 command = state_.pending_command;
    state_.pending_command = 0;
    if (command >= kWriteRam && command < kWriteRam + 32) {
        state_.ram[command - kWriteRam] = value;
        if (command == kWriteRam) {
            update_irqs();
            fill_output();
        }
        return;
    }
    switch (command) {
        case kWriteOutput: return write_output_port(value);
        case kWriteKeyboardBuffer: return respond(value, Source::kKeyboard);
        case kWriteMouseBuffer: return respond(value, Source::kMouse);
        case kWriteMouse: state_.ram[0] &= static_cast<u8>(~kByteMouseOff); return mouse_.command(value);
    }
    // Talking to the keyboard enables its interface.
    state_.ram[0] &= static_cast<u8>(~kByteKeyboardOff);
    keyboard_.command(value);
}

void I8042::write_command(u8 value) {
    State& s = state_;
    s.last_write_command = true;
    s.pending_command = 0;
    if (value >= kReadRam && value < kReadRam + 32) return respond(s.ram[value - kReadRam]);
    if (value >= kPulse) {  // low bits are the lines of the output port that are NOT pulsed
        if (!(value & kPortNotReset) && reset_machine_) reset_machine_();
        return;
    }
    switch (value) {
        case kMouseOff: s.ram[0] |= kByteMouseOff; break;
        case kMouseOn: s.ram[0] &= static_cast<u8>(~kByteMouseOff); break;
        case kKeyboardOff: s.ram[0] |= kByteKeyboardOff; break;
        case kKeyboardOn: s.ram[0] &= static_cast<u8>(~kByteKeyboardOff); break;
        case kMouseTest:
        case kKeyboardTest: return respond(0x00);
        case kSelfTest: s.ram[0] |= kByteSystem; return respond(0x55);
        case kReadInput: return respond(kInputPort);
        case kReadOutput: return respond(output_port());
        case kReadTest: return respond(0x00);  // T0, T1: both cables' clocks low
        case kA20Off: a20_.set(false); break;
        case kA20On: a20_.set(true); break;
        default:
            s.pending_command = value;
            break;  // those with an argument at port 60h; unknown ones do nothing
    }
    if (value == kMouseOn || value == kKeyboardOn) fill_output();
}

void I8042::serialize(Archive& archive) {
    archive.section(name(), 1);
    State& s = state_;
    keyboard_.serialize(archive);
    mouse_.serialize(archive);
    archive(s.ram, s.output, s.output_source, s.pending_command, s.break_prefix, s.last_write_command,
            keyboard_irq_, mouse_irq_);
    serialize_timer(archive, next_byte_);
}

void I8042::inspect(Inspector& inspector) const {
    inspector.hex("status", read_status());
    inspector.hex("command byte", state_.ram[0]);
    inspector.hex("output port", output_port());
    Inspector keyboard = inspector.group("keyboard");
    keyboard_.inspect(keyboard);
    Inspector mouse = inspector.group("mouse");
    mouse_.inspect(mouse);
}

}  // namespace shadowbox
