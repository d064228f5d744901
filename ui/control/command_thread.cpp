// SPDX-License-Identifier: MIT
#include "ui/control/command_thread.h"

#include "core/host/thread.h"

namespace shadowbox {

CommandThread::CommandThread() : thread_([this] { main(); }) {}

CommandThread::~CommandThread() { finish(); }

void CommandThread::post(std::function<void()> work) {
    std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    changed_.notify_all();
}

void CommandThread::drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return work_.empty() && !busy_; });
}

void CommandThread::finish() {
    {
        std::lock_guard lock(mutex_);
        ending_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

void CommandThread::main() {
    name_thread("commands");
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return !work_.empty() || ending_; });
        if (work_.empty()) return;
        std::vector<std::function<void()>> work;
        work.swap(work_);
        busy_ = true;
        lock.unlock();
        for (auto& item : work) item();
        lock.lock();
        busy_ = false;
        changed_.notify_all();
    }
}

}  // namespace shadowbox
