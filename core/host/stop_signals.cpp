// SPDX-License-Identifier: MIT
// StopSignals: a handler that writes into a pipe.
#include "core/host/stop_signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <utility>

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
    signals_seen = 0;
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
    if (watch_) loop_.unwatch(watch_);
    // The handlers stay: the process ends anyhow, in good order, and a signal now must not kill it on the
    // way; one more does. They write nowhere from here on.
    sigset_t ours, before;
    sigemptyset(&ours);
    for (int number : kStopSignals) sigaddset(&ours, number);
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    for (int& end : signal_pipe) {
        int closing = std::exchange(end, -1);
        if (closing >= 0) close(closing);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace shadowbox
