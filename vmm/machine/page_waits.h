// SPDX-License-Identifier: MIT
// The device requests of one VM that wait for guest pages. A device parks them under the device lock; the
// device thread (under icount the runner) then asks for the page without any lock, hears of it from whatever
// thread, and lets the device go on under its lock again. A paused machine's requests go on when it does.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "devices/bus/page_waits.h"

namespace shadowbox {

class MachinePageWaits final : public PageWaits {
 public:
    struct Hooks {
        std::function<void()> parked;        ///< device lock held: see to it that ask() is called soon
        std::function<void()> ready;         ///< any thread: run_ready() has work
        std::function<void(Ppn)> want_room;  ///< no lock held: the pool is exhausted
    };
    explicit MachinePageWaits(Hooks hooks);
    ~MachinePageWaits() override;

    void park(GuestMemory& memory, MemoryAnswer answer, std::function<void()> again) override;
    /// No lock held: asks for the pages that requests were parked for since the last call.
    void ask();
    /// Device lock held: those whose page came go on.
    void run_ready();
    /// Whether a request is parked.
    bool any() const;

 private:
    struct Wait {
        GuestMemory* memory;
        MemoryAnswer answer;
        std::function<void()> again;
    };
    /// Shared with the callbacks, which may come after the VM's end.
    struct State {
        mutable std::mutex mutex;
        std::vector<Wait> parked;
        std::vector<std::function<void()>> ready;
        std::size_t count = 0;
        std::function<void()> tell;  ///< empty: the VM ended
    };
    Hooks hooks_;
    std::shared_ptr<State> state_;
};

}  // namespace shadowbox
