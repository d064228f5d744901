// SPDX-License-Identifier: MIT
// Everything one start of the program asks for. Filled by the command line (option_table.h) and TOML files
// (toml_config.h), completed by settle(), carried out by session.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "ui/monitor/translation_log.h"
#include "vmm/config/machine_config.h"

namespace shadowbox {

enum class DisplayKind : u8 { kDefault, kSdl, kNone };

struct Invocation {
    HostConfig host;
    std::vector<MachineConfig> machines;
    DisplayKind display = DisplayKind::kDefault;
    bool nographic = false;
    bool pool_table = false;
    bool snapshot = false;
    bool escape_key = false;               ///< the terminal's Ctrl-A even when stdin is a pipe
    std::optional<ChardevConfig> monitor;  ///< kind "null": -monitor none
    std::optional<ChardevConfig> qmp;
    TranslationLogConfig translation_log;
    bool daemonize = false;
    std::string pid_file;            ///< holds the process id while it runs; empty: none
    std::vector<std::string> notes;  ///< told once nothing can be refused any more: errors stand alone
    std::string help;                ///< text to print instead of running anything
};

/// Names, default serial lines, display and monitor; checks images and combinations. `has_display`: a
/// window could open.
Expected<void> settle(Invocation& invocation, bool has_display);

}  // namespace shadowbox
