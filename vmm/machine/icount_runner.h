// SPDX-License-Identifier: MIT
// The one thread that drives every VM under -icount, in rounds: each VM that may run gets the same stretch of
// guest time, one after the other, and then the services of that time run. The host's guest time is the
// number of rounds, in which at least one VM went on. A VM that is paused, blocked or waits for input is
// passed over and takes up its round where it left it; where its rounds end depends on its own guest time
// alone, so what other guests do changes nothing in it.
#pragma once

#include <atomic>
#include <thread>

#include "core/clock.h"
#include "core/host/thread.h"

namespace shadowbox {

class Host;

class IcountRunner {
 public:
    static constexpr GuestNs kRound = 1'000'000;

    explicit IcountRunner(Host& host) : host_(host) {}
    ~IcountRunner() { stop(); }
    void start();
    void stop();
    /// Something came that may let a VM go on: input, a reset, the end of a pause.
    void wake() { wake_.signal(); }

 private:
    void main();
    Host& host_;
    WakeEvent wake_;
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace shadowbox
