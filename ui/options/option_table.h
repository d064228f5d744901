// SPDX-License-Identifier: MIT
// The one table of command line options: name, argument, help and setter in a row. The parser, --help and the
// manual page are made from it. Options are written -name or --name; machine options apply to every guest of
// the command line.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ui/options/invocation.h"

namespace shadowbox {

/// What the parser collects before there are guests to apply it to.
struct CommandLine {
    Invocation invocation;
    std::vector<std::string> images;
    std::vector<std::function<Expected<void>(MachineConfig&)>> machine_options;
    bool has_name = false;
};

struct OptionRow {
    const char* name;
    const char* argument;  ///< nullptr: a switch
    const char* help;
    const char* group;
    Expected<void> (*set_host)(CommandLine&, const std::string&);
    Expected<void> (*set_machine)(MachineConfig&, const std::string&);
};

std::span<const OptionRow> option_table();

/// `arguments` without the program's name. Does not look at files other than a TOML file; settle() does.
Expected<Invocation> parse_command_line(const std::vector<std::string>& arguments);

std::string help_text();
/// The manual page, as troff.
std::string manual_page();

}  // namespace shadowbox
