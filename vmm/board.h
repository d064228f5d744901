// SPDX-License-Identifier: MIT
// The PC: every device of one VM and its wiring, one line each (board.cpp). Guarded by the VM's device lock once it runs.
#pragma once

#include <memory>
#include <vector>

#include "devices/acpi_pm.h"
#include "devices/atapi_cdrom.h"
#include "devices/debug_ports.h"
#include "devices/dma8237.h"
#include "devices/floppy82077.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i440fx.h"
#include "devices/i440fx_pam.h"
#include "devices/i8042.h"
#include "devices/io_bus.h"
#include "devices/ioapic.h"
#include "devices/irq_router.h"
#include "devices/pci_bus.h"
#include "devices/pic8259.h"
#include "devices/piix3_ide.h"
#include "devices/piix3_isa.h"
#include "devices/piix4_pm.h"
#include "devices/pit8254.h"
#include "devices/rtc_cmos.h"
#include "devices/serial16550.h"
#include "devices/system_control.h"
#include "devices/vga.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_net.h"
#include "devices/virtio_rng.h"
#include "vmm/drives.h"
#include "vmm/machine_config.h"

namespace shadowbox {

/// What devices ask of the machine around them.
struct BoardHooks {
    std::function<void(bool)> pic_interrupt;       ///< 8259 INTR to the boot processor
    std::function<void()> power_off, reset;
    std::function<void(int)> debug_exit;
    std::function<void(const std::string&)> firmware_line;
    std::function<void(std::function<void()>)> run_exclusive;  ///< for changes of the physical map
    std::function<u64()> random;                   ///< entropy for the guest
};

/// What is plugged into the board from outside; all outlive it.
struct BoardPlugs {
    std::vector<CharBackend*> serials, consoles;
    NetBackend* network = nullptr;
    VirtioNet::Mac mac{};
    std::vector<Drive>* drives = nullptr;
    std::vector<u8> vga_bios;  ///< option ROM of the display adapter
};

class Board {
 public:
    Board(const MachineConfig& config, GuestMemory& memory, TimerQueue& timers, ApicMessageSink& apics, BoardHooks hooks, const BoardPlugs& plugs);
    ~Board();

    void reset();
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;
    /// The firmware, for the BIOS segment below 1 MiB.
    Expected<void> set_bios_image(const std::vector<u8>& bytes);
    /// What firmware does to PCI and the display adapter, for a kernel that boots without it.
    void set_up_without_firmware();
    /// Whether that gives a text screen.
    bool has_text_font() const { return !font_.empty(); }

    PortBus ports;
    MmioBus mmio;
    A20Gate a20;
    Pic8259Pair pic;
    IoApic ioapic;
    IrqRouter irqs;
    Pit8254 pit;
    RtcCmos rtc;
    Hpet hpet;
    AcpiPm acpi;
    SystemControl system_control;
    I8042 keyboard;
    DebugPorts debug;
    FwCfg fw_cfg;
    std::vector<std::unique_ptr<Serial16550>> serials;
    Dma8237 dma;
    Floppy82077 floppy;
    PciBus pci;
    ShadowRam shadow;
    I440fx host_bridge;
    Piix3Isa isa_bridge;
    Piix3Ide ide;
    Piix4Pm power_function;
    Vga vga;
    VirtioBalloon balloon;
    VirtioRng rng;
    std::unique_ptr<VirtioNet> net;
    std::vector<std::unique_ptr<VirtioConsole>> consoles;
    std::vector<std::unique_ptr<VirtioBlk>> disks;

    const std::vector<Device*>& devices() const { return all_; }

 private:
    void wire(const MachineConfig& config, const BoardPlugs& plugs, GuestMemory& memory, ApicMessageSink& apics);
    void claim(layout::PortRange range, PortHandler& handler, const char* name);
    void plug_drives(std::vector<Drive>& drives, GuestMemory& memory, ApicMessageSink& apics);
    std::vector<u8> font_;  ///< of the VGA BIOS
    std::vector<Device*> all_;
};

}  // namespace shadowbox
