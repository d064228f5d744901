// SPDX-License-Identifier: MIT
// The thread on which monitor and QMP commands run, one after the other: they may wait for a guest to stand
// still, which the poll thread must not.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace shadowbox {

class CommandThread {
 public:
    CommandThread();
    ~CommandThread();
    void post(std::function<void()> work);
    /// Waits until everything posted so far has run. Not from the thread itself.
    void drain();
    /// Runs what is posted, then ends.
    void finish();

 private:
    void main();
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::function<void()>> work_;
    bool busy_ = false, ending_ = false;
    std::thread thread_;
};

}  // namespace shadowbox
