// SPDX-License-Identifier: MIT
// The keyboard at the end of the PS/2 cable: scan code sets 1-3, typematic repeat, its command set. It speaks
// its selected set; translation to set 1 is the controller's (i8042.h). Owned by I8042, which tells it when
// its bytes went out. IBM PS/2 Hardware Technical Reference, "Keyboard (101- and 102-key)".
#pragma once

#include <functional>
#include <span>

#include "devices/bus/device.h"
#include "devices/input/keys.h"
#include "devices/serial/byte_queue.h"

namespace shadowbox {

class Ps2Keyboard {
 public:
    /// `output` is called when bytes wait in the queue.
    Ps2Keyboard(TimerQueue& timers, std::function<void()> output);

    void reset();
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;

    /// A byte from the host (port 60h).
    void command(u8 byte);
    void key_event(Key key, bool pressed);
    bool has_output() const { return !queue_.empty(); }
    u8 take_output() { return queue_.pop(); }
    /// Bit 0 scroll lock, 1 num lock, 2 caps lock.
    u8 leds() const { return state_.leds; }

 private:
    static constexpr unsigned kKeys = static_cast<unsigned>(Key::kCount);
    // The keyboard's own buffer holds 16 key bytes; command answers need some room beside them.
    static constexpr unsigned kKeyBytes = 16, kQueue = 24;

    void answer(std::initializer_list<u8> bytes);
    void set_defaults();
    void set_key_types(u8 command);
    bool argument(u8 byte);
    void send_codes(std::span<const u8> bytes);
    void send_key(Key key, bool pressed);
    void send_pause();
    void send_print(bool pressed);
    void start_typematic(Key key);
    void repeat();

    std::function<void()> output_;
    TimerQueue& timers_;
    Timer typematic_;
    ByteQueue<kQueue> queue_;
    struct State {
        u8 pending_command;  // a command that waits for its argument, or 0
        u8 set;              // 1, 2, 3
        u8 leds, rate, last_sent;
        bool scanning;
        u8 repeating_key;
        // Set 3 only: what each key sends.
        bool set3_make_only[kKeys], set3_no_repeat[kKeys];
        bool down[kKeys];
    } state_{};
};

}  // namespace shadowbox
