// SPDX-License-Identifier: MIT
#include "ui/monitor/monitor_server.h"

#include "core/host/terminal.h"

namespace shadowbox {

MonitorServer::MonitorServer(ProcessControl& control, CommandThread& commands, std::unique_ptr<CharLine> line,
                             bool on_stdio)
    : control_(control),
      line_(std::move(line)),
      on_stdio_(on_stdio),
      input_(commands, *line_, false,
             {[this] { connected(); }, [this](std::string_view bytes) { return take(bytes); }}),
      monitor_(control),
      editor_(on_stdio && is_terminal(0),
              [this](std::string_view prefix) { return monitor_.complete(prefix); }) {}

MonitorServer::~MonitorServer() { close(); }

void MonitorServer::open() { input_.open(); }

void MonitorServer::connected() {
    if (!on_stdio_) editor_.reset();
    if (!std::exchange(greeted_, on_stdio_))
        input_.send("shadowbox monitor - type 'help' for more information\n");
    input_.send(std::string(kPrompt) + editor_.typed());
}

void MonitorServer::close() { line_->close(); }

std::size_t MonitorServer::take(std::string_view bytes) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (!editor_.feed(bytes[i], out)) continue;
        out += monitor_.execute(editor_.line());
        if (!monitor_.quit_asked()) out += kPrompt;
        input_.send(out);
        if (monitor_.quit_asked()) control_.quit();
        return i + 1;
    }
    if (!out.empty()) input_.send(out);
    return bytes.size();
}

}  // namespace shadowbox
