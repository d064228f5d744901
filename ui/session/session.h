// SPDX-License-Identifier: MIT
// One run of the program: builds the host, the guests and their outside ends, waits until the last guest
// ended, and takes everything apart in the right order. main() and nobody else makes one.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "core/host/poll_loop.h"
#include "core/host/stop_signals.h"
#include "ui/control/command_thread.h"
#include "ui/control/process_control.h"
#include "ui/options/invocation.h"
#include "vmm/lines/char_console.h"
#include "vmm/lines/char_port.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"
#include "vmm/memory/memory_policies.h"

namespace shadowbox {

class MonitorServer;
class PoolTable;
class QmpServer;
class SdlDisplay;

class Session final : public ProcessControl {
 public:
    explicit Session(Invocation invocation);
    ~Session() override;

    /// Everything that can be the user's mistake.
    Expected<void> build();
    /// Until the last guest ended. Returns the exit status.
    int run();

    // --- ProcessControl ---
    Host& host() override { return *host_; }
    MemoryPolicies& policies() override { return *policies_; }
    GuestInput& input(VmId guest) override;
    ScreenSource* screen(VmId guest) override;
    void quit() override;

 private:
    Expected<void> build_guests();
    Expected<std::vector<CharBackend*>> open_lines(const MachineConfig& machine,
                                                   const std::vector<CharConfig>& lines);
    Expected<void> build_monitors();
    Expected<std::unique_ptr<CharLine>> monitor_line(const ChardevConfig& config);
    void wait_for_callers();
    void wait_until_ended();
    void stop_requested();
    void tell_notes() const;
    void press_power_buttons();
    void vm_event(VmId id, VmEvent event);
    void report();
    int exit_status() const;

    Invocation invocation_;
    PollLoop loop_;
    CharConsole console_;
    std::vector<std::unique_ptr<CharPort>> ports_;
    std::unique_ptr<TranslationLog> translation_log_;
    std::unique_ptr<Host> host_;
    std::unique_ptr<MemoryPolicies> policies_;
    struct Guest {
        VmHandle vm;
        std::unique_ptr<GuestInput> input;
    };
    std::vector<Guest> guests_;  // all that there were, also when they are removed from the host
    std::unique_ptr<MonitorServer> monitor_;
    std::unique_ptr<QmpServer> qmp_;
    CommandThread commands_;
    std::unique_ptr<SdlDisplay> display_;
    std::unique_ptr<PoolTable> pool_table_;
    std::unique_ptr<StopSignals> signals_;

    std::mutex mutex_;
    std::condition_variable changed_;
    unsigned stop_requests_ = 0;  // guarded by mutex_
    bool quit_ = false;           // guarded by mutex_
};

}  // namespace shadowbox
