// SPDX-License-Identifier: MIT
// One serial port's back end: output goes to a CharLine and to a log file, input comes from the line through
// the VM's journal and waits here until the device has room. Lives longer than the VM.
#pragma once

#include <atomic>
#include <deque>
#include <memory>

#include "core/host/stream.h"
#include "devices/serial/char_backend.h"
#include "vmm/lines/char_line.h"

namespace shadowbox {

class Journal;

class CharPort final : public CharBackend {
 public:
    /// `line` nullptr: nothing plugged in at the far end. `log` receives a copy of the output.
    explicit CharPort(std::unique_ptr<CharLine> line, Stream log = {});
    ~CharPort() override;

    /// Before the VM starts; opens the line.
    void connect(Journal& journal, const std::string& name);
    /// No input after this. Before the VM is destroyed.
    void disconnect();
    CharLine* line() { return line_.get(); }

    // --- CharBackend, under the device lock ---
    void write(std::span<const u8> bytes) override;
    void receiver_ready() override;

 private:
    /// Input beyond this waits at its sender.
    static constexpr std::size_t kHoldAbove = 64 << 10, kResumeBelow = 16 << 10;
    void input(std::span<const u8> bytes);
    void deliver();

    std::unique_ptr<CharLine> line_;
    Stream log_;
    bool log_told_ = false;
    Journal* journal_ = nullptr;
    unsigned source_ = 0;
    std::deque<u8> waiting_;  // guarded by the device lock
    std::atomic<std::size_t> undelivered_{0};
    std::atomic<bool> held_{false};
};

}  // namespace shadowbox
