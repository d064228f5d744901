// SPDX-License-Identifier: MIT
// The host terminal as a serial console: raw mode while a RawTerminal lives, restored when it ends, when the
// process exits, and when it dies of a signal.
#pragma once

namespace shadowbox {

/// Whether a standard stream (0 stdin, 1 stdout, 2 stderr) is a terminal.
bool is_terminal(int stream);

class RawTerminal {
 public:
    /// Switches stdin's terminal to raw mode: no echo, no line editing, and no signals from keys unless
    /// `keep_signals`. Does nothing if stdin is no terminal or another RawTerminal lives.
    explicit RawTerminal(bool keep_signals = false);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
    bool active() const { return active_; }

 private:
    bool active_ = false;
};

/// Lines of the terminal behind a standard stream; 0 if it is none or does not say.
unsigned terminal_lines(int stream);
unsigned terminal_columns(int stream);

/// Puts the terminal back as it was found. Safe in a signal handler; harmless when nothing was changed.
void restore_terminal();

}  // namespace shadowbox
