// SPDX-License-Identifier: MIT
// Fills what the user left open and refuses what cannot work (invocation.h).
#include <algorithm>
#include <set>

#include "core/host/terminal.h"
#include "core/log.h"
#include "mmu/page_types.h"
#include "ui/options/char_option.h"
#include "ui/options/device_option.h"
#include "ui/options/image_check.h"
#include "ui/options/invocation.h"
#include "ui/options/size_text.h"

namespace shadowbox {

namespace {

/// A system on a disk wants more than a kernel with its initial RAM disk.
constexpr u64 kMemoryForDisks = u64{512} << 20;

void settle_names(std::vector<MachineConfig>& machines) {
    std::set<std::string> taken;
    for (std::size_t i = 0; i < machines.size(); ++i) {
        std::string base = machines[i].name.empty() ? fmt::format("vm{}", i + 1) : machines[i].name,
                    name = base;
        for (unsigned n = 2; !taken.insert(name).second; ++n) name = fmt::format("{}-{}", base, n);
        machines[i].name = name;
    }
}

Expected<void> check_files(const Invocation& invocation) {
    for (const MachineConfig& machine : invocation.machines) {
        for (const DriveConfig& drive : machine.drives)
            if (auto ok = check_image(drive); !ok) return ok;
        for (auto [file, what] :
             {std::pair{&machine.kernel, "kernel"}, {&machine.initrd, "initrd"}, {&machine.bios, "firmware"}})
            if (!file->empty())
                if (auto ok = check_file(*file, what); !ok) return ok;
        if (machine.kernel.empty() && !(machine.initrd.empty() && machine.append.empty()))
            return make_error(ErrorCode::kInvalidArgument,
                              "-initrd and -append are for a -kernel, and there is none");
    }
    return check_drives_together(invocation.machines);
}

/// Resolves the serial lines and virtio consoles, and tells whether anyone is on stdio.
Expected<bool> settle_serials(Invocation& invocation, bool stdio_by_default) {
    bool any_stdio = false;
    for (MachineConfig& machine : invocation.machines) {
        if (machine.serials.empty()) machine.serials.push_back({stdio_by_default ? "stdio" : "null", ""});
        for (const CharConfig& console : machine.consoles) {
            auto parsed = parse_char_spec(console.spec, machine.chardevs);
            if (!parsed) return wrap_error(parsed.error(), "-device virtconsole");
            any_stdio |= parsed->kind == "stdio";
        }
        if (machine.debug_console) {
            auto parsed = parse_char_spec(machine.debug_console->line.spec, machine.chardevs);
            if (!parsed) return wrap_error(parsed.error(), "-debugcon");
            any_stdio |= parsed->kind == "stdio";
        }
        for (CharConfig& serial : machine.serials) {
            auto parsed = parse_char_spec(serial.spec, machine.chardevs);
            if (!parsed) return wrap_error(parsed.error(), "-serial");
            any_stdio |= parsed->kind == "stdio";
            // "mon:stdio": the monitor behind the escape key, too.
            if (parsed->id == "mon" && !invocation.monitor)
                invocation.monitor = ChardevConfig{"", "stdio", "", "", ""};
        }
    }
    return any_stdio;
}

void settle_display(Invocation& invocation, bool has_display) {
    if (invocation.display != DisplayKind::kDefault) return;
    bool serial_boot =
        std::any_of(invocation.machines.begin(), invocation.machines.end(), [](const MachineConfig& machine) {
            return !machine.kernel.empty() &&
                   std::any_of(machine.serials.begin(), machine.serials.end(), [](const CharConfig& serial) {
                       return serial.spec == "stdio" || serial.spec == "mon:stdio";
                   });
        });
    if (invocation.nographic || serial_boot) {
        invocation.display = DisplayKind::kNone;
    } else if (has_display) {
        invocation.display = DisplayKind::kSdl;
    } else {
        invocation.display = DisplayKind::kNone;
        invocation.notes.push_back(
            "no display: running without a window, serial line on this terminal (Ctrl-A h helps)");
    }
}

}  // namespace

Expected<void> settle(Invocation& invocation, bool has_display) {
    settle_names(invocation.machines);
    for (MachineConfig& machine : invocation.machines) {
        if (auto ok = plug_devices(machine); !ok) return ok;
        if (!machine.memory_given && !machine.drives.empty()) machine.memory_bytes = kMemoryForDisks;
    }
    if (invocation.snapshot)
        for (MachineConfig& machine : invocation.machines)
            for (DriveConfig& drive : machine.drives) drive.snapshot = true;
    if (auto ok = check_files(invocation); !ok) return ok;
    if (invocation.display == DisplayKind::kSdl && invocation.nographic)
        return make_error(ErrorCode::kInvalidArgument,
                          "-nographic and -display sdl contradict each other: drop one");
    if (invocation.display == DisplayKind::kSdl && !has_display)
        return make_error(ErrorCode::kNotFound,
                          "-display sdl: there is no display here (DISPLAY and WAYLAND_DISPLAY are not set): "
                          "use -nographic");
    settle_display(invocation, has_display);
    bool headless = invocation.display == DisplayKind::kNone;
    bool default_stdio = headless && !invocation.daemonize &&
                         std::all_of(invocation.machines.begin(), invocation.machines.end(),
                                     [](const MachineConfig& machine) { return machine.serials.empty(); });
    bool monitor_on_stdio = invocation.monitor && invocation.monitor->kind == "stdio";
    bool qmp_on_stdio = invocation.qmp && invocation.qmp->kind == "stdio";
    auto stdio = settle_serials(invocation, headless && !invocation.daemonize && !qmp_on_stdio &&
                                                (invocation.nographic || !monitor_on_stdio));
    if (!stdio) return tl::unexpected(stdio.error());
    bool bare = std::all_of(invocation.machines.begin(), invocation.machines.end(),
                            [](const MachineConfig& machine) { return machine.no_defaults; });
    if (!invocation.monitor && !bare && *stdio && (invocation.nographic || default_stdio))
        invocation.monitor = ChardevConfig{"", "stdio", "", "", ""};
    monitor_on_stdio = invocation.monitor && invocation.monitor->kind == "stdio";
    if (qmp_on_stdio && (monitor_on_stdio || *stdio))
        return make_error(ErrorCode::kInvalidArgument,
                          "-qmp stdio needs the terminal for itself: add -monitor none -serial none");
    invocation.escape_key = *stdio && (invocation.nographic || monitor_on_stdio);
    // Somebody is there to look at a machine that stands still.
    bool interactive = invocation.display == DisplayKind::kSdl || (monitor_on_stdio && is_terminal(0));
    for (MachineConfig& machine : invocation.machines)
        if (machine.triple_fault == TripleFaultAction::kDefault && interactive && !machine.no_reboot)
            machine.triple_fault = TripleFaultAction::kFreeze;
    if (!invocation.host.sharing) invocation.host.sharing = invocation.machines.size() > 1;
    auto given = [](const std::optional<ChardevConfig>& line) { return line && line->kind != "null"; };
    invocation.host.attended = given(invocation.monitor) || given(invocation.qmp);
    if (invocation.daemonize && (*stdio || monitor_on_stdio || qmp_on_stdio))
        return make_error(
            ErrorCode::kInvalidArgument,
            "-daemonize leaves no terminal for {}: write -display none -serial file:PATH or none",
            *stdio ? "a serial line" : "a monitor");
    if (invocation.daemonize && invocation.display == DisplayKind::kSdl)
        return make_error(ErrorCode::kInvalidArgument, "-daemonize has no window: add -display none");
    return {};
}

}  // namespace shadowbox
