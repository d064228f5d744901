// SPDX-License-Identifier: MIT
// The program: command line in, exit status out. All errors of the user end here as one line and status 2.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>

#include "core/host/daemon.h"
#include "core/host/host_memory.h"
#include "core/host/stream.h"
#include "core/log.h"
#include "ui/display/sdl_display.h"
#include "ui/options/option_table.h"
#include "ui/session/session.h"

namespace shadowbox {

namespace {

int wrong(const Error& error) {
    std::fprintf(stderr, "shadowbox: %s\n", error.text().c_str());
    return 2;
}

int run_main(const std::vector<std::string>& arguments) {
    init_logging(false);
    ignore_write_signals();
    auto invocation = parse_command_line(arguments);
    if (!invocation) return wrong(invocation.error());
    if (!invocation->help.empty()) {
        // A full disk or a closed pipe behind us shows when the buffer goes.
        if (std::fputs(invocation->help.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return 0;
        return wrong(
            Error{ErrorCode::kIo, fmt::format("cannot write to standard output: {}", std::strerror(errno))});
    }
    if (invocation->host.verbose) init_logging(true);
    if (auto ok = settle(*invocation, display_available()); !ok) return wrong(ok.error());
    std::optional<Daemon> daemon;
    if (invocation->daemonize) {
        auto started = Daemon::start();
        if (!started) return wrong(started.error());
        daemon = *started;
    }
    PidFile pid_file;
    std::string pid_path = invocation->pid_file;
    Session session(std::move(*invocation));
    if (auto ok = session.build(); !ok) return wrong(ok.error());
    if (!pid_path.empty())
        if (auto ok = pid_file.write(pid_path); !ok) return wrong(ok.error());
    if (daemon) daemon->ready();
    return session.run();
}

}  // namespace

}  // namespace shadowbox

int main(int argc, char** argv) {
    shadowbox::keep_heap_small();
    try {
        return shadowbox::run_main({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fprintf(stderr, "shadowbox: %s\n", error.what());
        return 2;
    }
}
