// SPDX-License-Identifier: MIT
// A process that leaves its terminal, and the file that says which process it is.
#pragma once

#include <string>

#include "core/error.h"

namespace shadowbox {

/// -daemonize: the process goes on as a child in a session of its own. The parent waits in the constructor
/// until the child is ready() (it then exits with 0) or has ended (it exits with its status). Before any
/// thread.
class Daemon {
 public:
    static Expected<Daemon> start();
    /// Errors can no longer happen: lets the terminal and the parent go.
    void ready();

 private:
    explicit Daemon(int pipe) : pipe_(pipe) {}
    int pipe_;
};

/// Holds the process's id while it lives; removes the file at its end.
class PidFile {
 public:
    PidFile() = default;
    ~PidFile();
    PidFile(const PidFile&) = delete;
    PidFile& operator=(const PidFile&) = delete;
    Expected<void> write(const std::string& path);

 private:
    std::string path_;
};

}  // namespace shadowbox
