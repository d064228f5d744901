// SPDX-License-Identifier: MIT
#include "ui/monitor/qmp_server.h"

#include "vmm/machine/host.h"

namespace shadowbox {

QmpServer::QmpServer(ProcessControl& control, CommandThread& commands, std::unique_ptr<CharLine> line)
    : control_(control),
      commands_(commands),
      line_(std::move(line)),
      connection_(control, [this](const std::string& text) {
          std::string bytes = text + "\r\n";
          line_->send({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
      }) {}

QmpServer::~QmpServer() { close(); }

void QmpServer::open() {
    line_->on_connect([this] { commands_.post([this] { connection_.connected(); }); });
    line_->on_input([this](std::span<const u8> bytes) {
        commands_.post([this, text = std::string(bytes.begin(), bytes.end())] {
            connection_.feed(text);
            if (connection_.quit_asked()) control_.quit();
        });
    });
    line_->open();
}

void QmpServer::close() { line_->close(); }

void QmpServer::vm_event(VmId guest, VmEvent event) {
    static constexpr const char* kNames[] = {"STOP", "RESUME", "RESET", "SHUTDOWN"};
    commands_.post([this, guest, name = kNames[static_cast<int>(event)]] {
        if (VmHandle vm = control_.host().find(guest)) connection_.event(name, vm->name(), vm->exit_status());
    });
}

}  // namespace shadowbox
