// SPDX-License-Identifier: MIT
#include "vmm/boot/firmware.h"

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
    vcpu.cr0 = cr0::kPE | cr0::kET | cr0::kNE;
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

/// ACPI and SMBIOS tables in the F segment, for kernels that boot without firmware.
bool place_tables(VirtualMachine& vm) {
    BootImage& boot = vm.boot_image();
    SmbiosTables smbios = boot.smbios;
    link_smbios(smbios, BootImage::kSmbiosAddress + 32);
    return vm.memory().write(Gpa(BootImage::kRsdpAddress),
                             make_rsdp(BootImage::kAcpiAddress + boot.acpi.rsdt)) &&
           vm.memory().write(Gpa(BootImage::kSmbiosAddress), smbios.entry_point) &&
           vm.memory().write(Gpa(BootImage::kSmbiosAddress + 32), smbios.structures) &&
           vm.memory().write(Gpa(BootImage::kAcpiAddress), link_acpi(boot.acpi, BootImage::kAcpiAddress));
}

Expected<void> read_kernel(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    auto kernel = File::read_all(config.kernel);
    if (!kernel) return wrap_error(kernel.error(), "cannot read the kernel");
    std::vector<u8> initrd;
    if (!config.initrd.empty()) {
        auto bytes = File::read_all(config.initrd);
        if (!bytes) return wrap_error(bytes.error(), "cannot read the initrd");
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
    if (!config.initrd.empty()) image->modules.push_back({std::move(initrd), config.initrd});
    if (elf_boot_protocol(image->kernel) == ElfBoot::kNone) {
        return make_error(ErrorCode::kUnsupported,
                          "cannot boot '{}': neither a bzImage, a PVH nor a multiboot kernel", config.kernel);
    }
    vm.boot_image().elf_kernel = std::move(image);
    return {};
}

}  // namespace

Expected<void> prepare_firmware(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    CmosConfiguration cmos;
    cmos.ram_below_4g = std::min<u64>(config.memory_bytes, layout::kPciHole.first);
    cmos.ram_above_4g = config.memory_bytes - cmos.ram_below_4g;
    cmos.cpus = config.vcpus;
    vm.board().rtc.configure(cmos);
    BootImage& boot = vm.boot_image();
    boot.acpi = build_acpi({.vcpus = config.vcpus});
    SmbiosMachine machine{config.memory_bytes, config.vcpus, {}, config.name};
    SeededRandom random(vm.host().entropy() ^ 0x5EED);
    for (u8& byte : machine.uuid) byte = static_cast<u8>(random.next());
    boot.smbios = build_smbios(machine);
    if (config.kernel.empty()) return load_bios(vm);
    return read_kernel(vm);
}

void start_firmware(VirtualMachine& vm) {
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
