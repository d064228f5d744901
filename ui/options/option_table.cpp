// SPDX-License-Identifier: MIT
// The rows and the texts made from them.
#include "ui/options/option_table.h"

#include "ui/options/char_option.h"
#include "ui/options/option_setters.h"

namespace shadowbox {

namespace {

constexpr const char *kMachine = "Machine", *kDisks = "Disks", *kBoot = "Boot",
                     *kLines = "Serial lines, monitors, display", *kNetwork = "Network and devices",
                     *kHost = "Memory of the host, time", *kOther = "Other";

// clang-format off
constexpr OptionRow kTable[] = {
    {"m", "SIZE", "memory of each guest: 256M, 2G; a plain number is MiB (default 128M)", kMachine, nullptr, set_memory},
    {"smp", "N", "virtual CPUs of each guest, 1 to 64 (default 1)", kMachine, nullptr, set_vcpus},
    {"cpu", "MODEL", "v2, v3 (AVX2, FMA) or max; default: max, with -icount v2", kMachine, nullptr, set_cpu},
    {"machine", "TYPE", "machine type: pc", kMachine, nullptr, set_machine_type},
    {"M", "TYPE", "the same as -machine", kMachine, nullptr, set_machine_type},
    {"accel", "NAME", "how guest code runs: jit (the default on x86-64 hosts) or interp; tcg, QEMU's word for a translator, means jit; jit,tb-size=MIB bounds decoded and translated code of all guests together (default 512); jit,hits=on counts for info jit how often its caches hit", kMachine, nullptr, set_accelerator},
    {"name", "NAME", "name of the guest in messages; several guests get NAME-1, NAME-2", kMachine, set_name, nullptr},
    {"hda", "FILE", "first IDE disk; -hdb, -hdc, -hdd likewise", kDisks, nullptr, set_hda},
    {"hdb", "FILE", nullptr, kDisks, nullptr, set_hdb},
    {"hdc", "FILE", nullptr, kDisks, nullptr, set_hdc},
    {"hdd", "FILE", nullptr, kDisks, nullptr, set_hdd},
    {"cdrom", "FILE", "CD-ROM image (third IDE position)", kDisks, nullptr, set_cdrom},
    {"fda", "FILE", "first floppy; -fdb likewise", kDisks, nullptr, set_fda},
    {"fdb", "FILE", nullptr, kDisks, nullptr, set_fdb},
    {"drive", "KEY=VALUE,...", "file=PATH, if=ide|virtio|floppy, media=disk|cdrom, index=N, readonly=on, snapshot=on, format=raw", kDisks, nullptr, set_drive},
    {"snapshot", nullptr, "throw writes to all disks away at the end", kDisks, set_snapshot, nullptr},
    {"kernel", "FILE", "boot this Linux kernel without firmware", kBoot, nullptr, set_kernel},
    {"initrd", "FILE", "initial RAM disk for -kernel", kBoot, nullptr, set_initrd},
    {"append", "TEXT", "command line for -kernel", kBoot, nullptr, set_append},
    {"bios", "FILE", "firmware instead of SeaBIOS", kBoot, nullptr, set_bios},
    {"boot", "ORDER", "a floppy, c disk, d CD-ROM, n network; order=cd: one after the other; once=d, menu=on[,splash-time=MS]", kBoot, nullptr, set_boot},
    {"no-reboot", nullptr, "end where the guest would restart (a triple fault then exits with status 3)", kBoot, nullptr, set_no_reboot},
    {"S", nullptr, "start paused; the monitor's 'cont' goes on", kBoot, nullptr, set_paused},
    {"triple-fault", "ACTION", "freeze, reset or exit", kBoot, nullptr, set_triple_fault},
    {"nographic", nullptr, "no window; serial line and monitor on this terminal, Ctrl-A h helps", kLines, set_nographic, nullptr},
    {"display", "KIND", "sdl or none", kLines, set_display, nullptr},
    {"serial", "END", "up to four: stdio, none, file:PATH, tcp:HOST:PORT[,server=on,wait=off], unix:PATH[,...], chardev:ID", kLines, nullptr, set_serial},
    {"chardev", "KIND,id=ID,...", "socket|file|stdio|null with path= or host=,port=, server=on, wait=off, logfile=", kLines, nullptr, set_chardev},
    {"monitor", "END", "human monitor: none, stdio, unix:PATH,server=on,wait=off or tcp:...", kLines, set_monitor, nullptr},
    {"qmp", "END", "JSON monitor (QMP): unix:PATH,server=on,wait=off or tcp:...", kLines, set_qmp, nullptr},
    {"pool-table", nullptr, "live table of the pool and the guests on stderr", kLines, set_pool_table, nullptr},
    {"nic", "KIND,...", "none, or user[,hostfwd=tcp::2222-:22][,mac=...]: behind the host, port 2222 of the host led to 22 of the guest", kNetwork, nullptr, set_nic},
    {"net", "none", "the same as -nic none", kNetwork, nullptr, set_nic},
    {"device", "NAME,...", "isa-debug-exit,iobase=0xf4; virtconsole,chardev=ID: a virtio console (hvc0), on its own virtio-serial-pci; virtio-balloon-pci and virtio-rng-pci are always there", kNetwork, nullptr, set_device},
    {"pool", "SIZE", "memory of the host that all guests share (default: what the guests have, at most 80 % of the host's)", kHost, set_pool, nullptr},
    {"icount", nullptr, "guest time counts instructions: runs repeat exactly", kHost, set_icount, nullptr},
    {"seed", "N", "randomness of an -icount run", kHost, set_seed, nullptr},
    {"d", "ITEM,...", "log translated blocks: in_asm (the guest's code), out_asm (the host's)", kOther, set_debug_items, nullptr},
    {"D", "FILE", "where -d writes (default: stderr)", kOther, set_debug_file, nullptr},
    {"perfmap", nullptr, "write /tmp/perf-PID.map, so that perf names translated blocks", kOther, set_perf_map, nullptr},
    {"verbose", nullptr, "more messages", kOther, set_verbose, nullptr},
    {"version", nullptr, "print the version", kOther, set_version, nullptr},
    {"help", nullptr, "this text", kOther, set_help, nullptr},
    {"h", nullptr, nullptr, kOther, set_help, nullptr},
    {"man", nullptr, "print the manual page (troff)", kOther, set_man, nullptr},
};
// clang-format on

std::string spelled(const OptionRow& row) {
    std::string text = "-" + std::string(row.name);
    if (row.argument) text += std::string(" ") + row.argument;
    return text;
}

/// `text` in lines of at most `width`, the first `used` columns of the first line being taken.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent, std::size_t used,
                    std::size_t width) {
    std::size_t column = used;
    if (column >= indent) out += '\n', column = 0;
    out.append(indent - column, ' ');
    column = indent;
    while (!text.empty()) {
        std::size_t space = text.find(' ');
        std::string_view word = text.substr(0, space);
        if (column > indent && column + 1 + word.size() > width) {
            out += '\n';
            out.append(indent, ' ');
            column = indent;
        } else if (column > indent) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    }
    out += '\n';
}

std::string troff(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '-')
            out += "\\-";
        else if (c == '\\')
            out += "\\e";
        else
            out += c;
    }
    return out;
}

}  // namespace

