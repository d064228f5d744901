// SPDX-License-Identifier: MIT
#include "ui/monitor/monitor.h"

#include "core/check.h"
#include "ui/monitor/commands.h"

namespace shadowbox {

namespace {

Expected<std::string> command_info(Monitor& monitor, const MonitorArguments& arguments);
Expected<std::string> command_help(Monitor& monitor, const MonitorArguments& arguments);

// clang-format off
constexpr MonitorCommand kCommands[] = {
    {"help|?", "[COMMAND]", "this list, or one command", 0, 2, command_help},
    {"info", "WHAT", "look at the guest; 'help info' lists what", 0, 9, command_info},
    {"vm", "[NAME|N]", "choose the guest that commands act on; without a name, list the guests", 0, 1, command_vm},
    {"cpu", "N", "choose the CPU that commands look at", 1, 1, command_cpu},
    {"stop|s", "", "pause the guest", 0, 0, command_stop},
    {"cont|c", "", "let the guest go on", 0, 0, command_cont},
    {"system_reset", "", "press the reset button", 0, 0, command_reset},
    {"system_powerdown", "", "press the power button", 0, 0, command_powerdown},
    {"pool_set", "SIZE", "give the pool of machine pages another size; a guest that found it full goes on", 1, 1, command_pool_set},
    {"sharing", "on|off [PAGES]", "look for pages of equal content in all guests, PAGES a second of each guest's time", 1, 2, command_sharing},
    {"epochs", "MILLISECONDS|off", "track exactly which pages the guest uses, in periods of its time; info epochs counts", 1, 1, command_epochs},
    {"nmi", "", "send a non-maskable interrupt to every CPU", 0, 0, command_nmi},
    {"sendkey", "KEY[-KEY...]", "press keys together, as in ctrl-alt-delete", 1, 2, command_sendkey},
    {"screendump", "FILE [-f png|ppm]", "save the screen: PPM, or PNG by name or format", 1, 3, command_screendump},
    {"x", "/FMT ADDRESS", "show linear memory; FMT is a count, x d u o c or i, and b h w or g", 1, 99, command_x},
    {"xp", "/FMT ADDRESS", "show physical memory; mpn:MPN is a machine page, mpn:MPN+OFFSET a place in it", 1, 99, command_xp},
    {"print|p", "/FMT EXPRESSION", "compute; $rax and its like are registers", 1, 99, command_print},
    {"gva2gpa", "ADDRESS", "translate a linear address", 1, 99, command_gva2gpa},
    {"memsave", "ADDRESS SIZE FILE", "save linear memory", 3, 3, command_memsave},
    {"pmemsave", "ADDRESS SIZE FILE", "save physical memory", 3, 3, command_pmemsave},
    {"quit|q", "", "end all guests and the program", 0, 0, command_quit},
};

constexpr MonitorCommand kInfo[] = {
    {"status", "", "running, paused, blocked, ended", 0, 0, info_status},
    {"registers", "[-a]", "registers of the chosen CPU, or of all", 0, 1, info_registers},
    {"cpus", "", "the CPUs and where they are", 0, 0, info_cpus},
    {"mem", "[FIRST [LAST]]", "mapped ranges of linear memory, all or from FIRST to LAST", 0, 2, info_mem},
    {"tlb", "[FIRST [LAST]]", "translations of the guest's page tables, all or from FIRST to LAST", 0, 2, info_tlb},
    {"pg", "", "the guest's page tables, level by level", 0, 0, info_pg},
    {"pmap", "[FIRST [LAST]]", "the states of the guest's physical pages; with page numbers: each page and its machine page", 0, 2, info_pmap},
    {"page", "PPN|mpn:MPN", "one physical page: state and machine page; or a machine page and its owners", 1, 1, info_page},
    {"pool", "", "every machine page, by use and by guest", 0, 0, info_pool},
    {"sharing", "", "what looking for pages of equal content found, and saves", 0, 0, info_sharing},
    {"epochs", "", "pages accessed and dirtied in the last and the running period of tracking", 0, 0, info_epochs},
    {"overhead", "", "what each guest takes beside its pages, by kind", 0, 0, info_overhead},
    {"mtree", "", "memory and ports by address", 0, 0, info_mtree},
    {"qtree", "[DEVICE]", "state of CPUs and devices", 0, 2, info_qtree},
    {"counters", "", "what was counted since the start", 0, 0, info_counters},
    {"jit", "", "translated code: blocks, bytes, exits by reason", 0, 0, info_jit},
    {"block", "", "disks", 0, 0, info_block},
    {"vms", "", "the guests of this process", 0, 0, info_vms},
    {"name", "", "name of the guest", 0, 0, info_name},
    {"version", "", "version of this program", 0, 0, info_version},
};
// clang-format on

bool has_name(const MonitorCommand& command, std::string_view name) {
    std::string_view names = command.names;
    while (!names.empty()) {
        std::size_t bar = names.find('|');
        if (names.substr(0, bar) == name) return true;
        if (bar == std::string_view::npos) return false;
        names.remove_prefix(bar + 1);
    }
    return false;
}

const MonitorCommand* find(std::span<const MonitorCommand> table, std::string_view name) {
    for (const MonitorCommand& command : table)
        if (has_name(command, name)) return &command;
    return nullptr;
}

/// Words by blanks; quotation marks keep them together.
std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> words;
    bool quoted = false, inside = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '"') {
            quoted = !quoted;
            if (!inside) words.emplace_back(), inside = true;
        } else if (!quoted && (c == ' ' || c == '\t')) {
            inside = false;
        } else {
            if (!inside) words.emplace_back(), inside = true;
            if (quoted && c == '\\' && i + 1 < text.size()) c = text[++i];
            words.back() += c;
        }
    }
    return words;
}

