// SPDX-License-Identifier: MIT
#include "vmm/machine/board.h"

#include "bios/pc_numbers.h"
#include "core/check.h"
#include "devices/bus/layout.h"
#include "devices/bus/pci_setup.h"
#include "devices/storage/ide_disk.h"
#include "vmm/boot/text_mode.h"

namespace shadowbox {

// What the ACPI tables say is what the board does.
static_assert(pc::kPmBase == layout::kAcpiPm.first && pc::kGpe0Base == layout::kGpe0.first &&
              pc::kSmiCommandPort == layout::kApmControl.first && pc::kFwCfgPort == layout::kFwCfg.first &&
              pc::kFwCfgPort + pc::kFwCfgPorts == layout::kFwCfgDma.first + layout::kFwCfgDma.count);
static_assert(pc::kAcpiEnable == layout::kAcpiEnableCommand &&
              pc::kAcpiDisable == layout::kAcpiDisableCommand && pc::kS5Type == layout::kS5SleepType);
static_assert(pc::kSciIrq == layout::kIrqSci && pc::kPitGsi == layout::kPitGsi &&
              pc::kHpetAddress == layout::kHpet.first && pc::kPciHoleFirst == layout::kPciHole.first);

Board::Board(const MachineConfig& config, GuestMemory& memory, TimerQueue& timers, ApicMessageSink& apics,
             BoardHooks hooks, const BoardPlugs& plugs)
    : a20([hooks, &memory](bool enabled) {
          hooks.run_exclusive([&memory, enabled] { memory.set_a20(enabled); });
      }),
      pic(hooks.pic_interrupt),
      ioapic(apics),
      irqs(pic, ioapic),
      pit(timers, irqs.isa_line(layout::kIrqPit)),
      rtc(timers, irqs.isa_line(layout::kIrqRtc)),
      hpet(
          timers, irqs.isa_line(layout::kIrqPit), irqs.isa_line(layout::kIrqRtc),
          [this](unsigned gsi) { return irqs.gsi_line(gsi); },
          [this](bool hpet_has_it) {
              pit.set_irq_enabled(!hpet_has_it);
              rtc.set_irq_enabled(!hpet_has_it);
          }),
      acpi(timers, irqs.isa_line(layout::kIrqSci), hooks.power_off),
      system_control(a20, hooks.reset),
      coprocessor_error(irqs.isa_line(layout::kIrqFpu), hooks.ignne),
      keyboard(timers, irqs.isa_line(layout::kIrqKeyboard), irqs.isa_line(layout::kIrqMouse), a20,
               hooks.reset),
      debug(hooks.firmware_line, hooks.debug_exit),
      fw_cfg(memory),
      dma(memory),
      floppy(dma, irqs.isa_line(layout::kIrqFloppy)),
      pci(ports, mmio),
      shadow_ram(memory, hooks.run_exclusive),
      host_bridge(pci, shadow_ram, system_control.reset_control()),
      isa_bridge(irqs),
      ide(memory, irqs.isa_line(layout::kIrqIdePrimary), irqs.isa_line(layout::kIrqIdeSecondary)),
      power_function(acpi),
      vga(timers, memory, hooks.run_exclusive, plugs.vga_bios),
      balloon(config.memory_bytes, memory, apics),
      rng(hooks.random, memory, apics) {
    static constexpr unsigned kSerialIrqs[] = {layout::kIrqSerial0, layout::kIrqSerial1, layout::kIrqSerial0,
                                               layout::kIrqSerial1};
    for (unsigned i = 0; i < 4 && i < plugs.serials.size(); ++i) {
        serials.push_back(std::make_unique<Serial16550>(fmt::format("serial{}", i), timers,
                                                        irqs.isa_line(kSerialIrqs[i]), plugs.serials[i]));
    }
    all_ = {&pic,    &ioapic,           &irqs,     &pit,   &rtc,    &hpet,
            &acpi,   &system_control,   &keyboard, &debug, &fw_cfg, &dma,
            &floppy, &coprocessor_error};
    for (auto& serial : serials) all_.push_back(serial.get());
    font_ = vga_font(plugs.vga_bios);
    wire(config, plugs, memory, apics);
    if (!hooks.page_waits) return;
    dma.set_page_waits(*hooks.page_waits);
    fw_cfg.set_page_waits(*hooks.page_waits);
    ide.set_page_waits(*hooks.page_waits);
    for (VirtioPci* device : std::initializer_list<VirtioPci*>{&balloon, &rng, net.get()})
        if (device) device->set_page_waits(*hooks.page_waits);
    for (auto& console : consoles) console->set_page_waits(*hooks.page_waits);
    for (auto& disk : disks) disk->set_page_waits(*hooks.page_waits);
}

Board::~Board() = default;

void Board::claim(layout::PortRange range, PortHandler& handler, const char* name) {
    VM_CHECK(ports.add(range.first, range.count, handler, name));
}

void Board::wire(const MachineConfig& config, const BoardPlugs& plugs, GuestMemory& memory,
                 ApicMessageSink& apics) {
    claim(layout::kPicMaster, pic.master_ports(), "pic");
    claim(layout::kPicSlave, pic.slave_ports(), "pic");
    claim(layout::kElcr, pic.elcr_ports(), "pic");
    claim(layout::kPit, pit, "pit");
    claim(layout::kPortB, pit.port_b(), "port-b");
    claim(layout::kRtc, rtc, "rtc");
    claim(layout::kKeyboardData, keyboard.data_port(), "i8042");
    claim(layout::kKeyboardCommand, keyboard.command_port(), "i8042");
    claim(layout::kSystemControlA, system_control.port_92(), "port-92");
    claim(layout::kCoprocessorError, coprocessor_error, "coprocessor-error");
    claim(layout::kApmControl, acpi.apm_ports(), "apm");
    claim(layout::kGpe0, acpi.gpe_ports(), "gpe0");
    claim(layout::kPost, debug.post_code(), "post");
    bool moved = config.debug_console && config.debug_console->port == layout::kDebugConsole.first;
    if (!moved) claim(layout::kDebugConsole, debug.console(), "debug-console");
    claim(layout::kFwCfg, fw_cfg.ports(), "fw-cfg");
    claim(layout::kFwCfgDma, fw_cfg.dma_ports(), "fw-cfg");
    static constexpr layout::PortRange kSerials[] = {layout::kSerial0, layout::kSerial1, layout::kSerial2,
                                                     layout::kSerial3};
    for (unsigned i = 0; i < serials.size(); ++i) claim(kSerials[i], *serials[i], "serial");
    VM_CHECK(mmio.add(Gpa(layout::kIoApic.first), layout::kIoApic.size, ioapic, "ioapic"));
    VM_CHECK(mmio.add(Gpa(layout::kHpet.first), layout::kHpet.size, hpet, "hpet"));
    claim(layout::kDma1, dma.low_ports(), "dma");
    claim(layout::kDma2, dma.high_ports(), "dma");
    claim(layout::kDmaPages, dma.page_ports(), "dma");
    claim(layout::kFloppy, floppy.ports(), "floppy");
    claim(layout::kFloppyDirection, floppy.direction_port(), "floppy");
    claim(layout::kPciConfigAddress, host_bridge.address_ports(), "pci");
    claim(layout::kPciConfigData, host_bridge.data_ports(), "pci");
    if (config.vga) {
        claim(layout::kVga, vga.ports(), "vga");
        claim(layout::kVbeDispi, vga.dispi_ports(), "vga");
        VM_CHECK(mmio.add(Gpa(layout::kVgaWindow.first), layout::kVgaWindow.size, vga.window(), "vga"));
    }

    pci.set_pirq_wires([this](unsigned pirq) { return isa_bridge.pirq_line(pirq); });
    auto function = [this](unsigned slot, unsigned number, PciDevice& device) {
        pci.add(slot, number, device);
        all_.push_back(&device);
    };
    function(0, 0, host_bridge);
    function(1, 0, isa_bridge);
    function(1, 1, ide);
    function(1, 3, power_function);
    if (config.vga) function(2, 0, vga);
    if (plugs.network) {
        net = std::make_unique<VirtioNet>(plugs.network, plugs.mac, memory, apics);
        function(3, 0, *net);
    }
    if (config.balloon) function(4, 0, balloon);
    if (config.random) function(5, 0, rng);
    // Last of the ports: those that the user places.
    if (config.debug_console) plug_debug_console(*config.debug_console, plugs.debug_console);
    if (config.debug_exit_port && !ports.add(*config.debug_exit_port, 4, debug.exit_device(), "debug-exit"))
        conflict_ = fmt::format("isa-debug-exit: ports {:#x} to {:#x} are taken by another device",
                                *config.debug_exit_port, *config.debug_exit_port + 3);
    if (plugs.drives) plug_drives(*plugs.drives, memory, apics);
    for (CharBackend* line : plugs.consoles) {
        consoles.push_back(std::make_unique<VirtioConsole>(fmt::format("virtio-console{}", consoles.size()),
                                                           line, memory, apics));
        function(pci.free_slot(6), 0, *consoles.back());
    }
}

/// QEMU's isa-debugcon: reads as its own port's number, so that a guest can tell it is there.
void Board::plug_debug_console(const DebugConsoleConfig& config, CharBackend* line) {
    debug_console_ = std::make_unique<PortFunctions>([](u16, unsigned) { return u32{0xE9}; },
                                                     [line](u16, unsigned, u32 value) {
                                                         u8 byte = static_cast<u8>(value);
                                                         if (line) line->write({&byte, 1});
                                                     });
    if (!ports.add(config.port, 1, *debug_console_, "debug-console"))
        conflict_ = fmt::format("the debug console: port {:#x} is taken by another device", config.port);
}

void Board::plug_drives(std::vector<Drive>& drives, GuestMemory& memory, ApicMessageSink& apics) {
    for (Drive& drive : drives) {
        std::string serial =
            fmt::format("SB{:05}", static_cast<int>(drive.config.interface) * 100 + drive.index);
        unsigned number = static_cast<unsigned>(drive.index);
        switch (drive.config.interface) {
            case DriveInterface::kNone: break;
            case DriveInterface::kFloppy: floppy.insert(number, drive.backend.get()); break;
            case DriveInterface::kIde:
                if (drive.config.cdrom)
                    ide.attach(number, std::make_unique<AtapiCdrom>(fmt::format("cd{}", number), serial,
                                                                    drive.backend.get()));
                else
                    ide.attach(number, std::make_unique<IdeDisk>(fmt::format("hd{}", number), *drive.backend,
                                                                 serial));
                break;
            case DriveInterface::kVirtio:
                disks.push_back(std::make_unique<VirtioBlk>(fmt::format("virtio-blk{}", number),
                                                            *drive.backend, serial, memory, apics));
                pci.add(pci.free_slot(6), 0, *disks.back());
                all_.push_back(disks.back().get());
                break;
        }
    }
}

Expected<void> Board::set_bios_image(const std::vector<u8>& bytes) { return shadow_ram.load_rom(bytes); }

void Board::set_up_without_firmware() {
    set_up_pci(pci);
    if (has_text_font()) set_text_mode(ports, mmio, font_);
    pic.elcr_ports().port_write(1, 1, kPirqElcr);
    // The 8259 pair at vectors 08H and 70H with the timer, the keyboard, the clock and the mouse let through,
    // and the timer at its slowest: 18.2 ticks a second (IBM PC AT Technical Reference, BIOS listing).
    for (auto [chip, vector, wiring, mask] :
         {std::tuple<PortHandler*, u8, u8, u8>{&pic.master_ports(), 0x08, 0x04, 0xB8},
          {&pic.slave_ports(), 0x70, 0x02, 0x8E}}) {
        chip->port_write(0, 1, 0x11);
        for (u8 word : {vector, wiring, u8{0x01}, mask}) chip->port_write(1, 1, word);
    }
    pit.port_write(3, 1, 0x34);
    pit.port_write(0, 1, 0), pit.port_write(0, 1, 0);
}

Expected<void> Board::wired() const {
    if (conflict_.empty()) return {};
    return make_error(ErrorCode::kInvalidArgument, "{}; choose another iobase=", conflict_);
}

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
