// SPDX-License-Identifier: MIT
#include "ui/toml_config.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <filesystem>

#include "core/host/file.h"
#include "ui/char_option.h"
#include "ui/image_check.h"
#include "ui/nic_option.h"
#include "ui/option_setters.h"
#include "ui/size_text.h"

namespace shadowbox {

namespace {

/// One table being read, with what its errors need.
class Reader {
   public:
    Reader(const std::string& path) : path_(path), directory_(std::filesystem::path(path).parent_path()) {}

    Expected<void> host(const toml::table& table, HostConfig& config) const;
    Expected<void> machine(const toml::table& table, MachineConfig& config) const;

    template <class... Args>
    tl::unexpected<Error> error(const toml::node& node, fmt::format_string<Args...> format,
                                Args&&... args) const {
        return make_error(ErrorCode::kInvalidArgument, "{}:{}: {}", path_, node.source().begin.line,
                          fmt::format(format, std::forward<Args>(args)...));
    }
    tl::unexpected<Error> wrong(const toml::node& node, const Error& cause) const {
        return error(node, "{}", cause.text());
    }

   private:
    Expected<std::string> text(const toml::node& node, std::string_view key) const {
        auto value = node.value<std::string>();
        if (!node.is_string()) return error(node, "{}: write a text in quotation marks", key);
        return *value;
    }
    Expected<std::string> file(const toml::node& node, std::string_view key) const {
        auto value = text(node, key);
        if (!value) return value;
        return resolve(*value);
    }
    std::string resolve(const std::string& path) const {
        std::filesystem::path given(path);
        return given.is_absolute() || directory_.empty() ? path : (directory_ / given).string();
    }
    /// "file:log" -> "file:/where/the/toml/is/log"
    std::string resolve_spec(const std::string& spec) const {
        for (const char* kind : {"file:", "unix:"})
            if (spec.starts_with(kind)) return kind + resolve(spec.substr(5));
        return spec;
    }
    Expected<u64> size(const toml::node& node, std::string_view key) const {
        auto value = node.is_integer() ? parse_size(std::to_string(*node.value<i64>()), u64{1} << 20)
                                       : Expected<u64>(0);
        if (node.is_string())
            value = parse_size(*node.value<std::string>(), u64{1} << 20);
        else if (!node.is_integer())
            return error(node, "{}: write a size like \"256M\"", key);
        if (!value) return error(node, "{}: {}", key, value.error().message);
        return value;
    }
    /// The value as the command line would write it.
    Expected<std::string> scalar(const toml::node& node, std::string_view key) const {
        if (node.is_string()) return *node.value<std::string>();
        if (node.is_integer()) return std::to_string(*node.value<i64>());
        return error(node, "{}: write a text or a number", key);
    }
    Expected<bool> boolean(const toml::node& node, std::string_view key) const {
        if (!node.is_boolean()) return error(node, "{}: write true or false", key);
        return *node.value<bool>();
    }
    Expected<void> disk(const toml::node& node, MachineConfig& config) const;
    Expected<void> disk_table(const toml::table& table, DriveConfig& drive) const;
    Expected<void> net(const toml::node& node, MachineConfig& config) const;
    Expected<void> serial(const toml::node& node, MachineConfig& config) const;
    Expected<void> machine_key(std::string_view key, const toml::node& node, MachineConfig& config) const;

