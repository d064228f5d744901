// SPDX-License-Identifier: MIT
#include "vmm/boot/bios_image.h"

#include <cstring>

#include "core/host/file.h"
#include "devices/bus/layout.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {

constexpr const char* kSeaBios = "/usr/share/seabios/bios-256k.bin";

std::vector<u8> e820_file(u64 memory_bytes) {
    // Only RAM above 4 GiB and reserved ranges are news to SeaBIOS; low RAM comes from here too.
    std::vector<u8> bytes;
    for (const MemoryRange& range : memory_map(memory_bytes)) {
        if (range.type != 1 || range.first < 0x100000) continue;
        u64 first = range.first == 0x100000 ? 0 : range.first,
            size = range.first == 0x100000 ? range.size + 0x100000 : range.size;
        u8 entry[20];
        memcpy(entry, &first, 8);
        memcpy(entry + 8, &size, 8);
        memcpy(entry + 16, &range.type, 4);
        bytes.insert(bytes.end(), entry, entry + 20);
    }
    return bytes;
}

}  // namespace

Expected<void> load_bios(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    std::string path = config.bios.empty() ? kSeaBios : config.bios;
    auto bytes = File::read_all(path, 16u << 20);
    if (!bytes && config.bios.empty()) {
        return make_error(
            ErrorCode::kNotFound,
            "no firmware: '{}' is not installed; install Debian's package seabios, or name a file with -bios",
            path);
    }
    if (!bytes) return wrap_error(bytes.error(), "cannot read the firmware");
    if (bytes->empty() || bytes->size() % (64 << 10))
        return make_error(ErrorCode::kCorrupt, "the firmware '{}' is {} bytes long, not a multiple of 64 KiB",
                          path, bytes->size());
    Ppn top((u64{1} << 32) / kPageSize - bytes->size() / kPageSize);
    if (auto mapped = vm.memory().map_rom(top, *bytes); !mapped) return mapped;
    return vm.board().set_bios_image(*bytes);
}

void fill_fw_cfg(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    FwCfg& fw = vm.board().fw_cfg;
    fw.add_u64(FwCfgKey::kRamSize, config.memory_bytes);
    fw.add_u16(FwCfgKey::kCpus, static_cast<u16>(config.vcpus));
    fw.add_u16(FwCfgKey::kMaxCpus, static_cast<u16>(config.vcpus));
    fw.add_u16(FwCfgKey::kNographic, 0);
    fw.add_u16(FwCfgKey::kBootMenu, config.boot_menu ? 1 : 0);
    if (config.boot_menu_wait_ms) {
        u16 wait = *config.boot_menu_wait_ms;
        fw.add_file("etc/boot-menu-wait", {static_cast<u8>(wait), static_cast<u8>(wait >> 8)});
    }
    fw.add_u32(FwCfgKey::kIrq0Override, 1);
    fw.add_u64(FwCfgKey::kNuma, 0);
    fw.add_file("etc/e820", e820_file(config.memory_bytes));
    const BootImage& boot = vm.boot_image();
    fw.add_file("etc/acpi/tables", boot.acpi.bytes);
    std::vector<u8> rsdp = make_rsdp(boot.acpi.rsdt);
    rsdp[8] = 0;  // firmware adds address and checksum
    fw.add_file("etc/acpi/rsdp", std::move(rsdp));
    fw.add_file("etc/table-loader", acpi_loader_script(boot.acpi));
    fw.add_file("etc/smbios/smbios-tables", boot.smbios.structures);
    fw.add_file("etc/smbios/smbios-anchor", boot.smbios.entry_point);
}

}  // namespace shadowbox