std::span<const OptionRow> option_table() { return kTable; }

std::string help_text() {
    std::string out =
        "usage: shadowbox [options] [image...]     one guest for each image\n"
        "       shadowbox [options] machines.toml  the guests of a file\n"
        "\n"
        "Runs x86-64 PCs in software, all on one pool of memory.\n";
    const char* group = nullptr;
    for (const OptionRow& row : kTable) {
        if (!row.help) continue;
        if (row.group != group) out += fmt::format("\n{}:\n", group = row.group);
        std::string left = "  " + spelled(row);
        out += left;
        append_wrapped(out, row.help, 26, left.size() + 1 > 26 ? 26 : left.size(), 79);
    }
    out +=
        "\nExit status: 0 power-off, 2 wrong option or image, 3 triple fault under\n"
        "-no-reboot, else what the guest wrote to its debug-exit port. Several guests:\n"
        "the largest.\n";
    return out;
}

std::string manual_page() {
    std::string out =
        ".TH SHADOWBOX 1\n.SH NAME\nshadowbox \\- run x86\\-64 PCs in software, on one pool of memory\n"
        ".SH SYNOPSIS\n.B shadowbox\n[options] [image...]\n.br\n.B shadowbox\n[options] machines.toml\n.SH "
        "OPTIONS\n"
        "Options are written with one or two dashes. Those about a machine apply to every guest.\n";
    const char* group = nullptr;
    for (const OptionRow& row : kTable) {
        if (!row.help) continue;
        if (row.group != group) out += fmt::format(".SS {}\n", troff(group = row.group));
        out += fmt::format(".TP\n.B {}\n{}\n", troff(spelled(row)), troff(row.help));
    }
    out +=
        ".SH EXIT STATUS\n0 power\\-off, 2 wrong option or image, 3 triple fault under \\-no\\-reboot, "
        "otherwise what the guest\n"
        "wrote to its debug\\-exit port. With several guests the largest of theirs.\n";
    return out;
}

}  // namespace shadowbox
