// SPDX-License-Identifier: MIT
// How a PC reports x87 errors while CR0.NE is 0: the boot processor's FERR# is IRQ 13, and a write to port
// F0H takes the request back and asserts IGNNE# until FERR# goes, so that the handler may use the x87. PIIX3
// DS 2.5 (coprocessor error register); SDM 1 8.7.2.
#pragma once

#include <functional>

#include "devices/bus/device.h"

namespace shadowbox {

class CoprocessorError final : public Device, public PortHandler {
 public:
    CoprocessorError(IrqLine irq13, std::function<void(bool)> ignne);

    void set_ferr(bool level);  ///< the pin of the boot processor

    std::string_view name() const override { return "coprocessor-error"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    u32 port_read(u16, unsigned) override { return 0xFF; }  // write-only
    void port_write(u16 offset, unsigned size, u32 value) override;
    unsigned widest_port_access() const override { return 1; }

 private:
    void drive_ignne(bool level);
    IrqLine irq_;
    std::function<void(bool)> ignne_pin_;
    bool ferr_ = false, ignne_ = false;
};

}  // namespace shadowbox
