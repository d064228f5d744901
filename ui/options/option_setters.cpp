// SPDX-License-Identifier: MIT
#include "ui/options/option_setters.h"

#include <algorithm>

#include "mmu/page_types.h"
#include "ui/options/char_option.h"
#include "ui/options/drive_option.h"
#include "ui/options/key_values.h"
#include "ui/options/nic_option.h"
#include "ui/options/size_text.h"
#include "ui/options/value_lists.h"

namespace shadowbox {

namespace {

constexpr u64 kMiB = u64{1} << 20, kMostMemory = (u64{1} << kPhysicalBits) - (u64{4} << 30);

tl::unexpected<Error> unknown(const std::string& what, const std::string& name, const std::string& known) {
    return make_error(ErrorCode::kInvalidArgument, "'{}': no such {}; known: {}", name, what, known);
}

Expected<void> add_disk(MachineConfig& machine, const std::string& file, DriveInterface interface, int index,
                        bool cdrom = false) {
    if (file.empty()) return make_error(ErrorCode::kInvalidArgument, "the name of the image is missing");
    machine.drives.push_back({file, interface, cdrom, cdrom, false, index});
    return {};
}

Expected<void> set_text(std::string& to, const std::string& value) {
    if (value.empty()) return make_error(ErrorCode::kInvalidArgument, "the file name is missing");
    to = value;
    return {};
}

}  // namespace

Expected<void> set_memory(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, true);
    auto size = parse_size(values.take("size").value_or(values.word()), kMiB);
    if (auto ok = values.finish("-m", "size; memory cannot be added later"); !ok) return ok;
    if (!size) return tl::unexpected(size.error());
    if (*size < kMiB)
        return make_error(ErrorCode::kInvalidArgument, "'{}': a PC needs at least 1 MiB of memory", value);
    if (*size > kMostMemory)
        return make_error(ErrorCode::kInvalidArgument, "'{}' is more than a guest can address: at most {}",
                          value, size_text(kMostMemory));
    if (*size % kPageSize)
        return make_error(ErrorCode::kInvalidArgument, "'{}' is not a whole number of 4 KiB pages", value);
    machine.memory_bytes = *size;
    machine.memory_given = true;
    return {};
}

Expected<void> set_accelerator(MachineConfig& machine, const std::string& text) {
    KeyValues values(text, true);
    const std::string& value = values.word();
    if (value != "interp" && value != "jit" && value != "tcg")
        return unknown("accelerator", value, "interp, jit (no virtualization hardware is used)");
    constexpr u64 kLargestMib = 1024;
    auto mib = values.take_number("tb-size", 0, kLargestMib);
    if (!mib) return tl::unexpected(mib.error());
    machine.code_cache_bytes = *mib << 20;
    auto count = values.take_switch("count", false);
    if (!count) return tl::unexpected(count.error());
    machine.count_retired = *count;
    auto hits = values.take_switch("hits", false);
    if (!hits) return tl::unexpected(hits.error());
    machine.count_hits = *hits;
    machine.jit = value != "interp";
    if (machine.jit && !kHostHasTranslator)
        return make_error(ErrorCode::kUnsupported, "'{}': this host is no x86-64; use -accel interp", value);
    return values.finish("-accel", "tb-size, count, hits");
}

Expected<void> set_machine_type(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, true);
    std::string type = values.take("type").value_or(values.word());
    if (type != "pc" && type != "i440fx") return unknown("machine type", type, "pc");
    if (auto accelerator = values.take("accel"))
        if (auto ok = set_accelerator(machine, *accelerator); !ok) return ok;
    return values.finish("-machine", "type, accel");
}

Expected<void> set_hda(MachineConfig& machine, const std::string& value) {
    return add_disk(machine, value, DriveInterface::kIde, 0);
}
Expected<void> set_hdb(MachineConfig& machine, const std::string& value) {
    return add_disk(machine, value, DriveInterface::kIde, 1);
}
Expected<void> set_hdc(MachineConfig& machine, const std::string& value) {
    return add_disk(machine, value, DriveInterface::kIde, 2);
}
Expected<void> set_hdd(MachineConfig& machine, const std::string& value) {
    return add_disk(machine, value, DriveInterface::kIde, 3);
}
Expected<void> set_cdrom(MachineConfig& machine, const std::string& value) {
    return add_disk(machine, value, DriveInterface::kIde, 2, true);
}
Expected<void> set_fda(MachineConfig& machine, const std::string& value) {
    return add_disk(machine, value, DriveInterface::kFloppy, 0);
}
Expected<void> set_fdb(MachineConfig& machine, const std::string& value) {
    return add_disk(machine, value, DriveInterface::kFloppy, 1);
}

