// SPDX-License-Identifier: MIT
#include "vmm/board.h"

#include "core/check.h"
#include "devices/layout.h"

namespace shadowbox {

Board::Board(const MachineConfig& config, GuestMemory& memory, TimerQueue& timers, ApicMessageSink& apics, BoardHooks hooks,
             const std::vector<CharBackend*>& serial_backends)
    : a20([hooks, &memory](bool enabled) { hooks.run_exclusive([&memory, enabled] { memory.set_a20(enabled); }); }),
      pic(hooks.pic_interrupt),
      ioapic(apics),
      irqs(pic, ioapic),
      pit(timers, irqs.isa_line(layout::kIrqPit)),
      rtc(timers, irqs.isa_line(layout::kIrqRtc)),
      hpet(timers, irqs.isa_line(layout::kIrqPit), irqs.isa_line(layout::kIrqRtc), [this](unsigned gsi) { return irqs.gsi_line(gsi); },
           [this](bool hpet_has_it) { pit.set_irq_enabled(!hpet_has_it); rtc.set_irq_enabled(!hpet_has_it); }),
      acpi(timers, irqs.isa_line(layout::kIrqSci), hooks.power_off),
      system_control(a20, hooks.reset),
      keyboard(timers, irqs.isa_line(layout::kIrqKeyboard), irqs.isa_line(layout::kIrqMouse), a20, hooks.reset),
      debug(hooks.firmware_line, hooks.debug_exit),
      fw_cfg(memory) {
    static constexpr unsigned kSerialIrqs[] = {layout::kIrqSerial0, layout::kIrqSerial1, layout::kIrqSerial0, layout::kIrqSerial1};
    for (unsigned i = 0; i < 4 && i < serial_backends.size(); ++i) {
        serials.push_back(std::make_unique<Serial16550>(fmt::format("serial{}", i), timers, irqs.isa_line(kSerialIrqs[i]), serial_backends[i]));
    }
    all_ = {&pic, &ioapic, &irqs, &pit, &rtc, &hpet, &acpi, &system_control, &keyboard, &debug, &fw_cfg};
    for (auto& serial : serials) all_.push_back(serial.get());
    wire(config);
}

Board::~Board() = default;

void Board::claim(layout::PortRange range, PortHandler& handler, const char* name) {
    VM_CHECK(ports.add(range.first, range.count, handler, name));
}

void Board::wire(const MachineConfig& config) {
    claim(layout::kPicMaster, pic.master_ports(), "pic");
    claim(layout::kPicSlave, pic.slave_ports(), "pic");
    claim(layout::kElcr, pic.elcr_ports(), "pic");
    claim(layout::kPit, pit, "pit");
    claim(layout::kPortB, pit.port_b(), "port-b");
    claim(layout::kRtc, rtc, "rtc");
    claim(layout::kKeyboardData, keyboard.data_port(), "i8042");
    claim(layout::kKeyboardCommand, keyboard.command_port(), "i8042");
    claim(layout::kSystemControlA, system_control.port_92(), "port-92");
    claim(layout::kApmControl, acpi.apm_ports(), "apm");
    claim(layout::kAcpiPm, acpi.pm_ports(), "acpi-pm");
    claim(layout::kGpe0, acpi.gpe_ports(), "gpe0");
    claim(layout::kPost, debug.post_code(), "post");
    claim(layout::kDebugConsole, debug.console(), "debug-console");
    claim(layout::kFwCfg, fw_cfg.ports(), "fw-cfg");
    claim(layout::kFwCfgDma, fw_cfg.dma_ports(), "fw-cfg");
    if (config.debug_exit_port) VM_CHECK(ports.add(*config.debug_exit_port, 4, debug.exit_device(), "debug-exit"));
    static constexpr layout::PortRange kSerials[] = {layout::kSerial0, layout::kSerial1, layout::kSerial2, layout::kSerial3};
    for (unsigned i = 0; i < serials.size(); ++i) claim(kSerials[i], *serials[i], "serial");
    VM_CHECK(mmio.add(Gpa(layout::kIoApic.first), layout::kIoApic.size, ioapic, "ioapic"));
    VM_CHECK(mmio.add(Gpa(layout::kHpet.first), layout::kHpet.size, hpet, "hpet"));
}

void Board::set_bios_image(const std::vector<u8>& bytes) { bios_image_ = bytes; }

void Board::reset() {
    for (Device* device : all_) device->reset();
    a20.set(true);
}

void Board::serialize(Archive& archive) {
    archive.section("board", 1);
    a20.serialize(archive);
    for (Device* device : all_) device->serialize(archive);
}

void Board::inspect(Inspector& inspector) const {
    for (const Device* device : all_) {
        auto group = inspector.group(std::string(device->name()));
        device->inspect(group);
    }
}

}  // namespace shadowbox
