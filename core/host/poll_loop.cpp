// SPDX-License-Identifier: MIT
// PollLoop: callbacks on top of a PollSet.
#include "core/host/poll_loop.h"

#include "core/host/thread.h"

namespace shadowbox {

PollLoop::PollLoop() : thread_([this] { main(); }) {}

PollLoop::~PollLoop() {
    {
        std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    polls_.interrupt();
    thread_.join();
}

unsigned PollLoop::watch(int descriptor, bool read, bool write, Ready ready) {
    unsigned handle;
    {
        std::lock_guard lock(mutex_);
        handle = next_handle_++;
        watches_[handle] = {descriptor, read, write, std::make_shared<Ready>(std::move(ready))};
    }
    polls_.interrupt();
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
    polls_.interrupt();
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
    polls_.interrupt();
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
    std::vector<unsigned> handles;  // by index in polls_
    for (;;) {
        polls_.clear();
        handles.clear();
        {
            std::lock_guard lock(mutex_);
            if (stopping_) return;
            for (auto& [handle, watch] : watches_) {
                if (!watch.read && !watch.write) continue;  // poll would report a hang-up forever
                polls_.add(watch.descriptor,
                           (watch.read ? PollSet::kRead : 0u) | (watch.write ? PollSet::kWrite : 0u));
                handles.push_back(handle);
            }
        }
        polls_.wait(-1);
        run_posted();
        for (std::size_t i = 0; i < handles.size(); ++i) {
            unsigned events = polls_.events(static_cast<int>(i));
            if (!events) continue;
            bool gone = events & (PollSet::kHangup | PollSet::kError);
            run_ready(handles[i], gone || (events & PollSet::kRead), gone || (events & PollSet::kWrite));
        }
    }
}

}  // namespace shadowbox
