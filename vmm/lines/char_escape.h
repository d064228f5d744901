// SPDX-License-Identifier: MIT
// The escape key of the terminal, Ctrl-A as in QEMU: what the next key means. Pure state machine; CharConsole
// acts on it.
#pragma once

#include "core/integers.h"

namespace shadowbox {

class EscapeKey {
 public:
    enum class Action : u8 { kPass, kNothing, kQuit, kMonitor, kNextGuest, kHelp };
    static constexpr u8 kKey = 0x01;

    /// kPass: the byte goes to whoever has the input.
    Action feed(u8 byte) {
        if (!armed_) {
            armed_ = byte == kKey;
            return armed_ ? Action::kNothing : Action::kPass;
        }
        armed_ = false;
        switch (byte) {
            case kKey: return Action::kPass;
            case 'x':
            case 'X': return Action::kQuit;
            case 'c':
            case 'C': return Action::kMonitor;
            case 'n':
            case 'N': return Action::kNextGuest;
            case 'h':
            case 'H':
            case '?': return Action::kHelp;
            default: return Action::kNothing;
        }
    }

 private:
    bool armed_ = false;
};

}  // namespace shadowbox
