// SPDX-License-Identifier: MIT
// What a control connection sends, command by command, on the command thread. Commands and answers belong to
// the connection they came from: an answer never reaches the next caller, and nothing waits for a caller who
// has left. While a caller does not read, its commands wait at its side of the socket. Used by MonitorServer
// and QmpServer.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "core/integers.h"
#include "ui/control/command_thread.h"
#include "vmm/lines/char_line.h"

namespace shadowbox {

class CommandInput {
 public:
    struct Handlers {
        std::function<void()> connected;
        /// Carries out at most one command; how many bytes it took.
        std::function<std::size_t(std::string_view)> take;
    };
    /// `drop_at_hang_up`: commands that were not reached when their sender left are not carried out; else
    /// they are, unless somebody else has connected.
    CommandInput(CommandThread& commands, CharLine& line, bool drop_at_hang_up, Handlers handlers);
    /// Opens the line.
    void open();
    /// To the caller whose command runs, or who is there now; command thread.
    void send(std::string_view text);

 private:
    /// Input beyond this waits at its sender.
    static constexpr std::size_t kHoldAbove = 64 << 10, kResumeBelow = 16 << 10;
    void waits(std::size_t bytes);
    void taken(std::size_t bytes);
    void drop();
    void work();
    CommandThread& commands_;
    CharLine& line_;
    const bool drop_at_hang_up_;
    Handlers handlers_;
    std::atomic<u64> left_{~u64{0}};  // the last connection that hung up
    std::mutex mutex_;
    std::size_t waiting_ = 0;  // bytes told and not taken; guarded by mutex_, as below
    bool held_ = false;
    // command thread only
    std::string pending_;
    u64 connection_ = 0;
};

}  // namespace shadowbox
