// SPDX-License-Identifier: MIT
// The small control ports of a PC board: the A20 gate with its two doors (port 92h and the keyboard
// controller), fast reset in port 92h, and the PIIX3's reset control register CF9h. PIIX3 DS 2.5.5, PS/2 port
// 92h.
#pragma once

#include <functional>

#include "devices/bus/device.h"

namespace shadowbox {

/// One gate, whichever door moved it last: guests that close it through one door and test at the other see
/// it.
class A20Gate {
 public:
    /// `changed` switches the memory's A20 mask.
    explicit A20Gate(std::function<void(bool enabled)> changed) : changed_(std::move(changed)) {}
    bool enabled() const { return enabled_; }
    void set(bool enabled) {
        if (enabled == enabled_) return;
        enabled_ = enabled;
        if (changed_) changed_(enabled);
    }
    /// The level only: whoever loads a save state also loads the memory's mask, or calls apply().
    void serialize(Archive& archive) { archive(enabled_); }
    void apply() {
        if (changed_) changed_(enabled_);
    }

 private:
    std::function<void(bool)> changed_;
    bool enabled_ = true;  // open at reset, or the reset vector at FFFFFFF0h would not be reached
};

class SystemControl final : public Device {
 public:
    SystemControl(A20Gate& a20, std::function<void()> reset_machine);

    std::string_view name() const override { return "system-control"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& port_92() { return port_92_; }  ///< 1 port
    /// CF9h. It lies inside the PCI configuration address port: the PCI host forwards byte accesses here.
    PortHandler& reset_control() { return reset_control_; }

 private:
    A20Gate& a20_;
    std::function<void()> reset_machine_;
    PortFunctions port_92_, reset_control_;
    u8 port_92_latch_ = 0, reset_latch_ = 0;
};

}  // namespace shadowbox
