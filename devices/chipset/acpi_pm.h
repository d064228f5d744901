// SPDX-License-Identifier: MIT
// ACPI fixed hardware as the PIIX4 has it: PM1a event and control blocks, the 3.579545 MHz PM timer, a GPE0
// block, the APM command port that switches ACPI mode, power button and soft off. Handlers see offsets, so
// the PIIX4's PCI function may move the PM block. Reset and A20 ports are in system_control.h. ACPI 6.4 4.8,
// PIIX4 DS 7.2.
#pragma once

#include <functional>

#include "devices/bus/device.h"

namespace shadowbox {

class AcpiPm final : public Device {
 public:
    static constexpr u64 kTimerHz = 3'579'545;

    /// `power_off` is called when the guest enters S5. `sci` is level, ISA IRQ 9.
    AcpiPm(TimerQueue& timers, IrqLine sci, std::function<void()> power_off);

    std::string_view name() const override { return "acpi-pm"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& pm_ports() { return pm_ports_; }    ///< 64 ports at PMBASE
    PortHandler& gpe_ports() { return gpe_ports_; }  ///< 4 ports: status word, enable word
    PortHandler& apm_ports() { return apm_ports_; }  ///< B2h command, B3h status

    void press_power_button();
    void press_sleep_button();
    /// Sets a general purpose event (hotplug of PCI, CPUs or memory).
    void raise_gpe(unsigned bit);

 private:
    u64 timer_ticks() const;
    u16 pm1_status();
    u32 pm_read(u16 offset, unsigned size);
    void pm_write16(u16 offset, u16 value, u16 written);
    void pm_write(u16 offset, unsigned size, u32 value);
    void write_control(u16 value);
    void gpe_write(u16 offset, u8 value);
    void apm_write(u16 offset, u8 value);
    void update_sci();
    void arm();

    IrqLine sci_;
    std::function<void()> power_off_;
    TimerQueue& timers_;
    Timer overflow_;
    PortFunctions pm_ports_, gpe_ports_, apm_ports_;
    struct State {
        u16 status, enable, control;
        u64 seen_overflows;  // half turns of the timer whose status was set
        u16 gpe_status, gpe_enable;
        u8 apm_command, apm_status;
    } state_{};
};

}  // namespace shadowbox
