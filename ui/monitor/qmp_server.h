// SPDX-License-Identifier: MIT
// QMP on a CharLine: one client at a time, commands on the command thread, events of all guests.
#pragma once

#include <memory>

#include "ui/control/command_input.h"
#include "ui/monitor/qmp.h"
#include "vmm/lines/char_line.h"

namespace shadowbox {

class QmpServer {
 public:
    QmpServer(ProcessControl& control, CommandThread& commands, std::unique_ptr<CharLine> line);
    ~QmpServer();
    void open();
    void close();
    CharLine& line() { return *line_; }
    /// From any thread.
    void vm_event(VmId guest, VmEvent event);

 private:
    ProcessControl& control_;
    CommandThread& commands_;
    std::unique_ptr<CharLine> line_;
    CommandInput input_;
    QmpConnection connection_;  // command thread only
};

}  // namespace shadowbox