    std::string path_;
    std::filesystem::path directory_;
};

Expected<void> Reader::host(const toml::table& table, HostConfig& config) const {
    for (auto&& [key, node] : table) {
        if (key == "pool") {
            auto bytes = size(node, "pool");
            if (!bytes) return tl::unexpected(bytes.error());
            config.pool_bytes = *bytes;
        } else if (key == "clock") {
            auto clock = text(node, "clock");
            if (!clock) return tl::unexpected(clock.error());
            if (*clock != "host" && *clock != "icount")
                return error(node, "clock: '{}': known: host, icount", *clock);
            config.icount = *clock == "icount";
        } else if (key == "seed") {
            if (!node.is_integer() || *node.value<i64>() < 0)
                return error(node, "seed: write a whole number");
            config.seed = static_cast<u64>(*node.value<i64>());
        } else {
            return error(node, "unknown key '{}' in [host]; known: pool, clock, seed", key.str());
        }
    }
    return {};
}

Expected<void> Reader::disk_table(const toml::table& table, DriveConfig& drive) const {
    for (auto&& [key, node] : table) {
        if (key == "file") {
            auto path = file(node, "file");
            if (!path) return tl::unexpected(path.error());
            drive.file = *path;
        } else if (key == "if") {
            auto name = text(node, "if");
            if (!name) return tl::unexpected(name.error());
            if (*name == "ide")
                drive.interface = DriveInterface::kIde;
            else if (*name == "virtio")
                drive.interface = DriveInterface::kVirtio;
            else if (*name == "floppy")
                drive.interface = DriveInterface::kFloppy;
            else
                return error(node, "if: '{}': known: ide, virtio, floppy", *name);
        } else if (key == "readonly" || key == "snapshot") {
            auto value = boolean(node, key.str());
            if (!value) return tl::unexpected(value.error());
            (key == "readonly" ? drive.read_only : drive.snapshot) = *value;
        } else {
            return error(node, "unknown key '{}' of a disk; known: file, if, readonly, snapshot", key.str());
        }
    }
    if (drive.file.empty()) return error(table, "the disk has no file");
    return {};
}

Expected<void> Reader::disk(const toml::node& node, MachineConfig& config) const {
    DriveConfig drive;
    if (const toml::table* table = node.as_table()) {
        if (auto ok = disk_table(*table, drive); !ok) return ok;
    } else {
        auto path = file(node, "disks");
        if (!path) return tl::unexpected(path.error());
        drive.file = *path;
    }
    config.drives.push_back(drive);
    return {};
}

Expected<void> Reader::net(const toml::node& node, MachineConfig& config) const {
    if (node.is_boolean()) {
        config.nic.present = *node.value<bool>();
        return {};
    }
    if (node.is_string()) {
        auto nic = parse_nic(*node.value<std::string>());
        if (!nic) return wrong(node, nic.error());
        config.nic = *nic;
        return {};
    }
    const toml::table* table = node.as_table();
    if (!table) return error(node, "net: write true, false, \"user\", \"none\" or {{ hostfwd = [...] }}");
    for (auto&& [key, value] : *table) {
        if (key == "mac") {
            auto nic = parse_nic("user,mac=" + value.value_or(std::string()));
            if (!nic) return wrong(value, nic.error());
            config.nic.mac = nic->mac;
        } else if (key == "hostfwd") {
            const toml::array* list = value.as_array();
            if (!list) return error(value, "hostfwd: write a list of texts");
            for (const toml::node& item : *list) {
                auto forward = parse_forward(item.value_or(std::string()));
                if (!forward) return wrong(item, forward.error());
                config.nic.forwards.push_back(*forward);
            }
        } else {
            return error(value, "unknown key '{}' in net; known: hostfwd, mac", key.str());
        }
    }
    return {};
}

Expected<void> Reader::serial(const toml::node& node, MachineConfig& config) const {
    if (const toml::array* list = node.as_array()) {
        for (const toml::node& item : *list)
            if (auto ok = serial(item, config); !ok) return ok;
        return {};
    }
    auto spec = text(node, "serial");
    if (!spec) return tl::unexpected(spec.error());
    if (auto ok = set_serial(config, resolve_spec(*spec)); !ok) return wrong(node, ok.error());
    return {};
}

struct TextKey {
    std::string_view key;
    MachineSetter* set;
    bool is_path;
};
constexpr TextKey kTextKeys[] = {
    {"memory", set_memory, false},
    {"vcpus", set_vcpus, false},
    {"kernel", set_kernel, true},
    {"initrd", set_initrd, true},
    {"append", set_append, false},
    {"bios", set_bios, true},
    {"boot", set_boot, false},
    {"cpu", set_cpu, false},
    {"cdrom", set_cdrom, true},
    {"floppy", set_fda, true},
    {"triple_fault", set_triple_fault, false},
};
constexpr const char* kMachineKeys =
    "name, memory, vcpus, disks, cdrom, floppy, kernel, initrd, append, bios, boot, cpu, serial, chardevs, "
    "net, no_reboot, paused, triple_fault, debug_exit";

Expected<void> Reader::machine_key(std::string_view key, const toml::node& node,
                                   MachineConfig& config) const {
    for (const TextKey& row : kTextKeys) {
        if (row.key != key) continue;
        auto value = row.is_path ? file(node, key) : scalar(node, key);
        if (!value) return tl::unexpected(value.error());
        if (auto ok = row.set(config, *value); !ok) return error(node, "{}: {}", key, ok.error().text());
        return {};
    }
    if (key == "name") {
        auto value = text(node, key);
        if (!value) return tl::unexpected(value.error());
        if (value->empty()) return error(node, "name: the name is empty");
        config.name = *value;
    } else if (key == "disks" || key == "chardevs") {
        const toml::array* list = node.as_array();
        if (!list) return error(node, "{}: write a list", key);
        for (const toml::node& item : *list) {
            if (key == "disks") {
                if (auto ok = disk(item, config); !ok) return ok;
            } else if (auto ok = set_chardev(config, item.value_or(std::string())); !ok) {
                return wrong(item, ok.error());
            }
        }
    } else if (key == "serial") {
        return serial(node, config);
    } else if (key == "net") {
        return net(node, config);
    } else if (key == "no_reboot" || key == "paused") {
        auto value = boolean(node, key);
        if (!value) return tl::unexpected(value.error());
        (key == "paused" ? config.start_paused : config.no_reboot) = *value;
    } else if (key == "debug_exit") {
        if (!node.is_integer()) return error(node, "debug_exit: write a port number like 0xf4");
        if (auto ok = set_device(config, fmt::format("isa-debug-exit,iobase={}", *node.value<i64>())); !ok)
            return wrong(node, ok.error());
    } else {
        return error(node, "unknown key '{}' in [[vm]]; known: {}", key, kMachineKeys);
    }
    return {};
}

Expected<void> Reader::machine(const toml::table& table, MachineConfig& config) const {
    for (auto&& [key, node] : table)
        if (auto ok = machine_key(key.str(), node, config); !ok) return ok;
    return {};
}

}  // namespace

Expected<void> load_toml_text(std::string_view text, const std::string& path, Invocation& invocation) {
    toml::parse_result result = toml::parse(text, std::string_view(path));
    if (!result)
        return make_error(ErrorCode::kInvalidArgument, "{}:{}: {}", path, result.error().source().begin.line,
                          result.error().description());
    Reader reader(path);
    for (auto&& [key, node] : result.table()) {
        if (key == "host" && node.is_table()) {
            if (auto ok = reader.host(*node.as_table(), invocation.host); !ok) return ok;
        } else if (key == "vm" && node.is_array_of_tables()) {
            for (const toml::node& item : *node.as_array()) {
                MachineConfig machine;
                if (auto ok = reader.machine(*item.as_table(), machine); !ok) return ok;
                invocation.machines.push_back(std::move(machine));
            }
        } else if (key == "vm" || key == "host") {
            return reader.error(node, "'{}': write {}", key.str(),
                                key == "vm" ? "[[vm]] for each guest" : "[host]");
        } else {
            return reader.error(node, "unknown key '{}'; known: [host], [[vm]]", key.str());
        }
    }
    if (invocation.machines.empty())
        return make_error(ErrorCode::kInvalidArgument, "{}: no [[vm]] in it: describe at least one guest",
                          path);
    return {};
}

Expected<void> load_toml_file(const std::string& path, Invocation& invocation) {
    if (auto ok = check_file(path, "file"); !ok) return ok;
    auto bytes = File::read_all(path, 16 << 20);
    if (!bytes) return tl::unexpected(bytes.error());
    return load_toml_text({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, path, invocation);
}

}  // namespace shadowbox