Expected<void> set_drive(MachineConfig& machine, const std::string& value) {
    auto drive = parse_drive(value, &machine.notes);
    if (!drive) return tl::unexpected(drive.error());
    for (const DriveConfig& other : machine.drives)
        if (!drive->id.empty() && other.id == drive->id)
            return make_error(ErrorCode::kInvalidArgument, "the id '{}' is there twice", drive->id);
    machine.drives.push_back(*drive);
    return {};
}

Expected<void> set_kernel(MachineConfig& machine, const std::string& value) {
    return set_text(machine.kernel, value);
}
Expected<void> set_initrd(MachineConfig& machine, const std::string& value) {
    return set_text(machine.initrd, value);
}
Expected<void> set_bios(MachineConfig& machine, const std::string& value) {
    return set_text(machine.bios, value);
}
Expected<void> set_append(MachineConfig& machine, const std::string& value) {
    machine.append = value;
    return {};
}

namespace {
Expected<void> check_boot_order(const std::string& order) {
    std::string sorted = order;
    std::sort(sorted.begin(), sorted.end());
    bool twice = std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
    if (order.empty() || twice || order.find_first_not_of("acdn") != std::string::npos)
        return make_error(ErrorCode::kInvalidArgument,
                          "'{}': write letters of a (floppy), c (disk), d (CD-ROM), n (network), each once",
                          order);
    return {};
}
}  // namespace

Expected<void> set_boot(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, true);
    auto named = values.take("order"), once = values.take("once"), wait = values.take("splash-time");
    bool asked = named || once || wait;
    std::string order = named.value_or(values.word());
    auto menu = values.take_switch("menu", machine.boot_menu);
    if (!menu) return tl::unexpected(menu.error());
    if (auto ok = values.finish("-boot", "order, once, menu, splash-time"); !ok) return ok;
    asked = asked || *menu != machine.boot_menu || value.find('=') != std::string::npos;
    if (!order.empty() || !asked || named) {
        if (auto ok = check_boot_order(order); !ok) return ok;
        machine.boot_order = order;
    }
    if (once) {
        if (auto ok = check_boot_order(*once); !ok) return ok;
        machine.boot_once = *once;
    }
    machine.boot_menu = *menu;
    if (wait) {
        auto number = parse_number(*wait, 0xFFFF);
        if (!number) return wrap_error(number.error(), "splash-time (milliseconds)");
        machine.boot_menu_wait_ms = static_cast<u16>(*number);
    }
    return {};
}

Expected<void> set_no_reboot(MachineConfig& machine, const std::string&) {
    machine.no_reboot = true;
    return {};
}
Expected<void> set_paused(MachineConfig& machine, const std::string&) {
    machine.start_paused = true;
    return {};
}

Expected<void> set_triple_fault(MachineConfig& machine, const std::string& value) {
    if (value == "freeze")
        machine.triple_fault = TripleFaultAction::kFreeze;
    else if (value == "reset")
        machine.triple_fault = TripleFaultAction::kReset;
    else if (value == "exit")
        machine.triple_fault = TripleFaultAction::kExit;
    else
        return unknown("action", value, "freeze, reset, exit");
    return {};
}

namespace {
Expected<void> add_line(std::vector<CharConfig>& lines, const std::string& value, const char* what) {
    if (lines.size() == 4)
        return make_error(ErrorCode::kInvalidArgument, "a guest has four {} at most", what);
    // The chardev it names may come later on the line; what is certain now is said now.
    if (!value.starts_with("chardev:"))
        if (auto parsed = parse_char_spec(value, {}); !parsed) return tl::unexpected(parsed.error());
    lines.push_back({value, ""});
    return {};
}
}  // namespace

Expected<void> set_serial(MachineConfig& machine, const std::string& value) {
    return add_line(machine.serials, value, "serial lines");
}
Expected<void> set_console(MachineConfig& machine, const std::string& value) {
    return add_line(machine.consoles, value, "virtio consoles");
}

Expected<void> set_chardev(MachineConfig& machine, const std::string& value) {
    auto chardev = parse_chardev(value);
    if (!chardev) return tl::unexpected(chardev.error());
    for (const ChardevConfig& other : machine.chardevs)
        if (other.id == chardev->id)
            return make_error(ErrorCode::kInvalidArgument, "the id '{}' is there twice", other.id);
    machine.chardevs.push_back(*chardev);
    return {};
}

Expected<void> set_nic(MachineConfig& machine, const std::string& value) {
    auto nic = parse_nic(value);
    if (!nic) return tl::unexpected(nic.error());
    machine.nic = *nic;
    machine.nic_given = true;
    return {};
}

// --- options of the process ---

