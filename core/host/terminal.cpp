// SPDX-License-Identifier: MIT
// RawTerminal: POSIX termios.
#include "core/host/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace shadowbox {

namespace {

termios saved_settings;
std::atomic<bool> raw_mode{false};

void restore_and_die(int signal_number) {
    restore_terminal();
    // SA_RESETHAND put the default action back: the process ends as it would have without us.
    raise(signal_number);
}

void install_handlers_once() {
    static const bool installed = [] {
        std::atexit([] { restore_terminal(); });
        for (int number : {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGHUP, SIGQUIT}) {
            struct sigaction present {};
            // Somebody's own handler (a sanitizer's, a debugger's) goes first.
            if (sigaction(number, nullptr, &present) != 0 || present.sa_handler != SIG_DFL) continue;
            struct sigaction ours {};
            ours.sa_handler = restore_and_die;
            ours.sa_flags = static_cast<int>(SA_RESETHAND);
            sigaction(number, &ours, nullptr);
        }
        return true;
    }();
    (void)installed;
}

}  // namespace

bool is_terminal(int stream) { return isatty(stream) == 1; }

unsigned terminal_lines(int stream) {
    winsize size{};
    return isatty(stream) == 1 && ioctl(stream, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

unsigned terminal_columns(int stream) {
    winsize size{};
    return isatty(stream) == 1 && ioctl(stream, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

RawTerminal::RawTerminal(bool keep_signals) {
    if (raw_mode.load() || !is_terminal(STDIN_FILENO)) return;
    if (tcgetattr(STDIN_FILENO, &saved_settings) != 0) return;
    install_handlers_once();
    termios raw = saved_settings;
    raw.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | IEXTEN | (keep_signals ? 0 : ISIG));
    raw.c_cflag = (raw.c_cflag & ~static_cast<tcflag_t>(CSIZE | PARENB)) | CS8;
    // c_oflag stays: our own log lines on the same terminal still need their carriage returns.
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    raw_mode = true;
    active_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    if (!active_) raw_mode = false;
}

RawTerminal::~RawTerminal() {
    if (active_) restore_terminal();
}

void restore_terminal() {
    if (raw_mode.exchange(false)) tcsetattr(STDIN_FILENO, TCSANOW, &saved_settings);
}

}  // namespace shadowbox
