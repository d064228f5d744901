// SPDX-License-Identifier: MIT
// A human monitor on a CharLine: prompt, line editing, one command after the other on the command thread.
#pragma once

#include <memory>

#include "ui/control/command_input.h"
#include "ui/monitor/line_editor.h"
#include "ui/monitor/monitor.h"
#include "vmm/lines/char_line.h"

namespace shadowbox {

class MonitorServer {
 public:
    /// `on_stdio`: echoes what is typed if stdin is a terminal (in raw mode then).
    MonitorServer(ProcessControl& control, CommandThread& commands, std::unique_ptr<CharLine> line,
                  bool on_stdio);
    ~MonitorServer();
    void open();
    void close();
    CharLine& line() { return *line_; }

 private:
    static constexpr const char* kPrompt = "(shadowbox) ";
    void connected();
    std::size_t take(std::string_view bytes);

    ProcessControl& control_;
    std::unique_ptr<CharLine> line_;
    const bool on_stdio_;
    CommandInput input_;
    Monitor monitor_;  // command thread only, as the editor
    LineEditor editor_;
    bool greeted_ = false;
};

}  // namespace shadowbox