/// "/fmt" follows the command at once, or after a blank where no file name can stand (`may_format`).
MonitorArguments parse_arguments(std::string_view text, bool may_format) {
    MonitorArguments arguments;
    may_format |= text.starts_with('/');
    while (!text.empty() && text[0] == ' ') text.remove_prefix(1);
    if (may_format && text.starts_with('/')) {
        std::size_t end = text.find(' ');
        arguments.format = text.substr(1, end == std::string_view::npos ? end : end - 1);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
    arguments.rest = text;
    arguments.words = split(text);
    return arguments;
}

Expected<std::string> run(Monitor& monitor, const MonitorCommand& command, std::string_view name,
                          const MonitorArguments& arguments) {
    if (arguments.words.size() < command.fewest || arguments.words.size() > command.most)
        return make_error(ErrorCode::kInvalidArgument, "{}: wrong number of arguments; write: {} {}", name,
                          name, command.arguments);
    return command.run(monitor, arguments);
}

Expected<std::string> command_info(Monitor& monitor, const MonitorArguments& arguments) {
    if (arguments.words.empty()) return command_help(monitor, parse_arguments("info", false));
    const std::string& what = arguments.words[0];
    const MonitorCommand* command = find(kInfo, what);
    if (!command)
        return make_error(ErrorCode::kNotFound, "unknown command: 'info {}'; 'help info' lists what there is",
                          what);
    MonitorArguments rest = arguments;
    rest.words.erase(rest.words.begin());
    return run(monitor, *command, "info " + what, rest);
}

Expected<std::string> command_help(Monitor&, const MonitorArguments& arguments) {
    std::string out;
    std::span<const MonitorCommand> table = kCommands;
    std::string_view prefix, only = arguments.word(0);
    if (only == "info") table = kInfo, prefix = "info ", only = arguments.word(1);
    for (const MonitorCommand& command : table)
        if (only.empty() || has_name(command, only))
            out +=
                fmt::format("{:<36} {}\n", fmt::format("{}{} {}", prefix, command.names, command.arguments),
                            command.help);
    if (out.empty())
        return make_error(ErrorCode::kNotFound, "unknown command: '{}{}'; 'help' lists the commands", prefix,
                          only);
    return out;
}

}  // namespace

std::span<const MonitorCommand> monitor_commands() { return kCommands; }
std::span<const MonitorCommand> info_commands() { return kInfo; }

VirtualMachine& Monitor::vm() {
    if (!guest_) {
        auto vms = control_.host().vms();
        VM_CHECK(!vms.empty());
        guest_ = vms.front();
    }
    return *guest_;
}

std::string Monitor::execute(std::string_view line) {
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r' || line.back() == '\n'))
        line.remove_suffix(1);
    if (line.empty() || line[0] == '#') return {};
    std::size_t end = line.find_first_of(" /");
    std::string name(line.substr(0, end));
    const MonitorCommand* command = find(kCommands, name);
    if (!command) return fmt::format("unknown command: '{}'; 'help' lists the commands\n", name);
    MonitorArguments arguments =
        parse_arguments(end == std::string_view::npos ? std::string_view() : line.substr(end),
                        std::string_view(command->arguments).starts_with("/FMT"));
    auto result = run(*this, *command, name, arguments);
    return result ? *result : result.error().text() + "\n";
}

std::vector<std::string> Monitor::complete(std::string_view prefix) const {
    bool info = prefix.starts_with("info ");
    std::string_view start = info ? prefix.substr(5) : prefix;
    std::vector<std::string> found;
    for (const MonitorCommand& command :
         info ? std::span<const MonitorCommand>(kInfo) : std::span<const MonitorCommand>(kCommands)) {
        std::string_view name =
            std::string_view(command.names).substr(0, std::string_view(command.names).find('|'));
        if (name.starts_with(start)) found.emplace_back(name);
    }
    return found;
}

}  // namespace shadowbox
