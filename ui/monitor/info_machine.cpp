// SPDX-License-Identifier: MIT
// info commands about state, CPUs, devices.
#include "core/inspect.h"
#include "cpu/jit/jit.h"
#include "cpu/state/vcpu.h"
#include "ui/monitor/commands.h"
#include "ui/options/option_setters.h"

namespace shadowbox {

Expected<std::string> info_status(Monitor& monitor, const MonitorArguments&) {
    VirtualMachine& vm = monitor.vm();
    VmState state = vm.state();
    if (state == VmState::kRunning || state == VmState::kPaused)
        return fmt::format("VM status: {}\n", vm_state_name(state));
    if (state == VmState::kBlocked)  // as QEMU tells of a machine that waits for room on a disk
        return fmt::format("VM status: paused ({})\n", vm.block_reason());
    return fmt::format("VM status: {} ({})\n", vm_state_name(state), vm.stop_reason());
}

Expected<std::string> info_registers(Monitor& monitor, const MonitorArguments& arguments) {
    bool all = arguments.word(0) == "-a";
    if (!all && !arguments.words.empty())
        return make_error(ErrorCode::kInvalidArgument, "info registers: write nothing or -a");
    std::string out;
    monitor.vm().while_stopped([&] {
        for (unsigned i = 0; i < monitor.vm().vcpu_count(); ++i)
            if (all || &monitor.vm().vcpu(i) == &monitor.vcpu())
                out += fmt::format("\nCPU#{}\n{}", i, monitor.vm().vcpu(i).dump());
    });
    return out;
}

Expected<std::string> info_name(Monitor& monitor, const MonitorArguments&) {
    return monitor.vm().name() + "\n";
}
Expected<std::string> info_version(Monitor&, const MonitorArguments&) { return version_text(); }

Expected<std::string> info_cpus(Monitor& monitor, const MonitorArguments&) {
    std::string out;
    monitor.vm().while_stopped([&] {
        for (unsigned i = 0; i < monitor.vm().vcpu_count(); ++i) {
            Vcpu& vcpu = monitor.vm().vcpu(i);
            const char* state = vcpu.waiting_for_sipi()        ? "waits for SIPI"
                                : vcpu.halted || vcpu.sleeping ? "halted"
                                                               : "runs";
            out += fmt::format("{} CPU #{}: pc=0x{:016x} {}, {} instructions\n",
                               &vcpu == &monitor.vcpu() ? '*' : ' ', i, vcpu.rip, state, vcpu.retired_text());
        }
    });
    return out;
}

namespace {

/// The node called `name`, wherever it is.
const InspectNode* find_node(const InspectNode& node, const std::string& name) {
    if (node.name == name) return &node;
    for (const InspectNode& child : node.children)
        if (const InspectNode* found = find_node(child, name)) return found;
    return nullptr;
}

}  // namespace

Expected<std::string> info_qtree(Monitor& monitor, const MonitorArguments& arguments) {
    InspectNode root{monitor.vm().name(), "", {}};
    monitor.vm().while_stopped([&] {
        Inspector inspector(root);
        monitor.vm().inspect(inspector);
    });
    if (arguments.words.empty()) return inspect_text(root);
    std::string name = arguments.word(0) + (arguments.words.size() > 1 ? " " + arguments.word(1) : "");
    const InspectNode* node = find_node(root, name);
    if (!node) return make_error(ErrorCode::kNotFound, "info qtree: nothing is called '{}'", name);
    return inspect_text(*node);
}

Expected<std::string> info_jit(Monitor& monitor, const MonitorArguments&) {
    std::string out;
    monitor.vm().while_stopped([&] {
        for (unsigned i = 0; i < monitor.vm().vcpu_count(); ++i) {
            InspectNode tree{fmt::format("CPU #{}", i), "", {}};
            Inspector inspector(tree);
            if (const auto& jit = monitor.vm().vcpu(i).jit)
                jit->inspect(inspector);
            else
                inspector.text("translator", "off (-accel interp)");
            out += inspect_text(tree);
        }
    });
    return out;
}

Expected<std::string> info_counters(Monitor& monitor, const MonitorArguments&) {
    std::string out;
    monitor.vm().while_stopped([&] {
        for (unsigned i = 0; i < monitor.vm().vcpu_count(); ++i) {
            Vcpu& vcpu = monitor.vm().vcpu(i);
            const VcpuCounters& c = vcpu.counters;
            const MmuCounters& m = vcpu.mmu.counters();
            out += fmt::format(
                "CPU #{}: instructions {}, interrupts {}, faults {}, halts {}, MMIO {}, port I/O {}\n", i,
                vcpu.retired_text(), c.interrupts, c.faults, c.halts, c.mmio, c.port_io);
            out += fmt::format("  blocks: decoded {}, looked up {}, invalidated {}\n", c.blocks_decoded,
                               c.block_lookups, c.code_invalidations);
            out += fmt::format(
                "  MMU: TLB fills {}, shadow hits {} ({} by {} large entries), walks {}, faults {}, context "
                "switches {}, "
                "full flushes {}, page flushes {}\n",
                m.tlb_fills, m.shadow_hits, m.large_hits, vcpu.mmu.large_entries(), m.walks, m.faults,
                m.context_switches, m.full_flushes, m.page_flushes);
        }
        out += fmt::format("unclaimed ports {}, guest time {} ns\n", monitor.vm().board().ports.unclaimed(),
                           monitor.vm().clock().now());
    });
    return out;
}

Expected<std::string> info_block(Monitor& monitor, const MonitorArguments&) {
    std::string out;
    for (const DriveConfig& drive : monitor.vm().config().drives) {
        static constexpr const char* kInterfaces[] = {"ide", "virtio", "floppy"};
        out += fmt::format("{}{}: {} (raw{}{}{})\n", kInterfaces[static_cast<int>(drive.interface)],
                           drive.index < 0 ? "" : std::to_string(drive.index), drive.file,
                           drive.cdrom ? ", cdrom" : "", drive.read_only ? ", read-only" : "",
                           drive.snapshot ? ", snapshot" : "");
    }
    return out.empty() ? "no disks\n" : out;
}

}  // namespace shadowbox
