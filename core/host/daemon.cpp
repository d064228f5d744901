// SPDX-License-Identifier: MIT
// Daemon: POSIX.
#include "core/host/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace shadowbox {

Expected<Daemon> Daemon::start() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return make_error(ErrorCode::kIo, "cannot make a pipe: {}", std::strerror(errno));
    pid_t child = fork();
    if (child < 0) return make_error(ErrorCode::kIo, "cannot fork: {}", std::strerror(errno));
    if (child == 0) {
        close(ends[0]);
        setsid();
        return Daemon(ends[1]);
    }
    close(ends[1]);
    char byte;
    ssize_t got;
    do got = read(ends[0], &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got == 1) _exit(0);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

void Daemon::ready() {
    if (int null = open("/dev/null", O_RDWR); null >= 0) {
        for (int standard = 0; standard < 3; ++standard) dup2(null, standard);
        if (null > 2) close(null);
    }
    char byte = 1;
    [[maybe_unused]] ssize_t ignored = ::write(pipe_, &byte, 1);
    close(pipe_);
}

PidFile::~PidFile() {
    if (!path_.empty()) unlink(path_.c_str());
}

Expected<void> PidFile::write(const std::string& path) {
    int file = open(path.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);
    std::string text = std::to_string(getpid()) + "\n";
    bool written = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    int problem = errno;
    if (file >= 0) close(file);
    if (!written)
        return make_error(ErrorCode::kIo, "-pidfile: cannot write '{}': {}", path, std::strerror(problem));
    path_ = path;
    return {};
}

}  // namespace shadowbox
