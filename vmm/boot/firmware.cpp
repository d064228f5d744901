// SPDX-License-Identifier: MIT
#include "vmm/boot/firmware.h"

#include <array>

#include "bios/bios_data_area.h"
#include "bios/linux_boot.h"
#include "core/host/file.h"
#include "core/log.h"
#include "core/seeded_random.h"
#include "cpu/apic/local_apic.h"
#include "cpu/state/vcpu.h"
#include "vmm/boot/bios_image.h"
#include "vmm/boot/boot_image.h"
#include "vmm/boot/text_mode.h"
#include "vmm/machine/host.h"
#include "vmm/machine/virtual_machine.h"

namespace shadowbox {

namespace {

constexpr u32 kApicSpurious = 0xF0, kApicLint0 = 0x350, kApicLint1 = 0x360;
constexpr u64 kLargestElf = u64{1} << 32;
constexpr u16 kCode64 = 0xA09B, kCode32 = 0xC09B, kData = 0xC093;

void set_boot_state(Vcpu& vcpu, const BootState& state) {
    vcpu.gdtr = {state.gdt_base, state.gdt_limit};
    vcpu.idtr = {0, 0};
    vcpu.seg[kCs] = {state.code_selector, state.long_mode ? kCode64 : kCode32, 0xFFFFFFFF, 0};
    for (Seg seg : {kEs, kSs, kDs, kFs, kGs}) vcpu.seg[seg] = {state.data_selector, kData, 0xFFFFFFFF, 0};
    vcpu.rip = state.rip;
    vcpu.gpr[kRsp] = state.rsp;
    vcpu.gpr[kRsi] = state.rsi;
    vcpu.gpr[kRbx] = state.rbx;
    vcpu.gpr[kRax] = state.rax;
    vcpu.x87 = {};  // as behind FNINIT
    vcpu.cr0 = cr0::kPE | cr0::kET | cr0::kNE;
    // Virtual wire mode: the 8259's interrupts through LINT0, NMI through LINT1 (MP specification 3.6.2.2).
    vcpu.apic->mmio_write(kApicSpurious, 0x1FF);
    vcpu.apic->mmio_write(kApicLint0, 0x8700);
    vcpu.apic->mmio_write(kApicLint1, 0x8400);
    if (state.long_mode) {
        vcpu.cr0 |= cr0::kPG | cr0::kWP;
        vcpu.cr4 = cr4::kPAE;
        vcpu.efer = efer::kLME | efer::kLMA;
        vcpu.cr3 = state.cr3;
    }
    vcpu.mmu.set_control(vcpu.cr0, vcpu.cr4, vcpu.efer);
    vcpu.mmu.set_cr3(vcpu.cr3, false);
    vcpu.update_mode();
}

/// BIOS data areas, and ACPI and SMBIOS tables in the F segment, for kernels that boot without firmware.
bool place_tables(VirtualMachine& vm) {
    BootImage& boot = vm.boot_image();
    SmbiosTables smbios = boot.smbios;
    BiosDataMachine data;
    static constexpr u16 kPorts[] = {layout::kSerial0.first, layout::kSerial1.first, layout::kSerial2.first,
                                     layout::kSerial3.first};
    data.serial_ports = std::span(kPorts).first(std::min(vm.board().serials.size(), std::size(kPorts)));
    for (const DriveConfig& drive : vm.config().drives) {
        data.floppies += drive.interface == DriveInterface::kFloppy;
        data.hard_disks += drive.interface != DriveInterface::kFloppy && !drive.cdrom;
    }
    data.text_mode = vm.board().has_text_font();
    if (!vm.memory().write(Gpa(kBiosDataArea), make_bios_data_area(data)) ||
        !vm.memory().write(Gpa(kExtendedBiosData), make_extended_bios_data()))
        return false;
    link_smbios(smbios, BootImage::kSmbiosAddress + 32);
    return vm.memory().write(Gpa(BootImage::kRsdpAddress),
                             make_rsdp(BootImage::kAcpiAddress + boot.acpi.rsdt)) &&
           vm.memory().write(Gpa(BootImage::kSmbiosAddress), smbios.entry_point) &&
           vm.memory().write(Gpa(BootImage::kSmbiosAddress + 32), smbios.structures) &&
           vm.memory().write(Gpa(BootImage::kAcpiAddress), link_acpi(boot.acpi, BootImage::kAcpiAddress));
}

/// Looks at the size first: what cannot fit in the guest is not read. An ELF file may be larger than what
/// is loaded of it.
Expected<std::vector<u8>> read_boot_file(const std::string& path, const char* what, u64 memory_bytes) {
    auto file = File::open(path, File::Mode::kReadOnly);
    if (!file) return wrap_error(file.error(), "cannot read the {}", what);
    auto size = file->size();
    if (!size) return wrap_error(size.error(), "cannot read the {}", what);
    std::array<u8, 4> magic{};
    if (*size >= magic.size()) (void)file->read(0, magic);
    bool elf = magic == std::array<u8, 4>{0x7F, 'E', 'L', 'F'};
    if (*size > memory_bytes && !(elf && *size <= kLargestElf))
        return make_error(ErrorCode::kInvalidArgument,
                          "the {} '{}' has {} MiB, the guest only {}: raise -m, or name another file", what,
                          path, *size >> 20, memory_bytes >> 20);
    std::vector<u8> bytes(*size);
    if (auto done = file->read(0, bytes); !done) return wrap_error(done.error(), "cannot read the {}", what);
    return bytes;
}

Expected<void> read_kernel(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    auto kernel = read_boot_file(config.kernel, "kernel", config.memory_bytes);
    if (!kernel) return tl::unexpected(kernel.error());
    std::vector<u8> initrd;
    if (!config.initrd.empty()) {
        auto bytes = read_boot_file(config.initrd, "initrd", config.memory_bytes);
        if (!bytes) return tl::unexpected(bytes.error());
        initrd = std::move(*bytes);
    }
    if (is_bzimage(*kernel)) {
        auto image =
            std::make_shared<LinuxImage>(LinuxImage{std::move(*kernel), std::move(initrd), config.append});
        if (auto ok = check_linux(*image, config.memory_bytes); !ok)
            return wrap_error(ok.error(), "cannot boot '{}'", config.kernel);
        vm.boot_image().linux_image = std::move(image);
        return {};
    }
    auto image = std::make_shared<ElfKernel>();
    image->kernel = std::move(*kernel);
    image->command_line = config.append;
    image->name = config.kernel;
    if (!config.initrd.empty()) image->modules.push_back({std::move(initrd), config.initrd});
    if (elf_boot_protocol(image->kernel) == ElfBoot::kNone) {
        return make_error(ErrorCode::kUnsupported,
                          "cannot boot '{}': neither a bzImage, a PVH nor a multiboot kernel", config.kernel);
    }
    if (auto ok = check_elf_kernel(*image, config.memory_bytes); !ok)
        return wrap_error(ok.error(), "cannot boot '{}'", config.kernel);
    vm.boot_image().elf_kernel = std::move(image);
    return {};
}

std::array<u8, 3> cmos_boot_order(const std::string& letters) {
    static constexpr std::string_view kLetters = "acdn";  // 1 to 4 in CMOS
    std::array<u8, 3> order{};
    for (std::size_t i = 0; i < std::min(letters.size(), order.size()); ++i)
        order[i] = static_cast<u8>(kLetters.find(letters[i]) + 1);
    return order;
}

void configure_cmos(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    CmosConfiguration cmos;
    cmos.ram_below_4g = std::min<u64>(config.memory_bytes, layout::kPciHole.first);
    cmos.ram_above_4g = config.memory_bytes - cmos.ram_below_4g;
    cmos.cpus = config.vcpus;
    for (unsigned i = 0; i < 2; ++i) cmos.floppy_types[i] = vm.board().floppy.drive(i).cmos_type();
    const std::string& order = config.boot_once.empty() ? config.boot_order : config.boot_once;
    if (!order.empty()) cmos.boot_order = cmos_boot_order(order);
    vm.board().rtc.configure(cmos);
}

/// -boot once= holds for the first start.
void restore_boot_order(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    bool again = std::exchange(vm.boot_image().started, true);
    if (!again || config.boot_once.empty()) return;
    vm.board().rtc.set_boot_order(config.boot_order.empty() ? CmosConfiguration{}.boot_order
                                                            : cmos_boot_order(config.boot_order));
}

/// -fw_cfg: what the user wants the guest to find, in Linux below /sys/firmware/qemu_fw_cfg/by_name.
Expected<void> add_fw_cfg_files(VirtualMachine& vm) {
    constexpr u64 kLargest = u64{256} << 20;
    for (const FwCfgFile& item : vm.config().fw_cfg_files) {
        std::vector<u8> bytes(item.text.begin(), item.text.end());
        if (!item.file.empty()) {
            auto read = File::read_all(item.file, kLargest);
            if (!read) return wrap_error(read.error(), "-fw_cfg {}", item.name);
            bytes = std::move(*read);
        }
        if (!vm.board().fw_cfg.add_file(item.name, std::move(bytes)))
            return make_error(ErrorCode::kInvalidArgument,
                              "-fw_cfg {}: the name is taken or longer than 55 characters", item.name);
    }
    return {};
}

}  // namespace

Expected<void> prepare_firmware(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    configure_cmos(vm);
    BootImage& boot = vm.boot_image();
    boot.acpi = build_acpi({.vcpus = config.vcpus});
    SmbiosMachine machine{config.memory_bytes, config.vcpus, {}, config.name};
    SeededRandom random(vm.host().entropy() ^ 0x5EED);
    for (u8& byte : machine.uuid) byte = static_cast<u8>(random.next());
    if (config.uuid) {
        // SMBIOS 2.6 and up: the first three fields are little-endian (SMBIOS 3.0, 7.2.1).
        static constexpr u8 kOrder[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
        for (unsigned i = 0; i < 16; ++i) machine.uuid[i] = (*config.uuid)[kOrder[i]];
        vm.board().fw_cfg.add_bytes(FwCfgKey::kUuid, {config.uuid->begin(), config.uuid->end()});
    }
    if (auto ok = add_fw_cfg_files(vm); !ok) return ok;
    boot.smbios = build_smbios(machine);
    fill_fw_cfg(vm);
    if (config.kernel.empty()) return load_bios(vm);
    return read_kernel(vm);
}

void start_firmware(VirtualMachine& vm) {
    restore_boot_order(vm);
    BootImage& boot = vm.boot_image();
    if (vm.config().kernel.empty()) return;
    if (!boot.direct()) {
        if (auto read = read_kernel(vm); !read) {
            spdlog::error("[{}] {}", vm.name(), read.error().text());
            return;
        }
    }
    vm.board().set_up_without_firmware();
    bool placed = place_tables(vm);
    auto state = boot.linux_image ? load_linux(*boot.linux_image, vm.memory(), vm.config().memory_bytes,
                                               BootImage::kRsdpAddress)
                                  : load_elf_kernel(*boot.elf_kernel, vm.memory(), vm.config().memory_bytes,
                                                    BootImage::kRsdpAddress);
    if (!placed || !state) {
        spdlog::error(
            "[{}] {}", vm.name(),
            state ? "no machine pages left for the ACPI tables: raise --pool" : state.error().text());
        return;
    }
    // RSI is the address of Linux's boot parameters (Documentation/x86/boot.rst, 64-bit boot protocol).
    if (boot.linux_image && vm.board().has_text_font())
        (void)vm.memory().write(Gpa(state->rsi), text_screen_info());
    set_boot_state(vm.vcpu(0), *state);
    // In the guest's memory now. A reset reads the files again, which costs less than to keep them.
    boot.linux_image.reset();
    boot.elf_kernel.reset();
}

}  // namespace shadowbox
