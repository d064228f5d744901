// SPDX-License-Identifier: MIT
// The setters that the rows of option_table.cpp name. Errors say what is wrong with the value; the parser
// puts the option in front.
#pragma once

#include <string>

#include "ui/options/option_table.h"

namespace shadowbox {

using MachineSetter = Expected<void>(MachineConfig&, const std::string&);
MachineSetter set_memory, set_vcpus, set_cpu, set_machine_type, set_accelerator, set_hda, set_hdb, set_hdc,
    set_hdd, set_cdrom, set_fda, set_fdb, set_drive, set_kernel, set_initrd, set_append, set_bios, set_boot,
    set_no_reboot, set_paused, set_triple_fault, set_serial, set_console, set_chardev, set_nic, set_net,
    set_netdev, set_device, set_global, set_debug_console, set_fw_cfg, set_rtc, set_uuid, set_trust_group,
    set_vga, set_no_defaults, set_no_shutdown;

using HostSetter = Expected<void>(CommandLine&, const std::string&);
HostSetter set_name, set_snapshot, set_nographic, set_display, set_monitor, set_qmp, set_pool_table, set_pool,
    set_icount, set_seed, set_verbose, set_debug_items, set_debug_file, set_perf_map, set_version, set_help,
    set_man, set_daemonize, set_pid_file, set_nothing, set_kvm, set_parallel;

/// The version line that --version prints.
std::string version_text();

}  // namespace shadowbox
