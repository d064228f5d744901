// SPDX-License-Identifier: MIT
// One thread that waits for all of the process's descriptors (sockets, standard input) and runs a callback
// when one is ready. Callbacks run on that thread, one at a time, and must not block for long. Used by the
// serial lines and the control sockets.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/host/poll_set.h"
#include "core/integers.h"

namespace shadowbox {

class PollLoop {
 public:
    /// `readable` is also set when the other end is gone: the read then says so.
    using Ready = std::function<void(bool readable, bool writable)>;

    PollLoop();
    ~PollLoop();
    PollLoop(const PollLoop&) = delete;
    PollLoop& operator=(const PollLoop&) = delete;

    /// Watches a descriptor that stays open until unwatch(). Returns a handle.
    unsigned watch(int descriptor, bool read, bool write, Ready ready);
    void change(unsigned handle, bool read, bool write);
    /// After this the callback does not run any more, unless the caller is that callback.
    void unwatch(unsigned handle);
    /// Runs `work` on the thread soon.
    void post(std::function<void()> work);

 private:
    struct Watch {
        int descriptor;
        bool read, write;
        std::shared_ptr<Ready> ready;
    };
    void main();
    void run_posted();
    void run_ready(unsigned handle, bool readable, bool writable);

    PollSet polls_;  // filled and waited on by the thread; others only interrupt()
    std::mutex mutex_;
    std::condition_variable idle_;
    std::map<unsigned, Watch> watches_;  // guarded by mutex_, as all below
    std::vector<std::function<void()>> posted_;
    unsigned next_handle_ = 1;
    unsigned running_ = 0;  // handle whose callback runs now
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace shadowbox
