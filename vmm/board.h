// SPDX-License-Identifier: MIT
// The PC: every device of one VM and its wiring, one line each (board.cpp). Guarded by the VM's device lock once it runs.
#pragma once

#include <memory>
#include <vector>

#include "devices/acpi_pm.h"
#include "devices/debug_ports.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/io_bus.h"
#include "devices/ioapic.h"
#include "devices/irq_router.h"
#include "devices/pic8259.h"
#include "devices/pit8254.h"
#include "devices/rtc_cmos.h"
#include "devices/serial16550.h"
#include "devices/system_control.h"
#include "vmm/machine_config.h"

namespace shadowbox {

/// What devices ask of the machine around them.
struct BoardHooks {
    std::function<void(bool)> pic_interrupt;       ///< 8259 INTR to the boot processor
    std::function<void()> power_off, reset;
    std::function<void(int)> debug_exit;
    std::function<void(const std::string&)> firmware_line;
    std::function<void(std::function<void()>)> run_exclusive;  ///< for changes of the physical map
};

class Board {
 public:
    Board(const MachineConfig& config, GuestMemory& memory, TimerQueue& timers, ApicMessageSink& apics, BoardHooks hooks,
          const std::vector<CharBackend*>& serial_backends);
    ~Board();

    void reset();
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;
    /// The firmware, for the BIOS segment below 1 MiB.
    void set_bios_image(const std::vector<u8>& bytes);

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

    const std::vector<Device*>& devices() const { return all_; }

 private:
    void wire(const MachineConfig& config);
    void claim(layout::PortRange range, PortHandler& handler, const char* name);
    std::vector<u8> bios_image_;
    std::vector<Device*> all_;
};

}  // namespace shadowbox
