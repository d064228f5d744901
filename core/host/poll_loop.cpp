// SPDX-License-Identifier: MIT
// PollLoop: poll(2) and a pipe to wake it.
#include "core/host/poll_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "core/host/thread.h"

namespace shadowbox {

PollLoop::PollLoop() {
    if (pipe2(wake_pipe_, O_CLOEXEC | O_NONBLOCK) != 0) wake_pipe_[0] = wake_pipe_[1] = -1;
    thread_ = std::thread([this] { main(); });
}

PollLoop::~PollLoop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake();
    thread_.join();
    for (int end : wake_pipe_)
        if (end >= 0) close(end);
}

void PollLoop::wake() {
    char byte = 0;
    [[maybe_unused]] auto ignored = ::write(wake_pipe_[1], &byte, 1);  // a full pipe wakes as well
}

unsigned PollLoop::watch(int descriptor, bool read, bool write, Ready ready) {
    unsigned handle;
    {
        std::lock_guard lock(mutex_);
        handle = next_handle_++;
        watches_[handle] = {descriptor, read, write, std::make_shared<Ready>(std::move(ready))};
    }
    wake();
    return handle;
}

void PollLoop::change(unsigned handle, bool read, bool write) {
    {
        std::lock_guard lock(mutex_);
        auto found = watches_.find(handle);
        if (found == watches_.end() || (found->second.read == read && found->second.write == write)) return;
        found->second.read = read;
        found->second.write = write;
    }
    wake();
}

void PollLoop::unwatch(unsigned handle) {
    std::unique_lock lock(mutex_);
    watches_.erase(handle);
    if (std::this_thread::get_id() != thread_.get_id()) idle_.wait(lock, [&] { return running_ != handle; });
}

void PollLoop::post(std::function<void()> work) {
    {
        std::lock_guard lock(mutex_);
        posted_.push_back(std::move(work));
    }
    wake();
}

void PollLoop::run_posted() {
    std::vector<std::function<void()>> work;
    {
        std::lock_guard lock(mutex_);
        work.swap(posted_);
    }
    for (auto& item : work) item();
}

void PollLoop::run_ready(unsigned handle, bool readable, bool writable) {
    std::shared_ptr<Ready> ready;
    {
        std::lock_guard lock(mutex_);
        auto found = watches_.find(handle);
        if (found == watches_.end()) return;  // an earlier callback of this round removed it
        // What is not asked for any more is not told; a hang-up always is.
        readable &= found->second.read;
        writable &= found->second.write;
        if (!readable && !writable) return;
        ready = found->second.ready;
        running_ = handle;
    }
    (*ready)(readable, writable);
    std::lock_guard lock(mutex_);
    running_ = 0;
    idle_.notify_all();
}

void PollLoop::main() {
    name_thread("poll");
    std::vector<pollfd> descriptors;
    std::vector<unsigned> handles;
    for (;;) {
        descriptors.assign(1, {wake_pipe_[0], POLLIN, 0});
        handles.assign(1, 0);
        {
            std::lock_guard lock(mutex_);
            if (stopping_) return;
            for (auto& [handle, watch] : watches_) {
                if (!watch.read && !watch.write) continue;  // poll would report a hang-up forever
                short events = static_cast<short>((watch.read ? POLLIN : 0) | (watch.write ? POLLOUT : 0));
                descriptors.push_back({watch.descriptor, events, 0});
                handles.push_back(handle);
            }
        }
        if (poll(descriptors.data(), descriptors.size(), -1) <= 0) continue;
        if (descriptors[0].revents) {
            char drained[64];
            while (::read(wake_pipe_[0], drained, sizeof drained) > 0) {
            }
        }
        run_posted();
        for (std::size_t i = 1; i < descriptors.size(); ++i) {
            short events = descriptors[i].revents;
            if (!events) continue;
            bool gone = events & (POLLHUP | POLLERR | POLLNVAL);
            run_ready(handles[i], gone || (events & POLLIN), gone || (events & POLLOUT));
        }
    }
}

}  // namespace shadowbox
