// SPDX-License-Identifier: MIT
// The one door through which anything from outside reaches a guest: keys, packets, serial bytes, monitor
// commands that touch it. Any thread posts; the VM applies entries under its device lock at a known guest
// time. Recording these is record/replay.
#pragma once

#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/clock.h"

namespace shadowbox {

class Journal {
 public:
    using Apply = std::function<void(std::span<const u8>)>;
    using Observer = std::function<void(GuestNs when, const std::string& source, std::span<const u8> bytes)>;

    /// Registers a source of input, before the VM starts. `apply` runs under the device lock.
    unsigned add_source(std::string name, Apply apply);
    /// From any thread. Wakes the VM.
    void post(unsigned source, std::vector<u8> bytes);
    void on_post(std::function<void()> wake) { wake_ = std::move(wake); }
    /// Sees every entry as it is applied (recording).
    void set_observer(Observer observer) { observer_ = std::move(observer); }
    /// Applies all entries posted so far. Device lock held.
    void apply_all(GuestNs now);
    bool empty() const;
    /// The VM has ended: what is posted from now on goes nowhere.
    void close();

 private:
    struct Source {
        std::string name;
        Apply apply;
    };
    struct Entry {
        unsigned source;
        std::vector<u8> bytes;
    };
    std::vector<Source> sources_;
    mutable std::mutex mutex_;
    std::vector<Entry> entries_;  // guarded by mutex_
    bool closed_ = false;         // guarded by mutex_
    std::function<void()> wake_;
    Observer observer_;
};

}  // namespace shadowbox
