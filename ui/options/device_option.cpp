// SPDX-License-Identifier: MIT
#include "ui/options/device_option.h"

#include <algorithm>

#include "ui/options/char_option.h"
#include "ui/options/key_values.h"
#include "ui/options/nic_option.h"
#include "ui/options/option_setters.h"
#include "ui/options/size_text.h"

namespace shadowbox {

namespace {

using Setter = Expected<void>(MachineConfig&, const std::string& name, KeyValues&);

/// Keys that QEMU's users add to any device and that change nothing a guest of ours could see are told once.
Expected<void> finish_device(MachineConfig& machine, const std::string& name, KeyValues& values,
                             const char* known) {
    values.take("id");
    for (const char* key : {"addr", "bus", "bootindex", "romfile", "multifunction"})
        if (auto value = values.take(key); value && !(value->empty() && key == std::string_view("romfile")))
            machine.notes.push_back(fmt::format("-device {}: {}={} has no effect here", name, key, *value));
    return values.finish("-device " + name, known);
}

Expected<void> plug_virtio_net(MachineConfig& machine, const std::string& name, KeyValues& values) {
    DeviceConfig device{name, values.take("netdev").value_or(""), values.take("mac").value_or(""), -1};
    if (device.backend.empty())
        return make_error(ErrorCode::kInvalidArgument, "{} has no network: write netdev=ID", name);
    if (!device.mac.empty())
        if (auto nic = parse_nic("user,mac=" + device.mac); !nic) return tl::unexpected(nic.error());
    machine.devices.push_back(device);
    return finish_device(machine, name, values, "netdev, mac, id");
}

Expected<void> plug_disk(MachineConfig& machine, const std::string& name, KeyValues& values) {
    DeviceConfig device{name, values.take("drive").value_or(""), "", -1};
    if (device.backend.empty())
        return make_error(ErrorCode::kInvalidArgument, "{} has no drive: write drive=ID", name);
    if (name.starts_with("ide")) {  // bus=ide.0, unit=1: the place
        std::optional<std::string> bus = values.take("bus");
        auto unit = values.take_number("unit", 0, 1);
        if (!unit) return tl::unexpected(unit.error());
        if (bus && *bus != "ide.0" && *bus != "ide.1")
            return make_error(ErrorCode::kInvalidArgument, "bus={}: known: ide.0, ide.1", *bus);
        if (bus) device.index = (*bus == "ide.1" ? 2 : 0) + static_cast<int>(*unit);
    }
    machine.devices.push_back(device);
    return finish_device(machine, name, values, "drive, id, and for IDE bus, unit");
}

Expected<void> plug_balloon(MachineConfig& machine, const std::string& name, KeyValues& values) {
    machine.devices.push_back({name, "", "", -1});
    return finish_device(machine, name, values, "id");
}

Expected<void> plug_console(MachineConfig& machine, const std::string&, KeyValues& values) {
    auto chardev = values.take("chardev");
    if (!chardev)
        return make_error(ErrorCode::kInvalidArgument, "virtconsole has no chardev: write chardev=ID");
    for (const char* key : {"id", "bus", "name"}) values.take(key);
    if (auto ok = values.finish("-device virtconsole", "chardev, id, bus, name"); !ok) return ok;
    return set_console(machine, "chardev:" + *chardev);
}

Expected<void> plug_debug_exit(MachineConfig& machine, const std::string& name, KeyValues& values) {
    auto port = values.take_number("iobase", 0x501, 0xFFFC);
    if (!port) return tl::unexpected(port.error());
    auto size = values.take_number("iosize", 4, 4);
    if (!size) return tl::unexpected(size.error());
    machine.debug_exit_port = static_cast<u16>(*port);
    return finish_device(machine, name, values, "iobase, iosize, id");
}

Expected<void> plug_debug_console(MachineConfig& machine, const std::string& name, KeyValues& values) {
    auto chardev = values.take("chardev");
    if (!chardev)
        return make_error(ErrorCode::kInvalidArgument, "isa-debugcon has no chardev: write chardev=ID");
    auto port = values.take_number("iobase", 0xE9, 0xFFFF);
    if (!port) return tl::unexpected(port.error());
    machine.debug_console = DebugConsoleConfig{{"chardev:" + *chardev, ""}, static_cast<u16>(*port)};
    return finish_device(machine, name, values, "chardev, iobase, id");
}

Expected<void> plug_vga(MachineConfig& machine, const std::string& name, KeyValues& values) {
    machine.vga = machine.vga_given = true;
    return finish_device(machine, name, values, "id");
}

struct Row {
    const char* name;
    const char* other_name;
    const char* help;
    Setter* set;
};
constexpr Row kDevices[] = {
    {"virtio-net-pci", "virtio-net", "network card; netdev=ID[,mac=...]", plug_virtio_net},
    {"virtio-blk-pci", "virtio-blk", "disk; drive=ID", plug_disk},
    {"ide-hd", "ide-drive", "IDE disk; drive=ID[,bus=ide.0][,unit=1]", plug_disk},
    {"ide-cd", nullptr, "IDE CD-ROM; drive=ID[,bus=ide.1][,unit=0]", plug_disk},
    {"virtconsole", nullptr, "virtio console (hvc0); chardev=ID", plug_console},
    {"virtio-balloon-pci", "virtio-balloon", "there without asking, except under -nodefaults", plug_balloon},
    {"virtio-rng-pci", "virtio-rng", "there without asking, except under -nodefaults", plug_balloon},
    {"virtio-serial-pci", "virtio-serial", "each virtconsole brings its own", plug_balloon},
    {"isa-debug-exit", nullptr, "ends the process; iobase=0xf4", plug_debug_exit},
    {"isa-debugcon", nullptr, "port whose bytes go out; chardev=ID[,iobase=0x402]", plug_debug_console},
    {"VGA", nullptr, "there without asking, except under -nodefaults and -vga none", plug_vga},
};

NetdevConfig* find_netdev(MachineConfig& machine, const std::string& id) {
    auto found =
        std::find_if(machine.netdevs.begin(), machine.netdevs.end(), [&](auto& n) { return n.id == id; });
    return found == machine.netdevs.end() ? nullptr : &*found;
}

Expected<void> join_network(MachineConfig& machine, const DeviceConfig& device) {
    NetdevConfig* netdev = find_netdev(machine, device.backend);
    if (!netdev)
        return make_error(ErrorCode::kInvalidArgument, "-device {}: no -netdev has the id '{}'",
                          device.driver, device.backend);
    if (machine.nic_given)
        return make_error(ErrorCode::kUnsupported, "-device {}: a guest has one network card", device.driver);
    machine.nic = netdev->nic;
    if (!device.mac.empty()) machine.nic.mac = device.mac;
    machine.nic_given = true;
    netdev->nic.present = false;  // taken
    return {};
}

Expected<void> join_drive(MachineConfig& machine, const DeviceConfig& device) {
    auto drive = std::find_if(machine.drives.begin(), machine.drives.end(),
                              [&](const DriveConfig& d) { return d.id == device.backend; });
    if (drive == machine.drives.end())
        return make_error(ErrorCode::kInvalidArgument, "-device {}: no -drive has the id '{}'", device.driver,
                          device.backend);
    if (drive->interface != DriveInterface::kNone)
        return make_error(ErrorCode::kInvalidArgument,
                          "-device {}: the drive '{}' is in use already; write if=none", device.driver,
                          device.backend);
    drive->interface = device.driver.starts_with("ide") ? DriveInterface::kIde : DriveInterface::kVirtio;
    drive->index = device.index;
    if (device.driver == "ide-cd") drive->cdrom = drive->read_only = true;
    if (device.driver == "ide-hd") drive->cdrom = false;
    if (drive->cdrom && drive->interface != DriveInterface::kIde)
        return make_error(ErrorCode::kUnsupported, "-device {}: a CD-ROM is an ide-cd", device.driver);
    std::rotate(drive, drive + 1, machine.drives.end());  // the guest finds them in the order of the devices
    return {};
}

}  // namespace

Expected<void> set_device(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, true);
    std::string name = values.take("driver").value_or(values.word()), known;
    for (const Row& row : kDevices) {
        if (name == row.name || (row.other_name && name == row.other_name))
            return row.set(machine, row.name, values);
        known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
    }
    return make_error(ErrorCode::kInvalidArgument, "'{}': no such device; known: {}", name, known);
}

