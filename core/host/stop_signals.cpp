// SPDX-License-Identifier: MIT
// StopSignals: a handler that writes into a pipe.
#include "core/host/stop_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "core/host/poll_loop.h"
#include "core/host/terminal.h"

namespace shadowbox {

namespace {

int signal_pipe[2] = {-1, -1};
std::atomic<int> signals_seen{0};
constexpr int kStopSignals[] = {SIGTERM, SIGINT, SIGHUP};

void on_stop_signal(int number) {
    int saved = errno;
    if (signals_seen.fetch_add(1) >= 2) {
        restore_terminal();
        _exit(128 + number);
    }
    char byte = 1;
    [[maybe_unused]] auto ignored = write(signal_pipe[1], &byte, 1);
    errno = saved;
}

}  // namespace

StopSignals::StopSignals(PollLoop& loop, std::function<void()> received) : loop_(loop) {
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return;
    watch_ = loop_.watch(signal_pipe[0], true, false, [received = std::move(received)](bool, bool) {
        char bytes[16];
        for (ssize_t count = read(signal_pipe[0], bytes, sizeof bytes); count > 0; --count) received();
    });
    for (int number : kStopSignals) {
        struct sigaction ours {};
        ours.sa_handler = on_stop_signal;
        ours.sa_flags = SA_RESTART;
        sigaction(number, &ours, nullptr);
    }
}

StopSignals::~StopSignals() {
    for (int number : kStopSignals) signal(number, SIG_DFL);
    if (watch_) loop_.unwatch(watch_);
    for (int& end : signal_pipe) {
        if (end >= 0) close(end);
        end = -1;
    }
    signals_seen = 0;
}

}  // namespace shadowbox
