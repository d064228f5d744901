// SPDX-License-Identifier: MIT
// The parser over the option table (option_table.h).
#include "ui/options/image_check.h"
#include "ui/options/near_word.h"
#include "ui/options/option_table.h"
#include "ui/options/toml_config.h"
#include "ui/options/value_lists.h"

namespace shadowbox {

namespace {

const OptionRow* find_option(std::string_view name) {
    for (const OptionRow& row : option_table())
        if (name == row.name) return &row;
    return nullptr;
}

tl::unexpected<Error> unknown_option(const std::string& argument, std::string_view name) {
    std::vector<std::string_view> known;
    for (const OptionRow& row : option_table())
        if (row.help) known.push_back(row.name);
    if (auto nearest = near_word(name, known))
        return make_error(ErrorCode::kInvalidArgument,
                          "unknown option '{}': did you mean -{}? See shadowbox --help", argument, *nearest);
    return make_error(ErrorCode::kInvalidArgument, "unknown option '{}': see shadowbox --help", argument);
}

Expected<void> apply(CommandLine& line, const OptionRow& row, const std::string& value) {
    if (row.argument && (value == "help" || value == "?")) {
        if (auto list = value_list(row.name)) {
            line.invocation.help = *list;
            return {};
        }
    }
    if (row.set_host) return row.set_host(line, value);
    line.machine_options.push_back([&row, value](MachineConfig& machine) -> Expected<void> {
        if (auto ok = row.set_machine(machine, value); !ok) return wrap_error(ok.error(), "-{}", row.name);
        return {};
    });
    // Tried at once on nothing, so that an error is told even where no guest comes.
    MachineConfig trial;
    return row.set_machine(trial, value);
}

Expected<void> collect(CommandLine& line, const std::vector<std::string>& arguments) {
    bool only_images = false;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string& argument = arguments[i];
        if (only_images || argument.size() < 2 || argument[0] != '-') {
            line.images.push_back(argument);
            continue;
        }
        if (argument == "--") {
            only_images = true;
            continue;
        }
        std::string name = argument.substr(argument[1] == '-' ? 2 : 1), value;
        const OptionRow* row = find_option(name);
        std::size_t equals = name.find('=');
        bool attached = !row && equals != std::string::npos && argument[1] == '-';
        if (attached) {
            value = name.substr(equals + 1);
            row = find_option(name.substr(0, equals));
        }
        if (!row) return unknown_option(argument, name.substr(0, equals));
        if (!row->argument && attached)
            return make_error(ErrorCode::kInvalidArgument, "-{} takes no value", row->name);
        if (row->argument && !attached) {
            if (i + 1 == arguments.size())
                return make_error(ErrorCode::kInvalidArgument, "-{} needs a value: -{} {}", row->name,
                                  row->name, row->argument);
            value = arguments[++i];
        }
        if (auto ok = apply(line, *row, value); !ok) return wrap_error(ok.error(), "-{}", row->name);
        if (!line.invocation.help.empty()) return {};  // --help and --version win
    }
    return {};
}

/// One guest for each image; a machine without an image if there is none.
Expected<void> make_machines(CommandLine& line) {
    std::vector<MachineConfig>& machines = line.invocation.machines;
    if (line.images.size() == 1 && line.images[0].ends_with(".toml")) {
        if (auto ok = load_toml_file(line.images[0], line.invocation); !ok) return ok;
    } else {
        for (const std::string& image : line.images) {
            if (image.ends_with(".toml"))
                return make_error(ErrorCode::kInvalidArgument,
                                  "'{}' cannot be combined with other images: put them into the file", image);
            MachineConfig machine;
            machine.name = guest_name_of(image);
            bool cdrom = is_iso_image(image);
            machine.drives.push_back({image, DriveInterface::kIde, cdrom, cdrom, false, -1});
            machines.push_back(std::move(machine));
        }
        if (machines.empty()) machines.emplace_back();
    }
    for (MachineConfig& machine : machines)
        for (auto& option : line.machine_options)
            if (auto ok = option(machine); !ok) return ok;
    if (line.has_name && machines.size() > 1)
        for (std::size_t i = 0; i < machines.size(); ++i) machines[i].name += fmt::format("-{}", i + 1);
    return {};
}

}  // namespace

Expected<Invocation> parse_command_line(const std::vector<std::string>& arguments) {
    if (arguments.empty())
        return make_error(ErrorCode::kInvalidArgument,
                          "nothing to run: give an image, -kernel FILE or a TOML file; see shadowbox --help");
    CommandLine line;
    if (auto ok = collect(line, arguments); !ok) return tl::unexpected(ok.error());
    if (!line.invocation.help.empty()) return std::move(line.invocation);
    // Set on the command line wins over the file.
    HostConfig given = line.invocation.host;
    if (auto ok = make_machines(line); !ok) return tl::unexpected(ok.error());
    HostConfig& host = line.invocation.host;
    if (given.pool_bytes) host.pool_bytes = given.pool_bytes;
    if (given.seed) host.seed = given.seed;
    host.icount |= given.icount;
    return std::move(line.invocation);
}

}  // namespace shadowbox