std::string device_list() {
    std::string out;
    for (const Row& row : kDevices) out += fmt::format("{:<20} {}\n", row.name, row.help);
    return out;
}

Expected<void> set_netdev(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, true);
    std::string id = values.take("id").value_or("");
    if (id.empty()) return make_error(ErrorCode::kInvalidArgument, "'{}' has no id: write id=NAME", value);
    if (find_netdev(machine, id))
        return make_error(ErrorCode::kInvalidArgument, "the id '{}' is there twice", id);
    auto nic = parse_nic(value);
    if (!nic) return tl::unexpected(nic.error());
    if (!nic->present) return make_error(ErrorCode::kInvalidArgument, "'{}': known: user", value);
    machine.netdevs.push_back({id, *nic});
    return {};
}

/// -net nic[,model=virtio][,macaddr=...] -net user[,hostfwd=...] -net none, as QEMU had them first.
Expected<void> set_net(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, true);
    NicConfig before = machine.nic;
    bool nic = values.word() == "nic";
    std::string text = value;
    if (nic) {
        text = "user";
        for (auto [key, ours] : {std::pair{"model", "model"}, {"macaddr", "mac"}, {"mac", "mac"}})
            if (auto item = values.take(key)) text += fmt::format(",{}={}", ours, *item);
        for (const char* key : {"netdev", "name", "id", "vlan"}) values.take(key);
        if (auto ok = values.finish("-net nic", "model, macaddr, name, id"); !ok) return ok;
    }
    auto parsed = parse_nic(text);
    if (!parsed) return tl::unexpected(parsed.error());
    // Both halves are one card here; each keeps what the other said.
    if (machine.nic_given && before.present && parsed->present) {
        if (parsed->mac.empty()) parsed->mac = before.mac;
        parsed->forwards.insert(parsed->forwards.begin(), before.forwards.begin(), before.forwards.end());
    }
    machine.nic = *parsed;
    machine.nic_given = true;
    return {};
}

