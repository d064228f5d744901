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
    void feed(std::string_view bytes) {
        while (!bytes.empty()) bytes.remove_prefix(feed_one(bytes));
    }
    /// Takes bytes up to the end of one command and carries it out; how many it took.
    std::size_t feed_one(std::string_view bytes);
    void event(const char* name, const std::string& guest, int exit_status);
    bool quit_asked() const { return quit_; }

 private:
    static constexpr std::size_t kLongest = 1 << 20;
    static constexpr int kDeepest = 1024;  // as QEMU
    bool discard(char byte);
    void refuse(const char* why);
    void note_text(char byte);
    void command(const std::string& text);
    ProcessControl& control_;
    Send send_;
    Monitor monitor_;
    std::string pending_;  // an object not finished yet
    int depth_ = 0;        // of braces in `pending_`
    bool in_string_ = false, escaped_ = false;
    bool discarding_ = false;  // the rest of what was refused, up to its end or that of the line
    bool negotiated_ = false, quit_ = false, host_reset_ = false;
};

}  // namespace shadowbox