Expected<void> set_name(CommandLine& line, const std::string& value) {
    KeyValues values(value, true);
    std::string name = values.take("guest").value_or(values.word());
    values.take("debug-threads");
    if (name.empty()) return make_error(ErrorCode::kInvalidArgument, "the name is missing");
    if (auto ok = values.finish("-name", "guest"); !ok) return ok;
    line.has_name = true;
    line.machine_options.push_back([name](MachineConfig& machine) -> Expected<void> {
        machine.name = name;
        return {};
    });
    return {};
}

Expected<void> set_snapshot(CommandLine& line, const std::string&) {
    line.invocation.snapshot = true;
    return {};
}
Expected<void> set_nographic(CommandLine& line, const std::string&) {
    line.invocation.nographic = true;
    return {};
}
Expected<void> set_pool_table(CommandLine& line, const std::string&) {
    line.invocation.pool_table = true;
    return {};
}
Expected<void> set_daemonize(CommandLine& line, const std::string&) {
    line.invocation.daemonize = true;
    return {};
}
Expected<void> set_pid_file(CommandLine& line, const std::string& value) {
    return set_text(line.invocation.pid_file, value);
}
Expected<void> set_nothing(CommandLine&, const std::string&) { return {}; }
Expected<void> set_kvm(CommandLine& line, const std::string&) {
    line.invocation.notes.push_back(
        "-enable-kvm: no virtualization hardware is used; guest code is translated");
    return {};
}
Expected<void> set_parallel(CommandLine&, const std::string& value) {
    if (value == "none" || value == "null") return {};
    return unknown("parallel port", value, "none");
}
Expected<void> set_icount(CommandLine& line, const std::string&) {
    line.invocation.host.icount = true;
    return {};
}
Expected<void> set_verbose(CommandLine& line, const std::string&) {
    line.invocation.host.verbose = true;
    return {};
}

Expected<void> set_debug_items(CommandLine& line, const std::string& value) {
    for (std::size_t start = 0; start <= value.size();) {
        const std::size_t comma = std::min(value.find(',', start), value.size());
        const std::string item = value.substr(start, comma - start);
        if (item == "in_asm")
            line.invocation.translation_log.guest_code = true;
        else if (item == "out_asm")
            line.invocation.translation_log.host_code = true;
        else
            return unknown("item of -d", item, "in_asm, out_asm");
        start = comma + 1;
    }
    return {};
}
Expected<void> set_debug_file(CommandLine& line, const std::string& value) {
    line.invocation.translation_log.file = value;
    return {};
}
Expected<void> set_perf_map(CommandLine& line, const std::string&) {
    line.invocation.translation_log.perf_map = true;
    return {};
}

Expected<void> set_display(CommandLine& line, const std::string& value) {
    if (value == "sdl")
        line.invocation.display = DisplayKind::kSdl;
    else if (value == "none")
        line.invocation.display = DisplayKind::kNone;
    else
        return unknown("display", value, "sdl, none");
    return {};
}

Expected<void> set_monitor(CommandLine& line, const std::string& value) {
    auto parsed = parse_char_spec(value, {});
    if (!parsed) return tl::unexpected(parsed.error());
    line.invocation.monitor = *parsed;
    return {};
}

Expected<void> set_qmp(CommandLine& line, const std::string& value) {
    auto parsed = parse_char_spec(value, {});
    if (!parsed) return tl::unexpected(parsed.error());
    line.invocation.qmp = *parsed;
    return {};
}

Expected<void> set_pool(CommandLine& line, const std::string& value) {
    auto size = parse_size(value, kMiB);
    if (!size) return tl::unexpected(size.error());
    if (*size < kMiB)
        return make_error(ErrorCode::kInvalidArgument, "'{}': the pool needs at least 1 MiB", value);
    if (*size > kMostMemory)
        return make_error(ErrorCode::kInvalidArgument, "'{}' is too large: at most {}", value,
                          size_text(kMostMemory));
    line.invocation.host.pool_bytes = *size / kPageSize * kPageSize;
    return {};
}

Expected<void> set_seed(CommandLine& line, const std::string& value) {
    auto number = parse_number(value);
    if (!number) return tl::unexpected(number.error());
    line.invocation.host.seed = *number;
    return {};
}

std::string version_text() { return "shadowbox version 0.1\n"; }

Expected<void> set_version(CommandLine& line, const std::string&) {
    line.invocation.help = version_text();
    return {};
}
Expected<void> set_help(CommandLine& line, const std::string&) {
    line.invocation.help = help_text();
    return {};
}
Expected<void> set_man(CommandLine& line, const std::string&) {
    line.invocation.help = manual_page();
    return {};
}

}  // namespace shadowbox
