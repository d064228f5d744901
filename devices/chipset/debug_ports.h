// SPDX-License-Identifier: MIT
// QEMU's debug ports, which SeaBIOS, OVMF and kernel unit tests know: the firmware debug console at 402h, the
// exit device at F4h, and the POST code at 80h.
#pragma once

#include <functional>
#include <string>

#include "devices/bus/device.h"

namespace shadowbox {

class DebugPorts final : public Device {
 public:
    /// `line` gets each complete line of firmware output; `exit` gets (value << 1) | 1, QEMU's exit status.
    DebugPorts(std::function<void(const std::string& line)> line, std::function<void(int status)> exit);

    std::string_view name() const override { return "debug-ports"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& console() { return console_; }   ///< 402h
    PortHandler& exit_device() { return exit_; }  ///< F4h-F7h
    PortHandler& post_code() { return post_; }    ///< 80h

 private:
    void put(u8 byte);

    std::function<void(const std::string&)> line_;
    std::function<void(int)> exit_guest_;
    PortFunctions console_, exit_, post_;
    std::string pending_;
    u8 post_value_ = 0;
};

}  // namespace shadowbox
