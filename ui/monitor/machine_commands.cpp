// SPDX-License-Identifier: MIT
// Commands that act on the machine: power, pause, keys, screen, choice of guest and CPU.
#include <algorithm>

#include "cpu/state/vcpu.h"
#include "ui/control/guest_input.h"
#include "ui/display/png_file.h"
#include "ui/monitor/commands.h"
#include "ui/options/size_text.h"
#include "vmm/machine/host.h"
#include "vmm/screen/screen.h"

namespace shadowbox {

Expected<void> check_alive(Monitor& monitor) {
    VmState state = monitor.vm().state();
    if (state != VmState::kPoweredOff && state != VmState::kCrashed) return {};
    return make_error(ErrorCode::kDenied, "guest '{}' has ended ({})", monitor.vm().name(),
                      monitor.vm().stop_reason());
}

Expected<std::string> command_stop(Monitor& monitor, const MonitorArguments&) {
    monitor.vm().pause();
    return std::string();
}

Expected<std::string> command_cont(Monitor& monitor, const MonitorArguments&) {
    if (auto ok = check_alive(monitor); !ok) return tl::unexpected(ok.error());
    monitor.vm().resume();
    return std::string();
}

Expected<std::string> command_reset(Monitor& monitor, const MonitorArguments&) {
    if (auto ok = check_alive(monitor); !ok) return tl::unexpected(ok.error());
    monitor.vm().reset();
    return std::string();
}

Expected<std::string> command_powerdown(Monitor& monitor, const MonitorArguments&) {
    if (auto ok = check_alive(monitor); !ok) return tl::unexpected(ok.error());
    monitor.control().input(monitor.vm().id()).power_button();
    return std::string();
}

/// Says something only where the new size is not what one may expect of it.
Expected<std::string> command_pool_set(Monitor& monitor, const MonitorArguments& arguments) {
    auto bytes = parse_size(arguments.word(0), u64{1} << 20);
    if (!bytes) return tl::unexpected(bytes.error());
    if (*bytes < u64{1} << 20)
        return make_error(ErrorCode::kInvalidArgument, "pool_set: '{}': the pool needs at least 1 MiB",
                          arguments.word(0));
    Host& host = monitor.control().host();
    if (auto ok = host.set_pool_bytes(*bytes); !ok) return wrap_error(ok.error(), "pool_set");
    PoolTotals totals = host.pool().totals();
    if (totals.in_use < totals.capacity) return std::string();
    return fmt::format("{} of {} are in use: no new pages until it is less\n",
                       size_text(totals.in_use * kPageSize), size_text(totals.capacity * kPageSize));
}

Expected<std::string> command_nmi(Monitor& monitor, const MonitorArguments&) {
    monitor.vm().send_nmi();
    return std::string();
}

Expected<std::string> command_quit(Monitor& monitor, const MonitorArguments&) {
    monitor.ask_quit();
    return std::string();
}

Expected<std::string> command_sendkey(Monitor& monitor, const MonitorArguments& arguments) {
    std::vector<Key> keys = keys_from_combination(arguments.word(0));
    if (keys.empty())
        return make_error(ErrorCode::kInvalidArgument,
                          "sendkey: '{}': no such key; write as in ctrl-alt-delete, ret, f1, a",
                          arguments.word(0));
    monitor.control().input(monitor.vm().id()).combination(keys);
    return std::string();
}

Expected<void> save_screen(Monitor& monitor, const std::string& file, std::string format) {
    if (format.empty()) format = file.ends_with(".png") || file.ends_with(".PNG") ? "png" : "ppm";
    if (format != "png" && format != "ppm")
        return make_error(ErrorCode::kInvalidArgument, "format '{}': known: png, ppm", format);
    ScreenSource* screen = monitor.control().screen(monitor.vm().id());
    if (!screen)
        return make_error(ErrorCode::kUnsupported, "guest '{}' has no display adapter", monitor.vm().name());
    ScreenImage image;
    screen->render(image);
    return format == "png" ? write_png(image, file) : write_ppm(image, file);
}

Expected<std::string> command_screendump(Monitor& monitor, const MonitorArguments& arguments) {
    // QEMU's spelling: screendump FILE [-f FORMAT], the option on either side.
    std::vector<std::string> words = arguments.words;
    std::string format;
    if (auto at = std::find(words.begin(), words.end(), "-f"); at != words.end() && at + 1 != words.end()) {
        format = at[1];
        words.erase(at, at + 2);
    }
    if (words.size() != 1)
        return make_error(ErrorCode::kInvalidArgument, "screendump: write FILE [-f png|ppm]");
    if (auto ok = save_screen(monitor, words[0], format); !ok) return wrap_error(ok.error(), "screendump");
    return std::string();
}

Expected<std::string> command_cpu(Monitor& monitor, const MonitorArguments& arguments) {
    auto number = parse_number(arguments.word(0));
    if (!number || *number >= monitor.vm().vcpu_count())
        return make_error(ErrorCode::kInvalidArgument, "cpu: '{}': the guest has CPUs 0 to {}",
                          arguments.word(0), monitor.vm().vcpu_count() - 1);
    monitor.select_cpu(static_cast<unsigned>(*number));
    return std::string();
}

Expected<std::string> info_vms(Monitor& monitor, const MonitorArguments&) {
    std::string out;
    auto vms = monitor.control().host().vms();
    for (unsigned i = 0; i < vms.size(); ++i)
        out += fmt::format("{} {}: {} ({}, {} CPUs, {})\n", vms[i].get() == &monitor.vm() ? '*' : ' ', i,
                           vms[i]->name(), vm_state_name(vms[i]->state()), vms[i]->vcpu_count(),
                           size_text(vms[i]->config().memory_bytes));
    return out;
}

Expected<std::string> command_vm(Monitor& monitor, const MonitorArguments& arguments) {
    if (arguments.words.empty()) return info_vms(monitor, arguments);
    auto vms = monitor.control().host().vms();
    for (unsigned i = 0; i < vms.size(); ++i) {
        if (vms[i]->name() != arguments.word(0) && std::to_string(i) != arguments.word(0)) continue;
        monitor.select_guest(vms[i]);
        return std::string();
    }
    return make_error(ErrorCode::kNotFound, "vm: no guest '{}'; 'info vms' lists them", arguments.word(0));
}

}  // namespace shadowbox
