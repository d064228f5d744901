// SPDX-License-Identifier: MIT
// What a user asks for, as plain data: filled by the command line and by TOML files (ui/), checked and built
// by vmm/.
#pragma once

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
};

enum class DriveInterface : u8 { kIde, kVirtio, kFloppy };

struct DriveConfig {
    std::string file;
    DriveInterface interface = DriveInterface::kIde;
    bool cdrom = false;
    bool read_only = false;
    bool snapshot = false;
    int index = -1;  ///< position on its interface; -1: the next free one
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
    unsigned vcpus = 1;
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
    std::optional<u16> debug_exit_port;  ///< -device isa-debug-exit,iobase=
    bool no_reboot = false;
    bool start_paused = false;  ///< -S
    std::string
        cpu_model;  ///< v2, v3, max; empty: max, and v2 under -icount, so that a run repeats on any host
    bool jit = kHostHasTranslator;  ///< -accel jit: translate hot code
    bool count_hits = false;        ///< -accel hits=on: emitted code counts what it finds at once (info jit)
    u64 code_cache_bytes = 0;       ///< -accel tb-size=: of the process, the largest holds; 0: the default
    TripleFaultAction triple_fault = TripleFaultAction::kDefault;
};

struct HostConfig {
    u64 pool_bytes = 0;    ///< 0: default_pool_bytes() (vmm/machine/host.h)
    bool attended = true;  ///< a monitor or QMP is there, by which somebody can give a starved guest room
    bool icount = false;
    u64 seed = 0;
    u64 code_cache_bytes = 0;  ///< decoded blocks and host code of all guests; 0: as their machines say
    bool verbose = false;
    jit::TranslationListener* translations = nullptr;  ///< told of each translated block; outlives the guests
};

}  // namespace shadowbox
