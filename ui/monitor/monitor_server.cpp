// SPDX-License-Identifier: MIT
#include "ui/monitor/monitor_server.h"

#include "core/host/terminal.h"

namespace shadowbox {

MonitorServer::MonitorServer(ProcessControl& control, CommandThread& commands, std::unique_ptr<CharLine> line,
                             bool on_stdio)
    : control_(control),
      commands_(commands),
      line_(std::move(line)),
      on_stdio_(on_stdio),
      monitor_(control),
      editor_(on_stdio && is_terminal(0),
              [this](std::string_view prefix) { return monitor_.complete(prefix); }) {}

MonitorServer::~MonitorServer() { close(); }

void MonitorServer::open() {
    line_->on_input([this](std::span<const u8> bytes) {
        commands_.post([this, text = std::string(bytes.begin(), bytes.end())] { input(text); });
    });
    line_->on_connect([this] {
        commands_.post([this] {
            if (!on_stdio_) editor_.reset();
            if (!std::exchange(greeted_, on_stdio_))
                show("shadowbox monitor - type 'help' for more information\n");
            show(std::string(kPrompt) + editor_.typed());
        });
    });
    line_->open();
}

void MonitorServer::close() { line_->close(); }

void MonitorServer::show(std::string_view text) {
    line_->send({reinterpret_cast<const u8*>(text.data()), text.size()});
}

void MonitorServer::input(std::string bytes) {
    for (char byte : bytes) {
        std::string out;
        bool complete = editor_.feed(byte, out);
        if (!out.empty()) show(out);
        if (!complete) continue;
        show(monitor_.execute(editor_.line()));
        if (monitor_.quit_asked()) return control_.quit();
        show(kPrompt);
    }
}

}  // namespace shadowbox
