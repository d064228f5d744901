// SPDX-License-Identifier: MIT
// PS/2 keyboard: command set, scan codes, typematic.
#include "devices/input/ps2_keyboard.h"

#include <vector>

namespace shadowbox {

namespace {
constexpr u8 kAck = 0xFA, kResend = 0xFE, kBatPassed = 0xAA, kEchoReply = 0xEE;
constexpr u8 kSetLeds = 0xED, kEcho = 0xEE, kScanSet = 0xF0, kIdentify = 0xF2, kSetRate = 0xF3,
             kEnable = 0xF4, kDisable = 0xF5, kDefaults = 0xF6, kAllTypematic = 0xF7, kAllMakeBreak = 0xF8,
             kAllMake = 0xF9, kAllTypematicMakeBreak = 0xFA, kKeyTypematic = 0xFB, kKeyMakeBreak = 0xFC,
             kKeyMake = 0xFD, kResendCommand = 0xFE, kReset = 0xFF;
constexpr u8 kDefaultRate = 0x2B;  // 10.9 characters a second after 500 ms

/// Bits 6-5: (1 + n) * 250 ms before the first repeat; bits 4-0: period (8 + A) * 2^B * 4.17 ms.
GuestNs first_delay(u8 rate) { return (1 + ((rate >> 5) & 3)) * u64{250'000'000}; }
GuestNs repeat_period(u8 rate) { return (8 + (rate & 7)) * (u64{1} << ((rate >> 3) & 3)) * 4'170'000; }

}  // namespace

Ps2Keyboard::Ps2Keyboard(TimerQueue& timers, std::function<void()> output)
    : output_(std::move(output)), timers_(timers), typematic_(timers, "typematic", [this] { repeat(); }) {
    reset();
}

void Ps2Keyboard::reset() {
    state_ = State{};
    queue_.clear();
    set_defaults();
    state_.scanning = true;
}

void Ps2Keyboard::set_defaults() {
    state_.set = 2;
    state_.rate = kDefaultRate;
    typematic_.cancel();
    for (unsigned i = 0; i < kKeys; ++i) state_.set3_make_only[i] = state_.set3_no_repeat[i] = false;
}

void Ps2Keyboard::answer(std::initializer_list<u8> bytes) {
    for (u8 byte : bytes) queue_.push(byte);
    state_.last_sent = *(bytes.end() - 1);
    output_();
}

/// Takes the argument of the command before. False: `byte` is a new command instead.
bool Ps2Keyboard::argument(u8 byte) {
    u8 command = state_.pending_command;
    state_.pending_command = 0;
    if (command == 0 || byte >= 0xED) return false;
    switch (command) {
        case kSetLeds: state_.leds = byte & 7; break;
        case kSetRate: state_.rate = byte & 0x7F; break;
        case kScanSet:
            if (byte > 3) return answer({kResend}), true;
            if (byte == 0) return answer({kAck, state_.set}), true;
            state_.set = byte;
            queue_.clear();
            break;
        default:  // FB-FD: the type of single keys, by set 3 code; more codes follow until the next command
            for (unsigned i = 0; i < kKeys; ++i) {
                if (key_codes(static_cast<Key>(i)).set3 != byte) continue;
                state_.set3_make_only[i] = command != kKeyMakeBreak;
                state_.set3_no_repeat[i] = command != kKeyTypematic;
            }
            state_.pending_command = command;
    }
    answer({kAck});
    return true;
}

void Ps2Keyboard::set_key_types(u8 command) {
    for (unsigned i = 0; i < kKeys; ++i) {
        state_.set3_make_only[i] = command == kAllTypematic || command == kAllMake;
        state_.set3_no_repeat[i] = command == kAllMakeBreak || command == kAllMake;
    }
}

void Ps2Keyboard::command(u8 byte) {
    if (argument(byte)) return;
    switch (byte) {
        case kSetLeds:
        case kScanSet:
        case kSetRate: state_.pending_command = byte; return answer({kAck});
        case kKeyTypematic:
        case kKeyMakeBreak:
        case kKeyMake: state_.pending_command = byte; return answer({kAck});
        case kEcho: return answer({kEchoReply});
        case kIdentify: return answer({kAck, 0xAB, 0x83});
        case kEnable:
            queue_.clear();
            state_.scanning = true;
            return answer({kAck});
        case kDisable:
        case kDefaults:
            queue_.clear();
            set_defaults();
            state_.scanning = byte == kDefaults;
            return answer({kAck});
        case kAllTypematic:
        case kAllMakeBreak:
        case kAllMake:
        case kAllTypematicMakeBreak: set_key_types(byte); return answer({kAck});
        case kResendCommand: return answer({state_.last_sent});
        case kReset: reset(); return answer({kAck, kBatPassed});
        default: return answer({kResend});
    }
}

void Ps2Keyboard::send_codes(std::span<const u8> bytes) {
    if (queue_.size() + bytes.size() > kKeyBytes) {
        // Overrun: one code replaces what does not fit, then keys are dropped until there is room.
        if (queue_.size() < kKeyBytes) queue_.push(state_.set == 1 ? 0xFF : 0x00);
        return;
    }
    for (u8 byte : bytes) queue_.push(byte);
    if (!bytes.empty()) state_.last_sent = bytes.back();
    output_();
}

void Ps2Keyboard::send_pause() {
    // Pause sends make and break together and does not repeat.
    static constexpr u8 kSet1[] = {0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5};
    static constexpr u8 kSet2[] = {0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77};
    if (state_.set == 1)
        send_codes(kSet1);
    else
        send_codes(kSet2);
}

void Ps2Keyboard::send_print(bool pressed) {
    // Print Screen fakes a shift key around itself, for the sake of 83-key software.
    static constexpr u8 kMake1[] = {0xE0, 0x2A, 0xE0, 0x37}, kBreak1[] = {0xE0, 0xB7, 0xE0, 0xAA};
    static constexpr u8 kMake2[] = {0xE0, 0x12, 0xE0, 0x7C}, kBreak2[] = {0xE0, 0xF0, 0x7C, 0xE0, 0xF0, 0x12};
    if (state_.set == 1) {
        if (pressed)
            send_codes(kMake1);
        else
            send_codes(kBreak1);
    } else {
        if (pressed)
            send_codes(kMake2);
        else
            send_codes(kBreak2);
    }
}

void Ps2Keyboard::send_key(Key key, bool pressed) {
    const KeyCodes& codes = key_codes(key);
    if (state_.set != 3 && key == Key::kPause) return pressed ? send_pause() : void();
    if (state_.set != 3 && key == Key::kPrint) return send_print(pressed);
    u16 code = state_.set == 1 ? codes.set1 : state_.set == 2 ? codes.set2 : codes.set3;
    if (code == 0) return;
    if (state_.set == 3 && !pressed && state_.set3_make_only[static_cast<unsigned>(key)]) return;
    std::vector<u8> bytes;
    if (code >> 8) bytes.push_back(static_cast<u8>(code >> 8));
    if (!pressed && state_.set != 1) bytes.push_back(0xF0);
    bytes.push_back(static_cast<u8>(!pressed && state_.set == 1 ? code | 0x80 : code));
    send_codes(bytes);
}

void Ps2Keyboard::key_event(Key key, bool pressed) {
    unsigned index = static_cast<unsigned>(key);
    if (index >= kKeys) return;
    // Hosts repeat keys by themselves; the guest's repeats come from our own typematic timer.
    if (state_.down[index] == pressed) return;
    state_.down[index] = pressed;
    if (pressed) {
        start_typematic(key);
    } else if (typematic_.armed() && state_.repeating_key == index) {
        typematic_.cancel();
    }
    if (state_.scanning) send_key(key, pressed);
}

void Ps2Keyboard::start_typematic(Key key) {
    if (key == Key::kPause || (state_.set == 3 && state_.set3_no_repeat[static_cast<unsigned>(key)])) return;
    state_.repeating_key = static_cast<u8>(key);
    typematic_.arm(timers_.now() + first_delay(state_.rate));
}

void Ps2Keyboard::repeat() {
    if (state_.repeating_key >= kKeys || !state_.down[state_.repeating_key]) return;
    // A guest that does not read gets no pile of repeats.
    if (state_.scanning && queue_.empty()) send_key(static_cast<Key>(state_.repeating_key), true);
    typematic_.arm(timers_.now() + repeat_period(state_.rate));
}

void Ps2Keyboard::serialize(Archive& archive) {
    State& s = state_;
    archive(queue_, s.pending_command, s.set, s.leds, s.rate, s.last_sent, s.scanning, s.repeating_key,
            s.set3_make_only, s.set3_no_repeat, s.down);
    serialize_timer(archive, typematic_);
}

void Ps2Keyboard::inspect(Inspector& inspector) const {
    inspector.field("scan code set", state_.set);
    inspector.field("scanning", state_.scanning);
    inspector.hex("LEDs", state_.leds);
    inspector.field("bytes waiting", queue_.size());
}

}  // namespace shadowbox
