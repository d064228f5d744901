// SPDX-License-Identifier: MIT
// The QEMU Machine Protocol, one connection: JSON text in, JSON lines out. Knows no socket (qmp_server.h).
// Runs on the command thread. docs/interop/qmp-spec of QEMU is the specification.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ui/monitor/monitor.h"

namespace shadowbox {

class QmpConnection {
 public:
    using Send = std::function<void(const std::string& line)>;
    /// `send` gets whole lines without their end.
    QmpConnection(ProcessControl& control, Send send);
    /// A client connected: greets it, capabilities are to be negotiated anew.
    void connected();
    /// Bytes as they come; commands may be split anywhere and need no line ends.
    void feed(std::string_view bytes);
    void event(const char* name, const std::string& guest, int exit_status);
    bool quit_asked() const { return quit_; }

 private:
    static constexpr std::size_t kLongest = 1 << 20;
    void command(const std::string& text);
    ProcessControl& control_;
    Send send_;
    Monitor monitor_;
    std::string pending_;  // an object not finished yet
    int depth_ = 0;        // of braces in `pending_`
    bool in_string_ = false, escaped_ = false;
    bool negotiated_ = false, quit_ = false, host_reset_ = false;
};

}  // namespace shadowbox
