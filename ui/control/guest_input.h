// SPDX-License-Identifier: MIT
// Keys, mouse and power button of one guest, sent through its journal: they reach the devices at a known
// guest time and never make the sender wait. Used by the window, the monitor and the shutdown sequence.
#pragma once

#include <span>

#include "devices/input/keys.h"

namespace shadowbox {

class VirtualMachine;

class GuestInput {
 public:
    /// Before the VM starts.
    explicit GuestInput(VirtualMachine& vm);
    void key(Key key, bool pressed);
    /// Presses all, then releases them in reverse order.
    void combination(std::span<const Key> keys);
    /// Right and down positive; buttons as Ps2Mouse::move() has them.
    void mouse(int dx, int dy, int wheel, u8 buttons);
    void power_button();

 private:
    VirtualMachine& vm_;
    unsigned keyboard_, mouse_, power_;
};

}  // namespace shadowbox
