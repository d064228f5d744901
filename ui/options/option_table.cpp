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
    {"m", "SIZE", "memory of each guest: 256M, 2G; a plain number is MiB (default 512M with disks, else 128M)", kMachine, nullptr, set_memory},
    {"smp", "N[,KEY=N...]", "virtual CPUs of each guest, 1 to 64 (default 1); sockets=, cores=, threads= are what the guest finds", kMachine, nullptr, set_vcpus},
    {"cpu", "MODEL[,+F,-F]", "v2, v3 (AVX2, FMA), qemu64, or max and host, the best there is; +avx2, -aes: with and without a feature; default: max, with -icount v2", kMachine, nullptr, set_cpu},
    {"machine", "TYPE", "machine type: pc", kMachine, nullptr, set_machine_type},
    {"M", "TYPE", "the same as -machine", kMachine, nullptr, set_machine_type},
    {"accel", "NAME", "how guest code runs: jit (the default on x86-64 hosts) or interp; tcg, QEMU's word for a translator, means jit; jit,tb-size=MIB bounds decoded and translated code of all guests together (default 512); jit,count=on counts instructions in translated code too, for info cpus, which makes it some 10 % slower; jit,hits=on counts for info jit how often its caches hit", kMachine, nullptr, set_accelerator},
    {"name", "NAME", "name of the guest in messages; several guests get NAME-1, NAME-2", kMachine, set_name, nullptr},
    {"uuid", "UUID", "of the machine, as its firmware tells", kMachine, nullptr, set_uuid},
    {"rtc", "base=TIME", "time of day at the start: utc (default), localtime, or 2006-06-17T16:01:21", kMachine, nullptr, set_rtc},
    {"vga", "KIND", "std or none", kMachine, nullptr, set_vga},
    {"nodefaults", nullptr, "no network, display adapter, balloon, entropy device, serial line or monitor but those asked for", kMachine, nullptr, set_no_defaults},
    {"enable-kvm", nullptr, nullptr, kMachine, set_kvm, nullptr},
    {"no-user-config", nullptr, nullptr, kMachine, set_nothing, nullptr},
    {"hda", "FILE", "first IDE disk; -hdb, -hdc, -hdd likewise", kDisks, nullptr, set_hda},
    {"hdb", "FILE", nullptr, kDisks, nullptr, set_hdb},
    {"hdc", "FILE", nullptr, kDisks, nullptr, set_hdc},
    {"hdd", "FILE", nullptr, kDisks, nullptr, set_hdd},
    {"cdrom", "FILE", "CD-ROM image (third IDE position)", kDisks, nullptr, set_cdrom},
    {"fda", "FILE", "first floppy; -fdb likewise", kDisks, nullptr, set_fda},
    {"fdb", "FILE", nullptr, kDisks, nullptr, set_fdb},
    {"drive", "KEY=VALUE,...", "file=PATH, if=ide|virtio|floppy|none, id=ID, media=disk|cdrom, index=N, readonly=on, snapshot=on, format=raw", kDisks, nullptr, set_drive},
    {"snapshot", nullptr, "throw writes to all disks away at the end", kDisks, set_snapshot, nullptr},
    {"kernel", "FILE", "boot this Linux kernel without firmware", kBoot, nullptr, set_kernel},
    {"initrd", "FILE", "initial RAM disk for -kernel", kBoot, nullptr, set_initrd},
    {"append", "TEXT", "command line for -kernel", kBoot, nullptr, set_append},
    {"bios", "FILE", "firmware instead of SeaBIOS", kBoot, nullptr, set_bios},
    {"boot", "ORDER", "a floppy, c disk, d CD-ROM, n network; order=cd: one after the other; once=d, menu=on[,splash-time=MS]", kBoot, nullptr, set_boot},
    {"no-reboot", nullptr, "end where the guest would restart (a triple fault then exits with status 3)", kBoot, nullptr, set_no_reboot},
    {"no-shutdown", nullptr, "a guest that switches itself off stays, paused", kBoot, nullptr, set_no_shutdown},
    {"fw_cfg", "NAME,file=FILE", "or string=TEXT: a file that the guest finds as opt/NAME in fw_cfg", kBoot, nullptr, set_fw_cfg},
    {"S", nullptr, "start paused; the monitor's 'cont' goes on", kBoot, nullptr, set_paused},
    {"triple-fault", "ACTION", "freeze, reset or exit", kBoot, nullptr, set_triple_fault},
    {"nographic", nullptr, "no window; serial line and monitor on this terminal, Ctrl-A h helps", kLines, set_nographic, nullptr},
    {"display", "KIND", "sdl or none", kLines, set_display, nullptr},
    {"serial", "END", "up to four: stdio, none, file:PATH, tcp:HOST:PORT[,server=on,wait=off], unix:PATH[,...], chardev:ID", kLines, nullptr, set_serial},
    {"chardev", "KIND,id=ID,...", "socket|file|stdio|null with path= or host=,port=, server=on, wait=off, logfile=", kLines, nullptr, set_chardev},
    {"monitor", "END", "human monitor: none, stdio, unix:PATH,server=on,wait=off or tcp:...", kLines, set_monitor, nullptr},
    {"qmp", "END", "JSON monitor (QMP): unix:PATH,server=on,wait=off or tcp:...", kLines, set_qmp, nullptr},
    {"debugcon", "END", "what the guest writes to port 0xe9 goes there; ends as for -serial", kLines, nullptr, set_debug_console},
    {"global", "PROPERTY", "isa-debugcon.iobase=0x402: the port of -debugcon (firmware's messages)", kLines, nullptr, set_global},
    {"parallel", "none", nullptr, kLines, set_parallel, nullptr},
    {"pool-table", nullptr, "live table of the pool and the guests on stderr", kLines, set_pool_table, nullptr},
    {"nic", "KIND,...", "none, or user[,hostfwd=tcp::2222-:22][,mac=...]: behind the host, port 2222 of the host led to 22 of the guest", kNetwork, nullptr, set_nic},
    {"netdev", "user,id=ID,...", "the host's end alone; -device virtio-net-pci,netdev=ID is the card", kNetwork, nullptr, set_netdev},
    {"net", "KIND", "nic and user, or none: as QEMU had it first", kNetwork, nullptr, set_net},
    {"device", "NAME,...", "virtio-net-pci,netdev=ID; virtio-blk-pci, ide-hd or ide-cd,drive=ID; virtconsole,chardev=ID (hvc0); isa-debug-exit,iobase=0xf4; help lists all", kNetwork, nullptr, set_device},
    {"pool", "SIZE", "memory of the host that all guests share (default: what the guests have, at most 80 % of the host's)", kHost, set_pool, nullptr},
    {"icount", nullptr, "guest time counts instructions: runs repeat exactly", kHost, set_icount, nullptr},
    {"seed", "N", "randomness of an -icount run", kHost, set_seed, nullptr},
    {"d", "ITEM,...", "log translated blocks: in_asm (the guest's code), out_asm (the host's)", kOther, set_debug_items, nullptr},
    {"D", "FILE", "where -d writes (default: stderr)", kOther, set_debug_file, nullptr},
    {"perfmap", nullptr, "write /tmp/perf-PID.map, so that perf names translated blocks", kOther, set_perf_map, nullptr},
    {"daemonize", nullptr, "go on in the background once nothing can be refused any more", kOther, set_daemonize, nullptr},
    {"pidfile", "FILE", "holds the process id while it runs", kOther, set_pid_file, nullptr},
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
        "\nThe value 'help' lists an option's values: -device help, -cpu help.\n"
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
