// SPDX-License-Identifier: MIT
// The 82093AA IOAPIC with 24 pins, as version 20H (with the EOI register at 40H that Linux and Windows use).
// Turns pin levels into messages to the local APICs. 82093AA data sheet 3.
//
// Locking: vCPU threads call end_of_interrupt() from their local APIC's EOI WITHOUT the VM's device lock, so
// the IOAPIC has a mutex of its own, taken after the device lock and never held while a message is delivered.
#pragma once

#include <array>
#include <mutex>

#include "devices/bus/device.h"
#include "devices/bus/layout.h"
#include "mmu/machine_bus.h"

namespace shadowbox {

class IoApic final : public Device, public MmioHandler, public EoiListener {
 public:
    explicit IoApic(ApicMessageSink& sink);

    std::string_view name() const override { return "ioapic"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    u64 mmio_read(u64 offset, unsigned size) override;
    void mmio_write(u64 offset, unsigned size, u64 value) override;

    /// True means asserted: the polarity bit of an entry is stored but inverts nothing, since guests program
    /// either polarity for our PCI lines, depending on which tables they believe.
    void set_pin(unsigned pin, bool asserted);
    void end_of_interrupt(u8 vector) override;

 private:
    static constexpr unsigned kPins = layout::kIoApicPins;
    /// Messages decided under mutex_ and delivered after it was released.
    struct Outbox {
        std::array<ApicMessage, kPins> messages;
        unsigned count = 0;
    };
    u32 read_register(u8 index) const;
    void write_register(u8 index, u32 value, Outbox& outbox);
    void service_level_pin(unsigned pin, Outbox& outbox);
    void end_vector(u8 vector, Outbox& outbox);
    void send(unsigned pin, Outbox& outbox);
    void deliver(const Outbox& outbox);

    ApicMessageSink& sink_;
    mutable std::mutex mutex_;
    struct State {
        std::array<u64, kPins> entries;
        u32 inputs;
        u8 select, id;
    } state_{};
};

}  // namespace shadowbox
