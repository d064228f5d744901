// SPDX-License-Identifier: MIT
// epochs, info epochs: which pages a guest uses, period by period (vmm/memory/access_tracking.h).
#include "ui/monitor/commands.h"
#include "ui/monitor/expression.h"
#include "ui/options/size_text.h"
#include "vmm/machine/virtual_machine.h"
#include "vmm/memory/access_tracking.h"

namespace shadowbox {

namespace {

constexpr u64 kNsPerMs = 1'000'000, kMostMs = 3'600'000;

std::string line_of(const char* which, const PageEpochs::Counts& counts) {
    return fmt::format("{:<10} {:>9} pages accessed ({}), {:>9} dirtied ({})\n", which, counts.accessed,
                       size_text(counts.accessed * kPageSize), counts.dirtied,
                       size_text(counts.dirtied * kPageSize));
}

}  // namespace

Expected<std::string> command_epochs(Monitor& monitor, const MonitorArguments& arguments) {
    if (auto ok = check_alive(monitor); !ok) return tl::unexpected(ok.error());
    Host& host = monitor.control().host();
    const VmHandle vm = host.find(monitor.vm().id());
    if (!vm) return make_error(ErrorCode::kNotFound, "the guest is gone");
    if (arguments.word(0) == "off") {
        stop_tracking(host, vm);
        return std::string();
    }
    auto period = parse_number(arguments.word(0), kMostMs);
    if (!period || *period == 0)
        return make_error(ErrorCode::kInvalidArgument,
                          "epochs: '{}': write milliseconds of guest time, 1 to {}, or off",
                          arguments.word(0), kMostMs);
    track_accesses(host, vm, *period * kNsPerMs);
    return std::string();
}

Expected<std::string> info_epochs(Monitor& monitor, const MonitorArguments&) {
    VirtualMachine& vm = monitor.vm();
    const PageEpochs& epochs = vm.memory().epochs();
    auto period = tracking_period(monitor.control().host(), vm);
    if (!period) return std::string("not tracked; epochs MILLISECONDS begins\n");
    std::string out;
    out += fmt::format("an epoch every {} ms of guest time, the running one is number {}\n",
                       *period / kNsPerMs, epochs.now());
    out += line_of("last", epochs.ended());
    out += line_of("running", epochs.running());
    return out;
}

}  // namespace shadowbox