Expected<void> set_debug_console(MachineConfig& machine, const std::string& value) {
    if (!value.starts_with("chardev:"))
        if (auto parsed = parse_char_spec(value, {}); !parsed) return tl::unexpected(parsed.error());
    u16 port = machine.debug_console ? machine.debug_console->port : 0xE9;
    machine.debug_console = DebugConsoleConfig{{value, ""}, port};
    return {};
}

/// The one property that guides of firmware have on the command line: where the debug console is.
Expected<void> set_global(MachineConfig& machine, const std::string& value) {
    constexpr std::string_view kKey = "isa-debugcon.iobase=";
    if (!value.starts_with(kKey))
        return make_error(ErrorCode::kUnsupported, "'{}': known: isa-debugcon.iobase=PORT", value);
    auto port = parse_number(value.substr(kKey.size()), 0xFFFF);
    if (!port) return tl::unexpected(port.error());
    if (!machine.debug_console) machine.debug_console = DebugConsoleConfig{{"null", ""}, 0};
    machine.debug_console->port = static_cast<u16>(*port);
    return {};
}

Expected<void> set_fw_cfg(MachineConfig& machine, const std::string& value) {
    KeyValues values(value, true);
    FwCfgFile item;
    item.name = values.take("name").value_or(values.word());
    auto file = values.take("file"), text = values.take("string");
    if (auto ok = values.finish("-fw_cfg", "name, file, string"); !ok) return ok;
    if (item.name.empty() || item.name.size() > 55)
        return make_error(ErrorCode::kInvalidArgument,
                          "'{}': a name has 1 to 55 characters: write name=opt/...", value);
    if (file.has_value() == text.has_value() || (file && file->empty()))
        return make_error(ErrorCode::kInvalidArgument, "'{}': write file=PATH or string=TEXT", value);
    for (const FwCfgFile& other : machine.fw_cfg_files)
        if (other.name == item.name)
            return make_error(ErrorCode::kInvalidArgument, "the name '{}' is there twice", item.name);
    if (!item.name.starts_with("opt/"))
        machine.notes.push_back(fmt::format(
            "-fw_cfg {}: names of users begin with opt/; firmware may misread others", item.name));
    item.file = file.value_or(""), item.text = text.value_or("");
    machine.fw_cfg_files.push_back(item);
    return {};
}

Expected<void> plug_devices(MachineConfig& machine) {
    auto asked = [&](std::string_view driver) {
        return std::any_of(machine.devices.begin(), machine.devices.end(),
                           [&](const DeviceConfig& device) { return device.driver == driver; });
    };
    if (machine.no_defaults) {
        machine.balloon = asked("virtio-balloon-pci");
        machine.random = asked("virtio-rng-pci");
        if (!machine.vga_given) machine.vga = false;
        if (!machine.nic_given) machine.nic.present = false;
        if (machine.serials.empty()) machine.serials.push_back({"null", ""});
    }
    for (const DeviceConfig& device : machine.devices) {
        if (device.backend.empty()) continue;
        auto ok =
            device.driver == "virtio-net-pci" ? join_network(machine, device) : join_drive(machine, device);
        if (!ok) return ok;
    }
    for (const NetdevConfig& netdev : machine.netdevs)
        if (netdev.nic.present)
            machine.notes.push_back(
                fmt::format("-netdev {}: no -device has netdev={}, so it is left out", netdev.id, netdev.id));
    std::erase_if(machine.drives, [&](const DriveConfig& drive) {
        if (drive.interface != DriveInterface::kNone) return false;
        machine.notes.push_back(
            fmt::format("-drive {}: no -device has drive={}, so it is left out", drive.file, drive.id));
        return true;
    });
    machine.devices.clear();
    machine.netdevs.clear();
    return {};
}

}  // namespace shadowbox
