// SPDX-License-Identifier: MIT
// The PS/2 mouse: standard (ID 0), IntelliMouse with wheel (ID 3) and Explorer with five buttons (ID 4),
// stream and remote mode. Owned by I8042. IBM PS/2 Hardware Technical Reference, "Mouse"; Microsoft's wheel
// extension.
#pragma once

#include <functional>

#include "devices/bus/device.h"
#include "devices/serial/byte_queue.h"

namespace shadowbox {

class Ps2Mouse {
 public:
    explicit Ps2Mouse(std::function<void()> output);

    void reset();
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;

    /// A byte from the host (controller command D4h).
    void command(u8 byte);
    /// Relative motion, right and down positive; wheel: down positive. Buttons: bit 0 left, 1 right, 2
    /// middle, 3, 4 side.
    void move(int dx, int dy, int wheel, u8 buttons);
    bool has_output() const { return !queue_.empty(); }
    u8 take_output();

 private:
    void answer(std::initializer_list<u8> bytes);
    void set_defaults();
    bool argument(u8 byte);
    void sample_rate(u8 rate);
    bool changed() const;
    void send_packet();
    void stream();
    u8 status() const;

    std::function<void()> output_;
    ByteQueue<32> queue_;
    struct State {
        i32 dx, dy, wheel;  // motion not reported yet; dy up positive, as in packets
        u8 buttons, reported_buttons;
        u8 id, pending_command, rate, resolution, last_sent;
        u8 rates[2];  // the two sample rates before, for the wheel's knock
        bool reporting, remote, wrap, scaling2;
    } state_{};
};

}  // namespace shadowbox
