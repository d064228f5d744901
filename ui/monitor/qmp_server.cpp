// SPDX-License-Identifier: MIT
#include "ui/monitor/qmp_server.h"

#include "vmm/machine/host.h"

namespace shadowbox {

QmpServer::QmpServer(ProcessControl& control, CommandThread& commands, std::unique_ptr<CharLine> line)
    : control_(control),
      commands_(commands),
      line_(std::move(line)),
      input_(commands, *line_, true,
             {[this] { connection_.connected(); },
              [this](std::string_view bytes) {
                  std::size_t took = connection_.feed_one(bytes);
                  if (connection_.quit_asked()) control_.quit();
                  return took;
              }}),
      connection_(control, [this](const std::string& text) { input_.send(text + "\r\n"); }) {}

QmpServer::~QmpServer() { close(); }

void QmpServer::open() { input_.open(); }

void QmpServer::close() { line_->close(); }

void QmpServer::vm_event(VmId guest, VmEvent event) {
    static constexpr const char* kNames[] = {"STOP", "RESUME", "RESET", "SHUTDOWN"};
    commands_.post([this, guest, name = kNames[static_cast<int>(event)]] {
        if (VmHandle vm = control_.host().find(guest)) connection_.event(name, vm->name(), vm->exit_status());
    });
}

}  // namespace shadowbox
