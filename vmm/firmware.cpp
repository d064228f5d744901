// SPDX-License-Identifier: MIT
#include "vmm/firmware.h"

#include "bios/linux_boot.h"
#include "core/host/file.h"
#include "core/log.h"
#include "cpu/local_apic.h"
#include "cpu/vcpu.h"
#include "vmm/boot_image.h"
#include "vmm/host.h"
#include "vmm/virtual_machine.h"

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

}  // namespace

Expected<void> prepare_firmware(VirtualMachine& vm) {
    const MachineConfig& config = vm.config();
    CmosConfiguration cmos;
    cmos.ram_below_4g = std::min<u64>(config.memory_bytes, layout::kPciHole.first);
    cmos.ram_above_4g = config.memory_bytes - cmos.ram_below_4g;
    cmos.cpus = config.vcpus;
    vm.board().rtc.configure(cmos);
    if (config.kernel.empty()) return {};
    auto image = std::make_shared<LinuxImage>();
    auto kernel = File::read_all(config.kernel);
    if (!kernel) return wrap_error(kernel.error(), "cannot read the kernel");
    image->kernel = std::move(*kernel);
    if (!config.initrd.empty()) {
        auto initrd = File::read_all(config.initrd);
        if (!initrd) return wrap_error(initrd.error(), "cannot read the initrd");
        image->initrd = std::move(*initrd);
    }
    image->command_line = config.append;
    if (auto ok = check_linux(*image, config.memory_bytes); !ok) return wrap_error(ok.error(), "cannot boot '{}'", config.kernel);
    vm.boot_image().linux_image = std::move(image);
    return {};
}

void start_firmware(VirtualMachine& vm) {
    const BootImage& boot = vm.boot_image();
    if (!boot.linux_image) return;
    auto state = load_linux(*boot.linux_image, vm.memory(), vm.config().memory_bytes, boot.rsdp);
    if (!state) {
        spdlog::error("[{}] {}", vm.name(), state.error().text());
        return;
    }
    set_boot_state(vm.vcpu(0), *state);
}

}  // namespace shadowbox
