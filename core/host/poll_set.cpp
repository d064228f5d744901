// SPDX-License-Identifier: MIT
#include "core/host/poll_set.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <vector>

#include "core/check.h"

namespace shadowbox {

struct PollSet::Impl {
    std::vector<pollfd> descriptors;
    int pipe[2] = {-1, -1};
};

PollSet::PollSet() : impl_(std::make_unique<Impl>()) {
    VM_CHECK(pipe2(impl_->pipe, O_CLOEXEC | O_NONBLOCK) == 0);
}
PollSet::~PollSet() {
    close(impl_->pipe[0]);
    close(impl_->pipe[1]);
}

void PollSet::clear() { impl_->descriptors.clear(); }

int PollSet::add(int descriptor, unsigned events) {
    short wanted = 0;
    if (events & kRead) wanted |= POLLIN;
    if (events & kWrite) wanted |= POLLOUT;
    if (events & kUrgent) wanted |= POLLPRI;
    impl_->descriptors.push_back({descriptor, wanted, 0});
    return static_cast<int>(impl_->descriptors.size() - 1);
}

void PollSet::wait(int milliseconds) {
    impl_->descriptors.push_back({impl_->pipe[0], POLLIN, 0});
    int found = poll(impl_->descriptors.data(), impl_->descriptors.size(), milliseconds);
    if (found < 0)
        for (pollfd& d : impl_->descriptors) d.revents = 0;
    if (impl_->descriptors.back().revents & POLLIN) {
        char drained[64];
        while (read(impl_->pipe[0], drained, sizeof drained) > 0) {}
    }
    impl_->descriptors.pop_back();
}

unsigned PollSet::events(int index) const {
    if (index < 0 || static_cast<std::size_t>(index) >= impl_->descriptors.size()) return 0;
    short seen = impl_->descriptors[static_cast<std::size_t>(index)].revents;
    return (seen & POLLIN ? kRead : 0u) | (seen & POLLOUT ? kWrite : 0u) | (seen & POLLPRI ? kUrgent : 0u) |
           (seen & (POLLERR | POLLNVAL) ? kError : 0u) | (seen & POLLHUP ? kHangup : 0u);
}

void PollSet::interrupt() {
    char byte = 1;
    [[maybe_unused]] auto written = write(impl_->pipe[1], &byte, 1);
}

}  // namespace shadowbox
