// SPDX-License-Identifier: MIT
// The human monitor: QEMU's command names on the guests of this process. execute() takes a line and returns
// what it printed. Runs on the command thread; knows no terminal (monitor_server.h) and no protocol (qmp.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "ui/control/process_control.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

/// How `x` shows memory; kept from one command to the next.
struct MemoryFormat {
    u64 count = 1;
    char letter = 'x';  ///< x d u o c i
    unsigned size = 4;
};

class Monitor {
 public:
    explicit Monitor(ProcessControl& control) : control_(control) {}

    /// Text ending with a newline, or nothing.
    std::string execute(std::string_view line);
    /// `quit` was asked for: the caller shows the output, then calls control().quit().
    bool quit_asked() const { return quit_asked_; }
    std::vector<std::string> complete(std::string_view prefix) const;

    // --- for the commands ---
    ProcessControl& control() { return control_; }
    /// The chosen guest; it stays one when it has ended or was removed.
    VirtualMachine& vm();
    Vcpu& vcpu() { return vm().vcpu(cpu_ < vm().vcpu_count() ? cpu_ : 0); }
    unsigned cpu() const { return cpu_; }
    void select_guest(VmHandle guest) { guest_ = std::move(guest), cpu_ = 0; }
    void select_cpu(unsigned cpu) { cpu_ = cpu; }
    void ask_quit() { quit_asked_ = true; }
    MemoryFormat format;

 private:
    ProcessControl& control_;
    VmHandle guest_;  // null: the first, when somebody asks
    unsigned cpu_ = 0;
    bool quit_asked_ = false;
};

/// The words after the command; "/fmt" is apart.
struct MonitorArguments {
    std::string format;
    std::vector<std::string> words;
    std::string rest;  ///< unsplit
    const std::string& word(std::size_t index) const {
        static const std::string kNone;
        return index < words.size() ? words[index] : kNone;
    }
};

struct MonitorCommand {
    const char* names;      ///< "cont|c"
    const char* arguments;  ///< shown by help
    const char* help;
    std::size_t fewest, most;  ///< words
    Expected<std::string> (*run)(Monitor&, const MonitorArguments&);
};

std::span<const MonitorCommand> monitor_commands();
std::span<const MonitorCommand> info_commands();

}  // namespace shadowbox
