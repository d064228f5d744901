// SPDX-License-Identifier: MIT
// The i440FX host bridge (82441FX PMC): configuration mechanism #1 at CF8h/CFCh and the PAM registers. Of its
// memory controller only what firmware looks at exists; SMRAM can be programmed and does nothing, for there
// is no SMM. 82441FX DS 3.1 and 3.2.
#pragma once

#include "devices/bus/pci_bus.h"
#include "devices/chipset/i440fx_pam.h"

namespace shadowbox {

class I440fx final : public PciDevice {
 public:
    /// `reset_control` answers byte accesses to CF9h, which lies inside the address register.
    I440fx(PciBus& bus, ShadowRam& shadow, PortHandler& reset_control);

    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& address_ports() { return address_ports_; }  ///< 4 ports at CF8h
    PortHandler& data_ports() { return data_ports_; }        ///< 4 ports at CFCh

 private:
    void config_written(u8 offset, unsigned size) override;
    void apply_pam();

    PciBus& bus_;
    ShadowRam& shadow_;
    PortFunctions address_ports_, data_ports_;
    u32 address_ = 0;  // CONFIG_ADDRESS
};

}  // namespace shadowbox
