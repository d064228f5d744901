// SPDX-License-Identifier: MIT
// What a user asks for, as plain data: filled by the command line and by TOML files (ui/), checked and built
// by vmm/.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/integers.h"

namespace shadowbox {

namespace jit {
class TranslationListener;
}

class CharBackend;

/// The outside ends of one machine's lines, in the order of its configuration; they outlive it.
struct CharBackends {
    std::vector<CharBackend*> serials, consoles;
    CharBackend* debug_console = nullptr;
};

/// kNone: waits for a -device that names the drive's id.
enum class DriveInterface : u8 { kIde, kVirtio, kFloppy, kNone };

struct DriveConfig {
    std::string file;
    DriveInterface interface = DriveInterface::kIde;
    bool cdrom = false;
    bool read_only = false;
    bool snapshot = false;
    int index = -1;  ///< position on its interface; -1: the next free one
    std::string id;
};

/// One end of a serial line: "stdio", "null", "file:PATH", "tcp:HOST:PORT", "unix:PATH,server=on,wait=off",
/// "chardev:ID".
struct CharConfig {
    std::string spec = "null";
    std::string log_file;  ///< a copy of all output
};
/// -chardev socket,id=,path=|host=,port=,server=on,wait=on|off,logfile=
struct ChardevConfig {
    std::string id, kind, path, host, log_file;
    u16 port = 0;
    bool server = false, wait = true;
};

struct ForwardConfig {
    bool udp = false;
    std::string host_address;
    u16 host_port = 0;
    std::string guest_address;
    u16 guest_port = 0;
};
struct NicConfig {
    bool present = true;
    std::string model = "virtio";
    std::string mac;  ///< empty: derived from the seed and the VM's number
    std::vector<ForwardConfig> forwards;
};

/// -netdev: the host's end of a network, by its id.
struct NetdevConfig {
    std::string id;
    NicConfig nic;
};
/// -device DRIVER,drive=ID or netdev=ID: plugged in by plug_devices() once all options are read.
struct DeviceConfig {
    std::string driver, backend, mac;
    int index = -1;  ///< position on its interface
};
/// -fw_cfg NAME,file=|string=
struct FwCfgFile {
    std::string name, file, text;
};
/// -debugcon: a port whose bytes go to a serial back end.
struct DebugConsoleConfig {
    CharConfig line;
    u16 port = 0xE9;
};
/// -rtc: the guest's time of day at the start; both unset: UTC of the host.
struct RtcConfig {
    bool local_time = false;
    std::optional<i64> start;  ///< seconds since 1970
};

/// Translated code (cpu/jit) is x86-64 code.
#ifdef __x86_64__
constexpr bool kHostHasTranslator = true;
#else
constexpr bool kHostHasTranslator = false;
#endif

enum class TripleFaultAction : u8 { kDefault, kFreeze, kReset, kExit };

struct MachineConfig {
    std::string name;
    u64 memory_bytes = 128ull << 20;
    bool memory_given = false;  ///< else settle() gives a machine with disks more
    unsigned vcpus = 1;
    unsigned threads_per_core = 1, cores_per_socket = 0;  ///< as CPUID tells; 0: all in one package
    std::vector<DriveConfig> drives;
    std::string kernel, initrd, append;
    std::string bios;                      ///< empty: SeaBIOS as Debian installs it
    std::string boot_order = "";           ///< letters a c d n, as -boot
    std::string boot_once;                 ///< the same, for the first start only; empty: boot_order
    bool boot_menu = false;                ///< the firmware asks
    std::optional<u16> boot_menu_wait_ms;  ///< and waits so long; else as long as the firmware likes
    std::vector<CharConfig> serials;       ///< up to four
    std::vector<CharConfig> consoles;      ///< -device virtconsole: hvc0 and on in Linux, up to four
    std::vector<ChardevConfig> chardevs;
    NicConfig nic;
    bool nic_given = false;
    std::vector<NetdevConfig> netdevs;
    std::vector<DeviceConfig> devices;
    bool vga = true, vga_given = false;      ///< the display adapter
    bool balloon = true, random = true;      ///< virtio-balloon-pci, virtio-rng-pci
    bool no_defaults = false;                ///< -nodefaults: only what is asked for
    std::optional<std::array<u8, 16>> uuid;  ///< as written; unset: from the seed
    RtcConfig rtc;
    std::optional<DebugConsoleConfig> debug_console;
    std::vector<FwCfgFile> fw_cfg_files;
    std::optional<u16> debug_exit_port;  ///< -device isa-debug-exit,iobase=
    bool no_reboot = false;
    bool no_shutdown = false;   ///< a power-off pauses the guest
    bool start_paused = false;  ///< -S
    /// A name of find_cpu_model(); empty: max, and v2 under -icount, so that a run repeats on any host.
    std::string cpu_model;
    bool jit = kHostHasTranslator;  ///< -accel jit: translate hot code
    bool count_retired = false;     ///< -accel count=on: emitted code counts instructions (info cpus)
    bool count_hits = false;        ///< -accel hits=on: emitted code counts what it finds at once (info jit)
    u64 code_cache_bytes = 0;       ///< -accel tb-size=: of the process, the largest holds; 0: the default
    TripleFaultAction triple_fault = TripleFaultAction::kDefault;
    std::string trust_group;         ///< guests share pages within one; empty: with all that have none
    std::vector<std::string> notes;  ///< what was asked for and is not done, each one line
};

struct HostConfig {
    u64 pool_bytes = 0;    ///< 0: default_pool_bytes() (vmm/machine/host.h)
    bool attended = true;  ///< a monitor or QMP is there, by which somebody can give a starved guest room
    bool icount = false;
    u64 seed = 0;
    u64 code_cache_bytes = 0;      ///< decoded blocks and host code of all guests; 0: as their machines say
    std::optional<bool> sharing;   ///< look for pages of equal content; unset: with several guests
    std::optional<u64> scan_rate;  ///< pages a second of one guest, working or idle; unset: SharingRates
    bool verbose = false;
    jit::TranslationListener* translations = nullptr;  ///< told of each translated block; outlives the guests
};

}  // namespace shadowbox
