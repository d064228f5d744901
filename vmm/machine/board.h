// SPDX-License-Identifier: MIT
// The PC: every device of one VM and its wiring, one line each (board.cpp). Guarded by the VM's device lock
// once it runs.
#pragma once

#include <memory>
#include <vector>

#include "devices/bus/io_bus.h"
#include "devices/bus/page_waits.h"
#include "devices/bus/pci_bus.h"
#include "devices/chipset/acpi_pm.h"
#include "devices/chipset/coprocessor_error.h"
#include "devices/chipset/debug_ports.h"
#include "devices/chipset/dma8237.h"
#include "devices/chipset/fw_cfg.h"
#include "devices/chipset/i440fx.h"
#include "devices/chipset/i440fx_pam.h"
#include "devices/chipset/piix3_isa.h"
#include "devices/chipset/piix4_pm.h"
#include "devices/chipset/system_control.h"
#include "devices/display/vga.h"
#include "devices/input/i8042.h"
#include "devices/interrupts/ioapic.h"
#include "devices/interrupts/irq_router.h"
#include "devices/interrupts/pic8259.h"
#include "devices/serial/serial16550.h"
#include "devices/storage/atapi_cdrom.h"
#include "devices/storage/floppy82077.h"
#include "devices/storage/piix3_ide.h"
#include "devices/timers/hpet.h"
#include "devices/timers/pit8254.h"
#include "devices/timers/rtc_cmos.h"
#include "devices/virtio/virtio_balloon.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_net.h"
#include "devices/virtio/virtio_rng.h"
#include "vmm/config/machine_config.h"
#include "vmm/disks/drives.h"

namespace shadowbox {

/// What devices ask of the machine around them.
struct BoardHooks {
    std::function<void(bool)> pic_interrupt;  ///< 8259 INTR to the boot processor
    std::function<void(bool)> ignne;          ///< IGNNE# of the boot processor
    std::function<void()> power_off, reset;
    std::function<void(int)> debug_exit;
    std::function<void(const std::string&)> firmware_line;
    std::function<void(std::function<void()>)> run_exclusive;  ///< for changes of the physical map
    std::function<u64()> random;                               ///< entropy for the guest
    PageWaits* page_waits = nullptr;  ///< where requests wait for guest pages; outlives the board
};

/// What is plugged into the board from outside; all outlive it.
struct BoardPlugs {
    std::vector<CharBackend*> serials, consoles;
    CharBackend* debug_console = nullptr;
    NetBackend* network = nullptr;
    VirtioNet::Mac mac{};
    std::vector<Drive>* drives = nullptr;
    std::vector<u8> vga_bios;  ///< option ROM of the display adapter
};

class Board {
 public:
    Board(const MachineConfig& config, GuestMemory& memory, TimerQueue& timers, ApicMessageSink& apics,
          BoardHooks hooks, const BoardPlugs& plugs);
    ~Board();

    /// An error where two devices want one port (-device isa-debug-exit,iobase=).
    Expected<void> wired() const;
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
    CoprocessorError coprocessor_error;
    I8042 keyboard;
    DebugPorts debug;
    FwCfg fw_cfg;
    std::vector<std::unique_ptr<Serial16550>> serials;
    Dma8237 dma;
    Floppy82077 floppy;
    PciBus pci;
    ShadowRam shadow_ram;
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
    void wire(const MachineConfig& config, const BoardPlugs& plugs, GuestMemory& memory,
              ApicMessageSink& apics);
    void claim(layout::PortRange range, PortHandler& handler, const char* name);
    void plug_debug_console(const DebugConsoleConfig& config, CharBackend* line);
    void plug_drives(std::vector<Drive>& drives, GuestMemory& memory, ApicMessageSink& apics);
    std::vector<u8> font_;  ///< of the VGA BIOS
    std::unique_ptr<PortFunctions> debug_console_;
    std::string conflict_;  ///< what could not have its port
    std::vector<Device*> all_;
};

}  // namespace shadowbox
