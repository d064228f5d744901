// SPDX-License-Identifier: MIT
// The functions that the monitor's tables name (monitor.cpp), by the file that defines them.
#pragma once

#include "ui/monitor/monitor.h"

namespace shadowbox {

using MonitorFunction = Expected<std::string>(Monitor&, const MonitorArguments&);

// machine_commands.cpp
MonitorFunction command_stop, command_cont, command_reset, command_powerdown, command_quit,
    command_screendump, command_sendkey, command_cpu, command_vm, command_nmi, command_pool_set;
// memory_commands.cpp
MonitorFunction command_x, command_xp, command_pmemsave, command_memsave, command_print, command_gva2gpa;
// info_machine.cpp
MonitorFunction info_status, info_registers, info_name, info_version, info_cpus, info_qtree, info_counters,
    info_jit, info_block, info_vms;
// info_memory.cpp
MonitorFunction info_pmap, info_page, info_pool, info_mtree, info_overhead;
// sharing_commands.cpp
MonitorFunction command_sharing, info_sharing;
// epoch_commands.cpp
MonitorFunction command_epochs, info_epochs;
// info_paging.cpp
MonitorFunction info_mem, info_tlb, info_pg;

/// Writes the guest's screen (shared with QMP). `format`: "png", "ppm"; empty: as the file's name ends, or
/// PPM.
Expected<void> save_screen(Monitor& monitor, const std::string& file, std::string format);
/// Physical or virtual memory into a file (shared with QMP).
Expected<void> save_physical(Monitor& monitor, u64 first, u64 size, const std::string& file);
Expected<void> save_virtual(Monitor& monitor, u64 first, u64 size, const std::string& file);
/// Whether the pool has this machine page and somebody's bytes are in it.
bool page_in_use(const MachinePool& pool, Mpn mpn);
/// A number or an expression with registers of the chosen CPU.
Expected<u64> number_argument(Monitor& monitor, const std::string& text);
/// Fails when the guest has ended.
Expected<void> check_alive(Monitor& monitor);

}  // namespace shadowbox
