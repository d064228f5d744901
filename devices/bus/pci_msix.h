// SPDX-License-Identifier: MIT
// MSI-X of one function: the vector table and the pending bits, in a memory BAR of their own, and delivery to
// the local APICs. Made by PciDevice::add_msix(). PCI 3.0, 6.8.2.
//
//   BAR:  0 ..        vectors x { address low, address high, data, vector control }
//         half of it  one pending bit a vector
#pragma once

#include <vector>

#include "devices/bus/device.h"
#include "mmu/machine_bus.h"

namespace shadowbox {

class Msix final : public MmioHandler {
 public:
    static constexpr u16 kEnable = 0x8000, kFunctionMask = 0x4000;
    Msix(ApicMessageSink& sink, unsigned vectors);

    /// Software switched MSI-X on: the function must not use INTx.
    bool enabled() const { return control_ & kEnable; }
    unsigned vectors() const { return static_cast<unsigned>(table_.size()); }
    /// Sends the message of `vector`, or remembers it while masked. Nothing for a vector that is not there or
    /// while MSI-X is off.
    void notify(unsigned vector);
    /// The device's reason went away before software unmasked the vector.
    void withdraw(unsigned vector);

    u64 mmio_read(u64 offset, unsigned size) override;
    void mmio_write(u64 offset, unsigned size, u64 value) override;

    // --- for PciDevice ---
    u32 bar_size() const { return bar_size_; }
    u32 pending_offset() const { return bar_size_ / 2; }
    void set_control_offset(unsigned offset) { control_offset_ = offset; }
    unsigned control_offset() const { return control_offset_; }
    void set_control(u16 control);
    void reset();
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;

 private:
    struct Entry {
        u32 words[4] = {0, 0, 0, 1};  // masked at reset
        bool masked() const { return words[3] & 1; }
    };
    bool held(unsigned vector) const { return (control_ & kFunctionMask) || table_[vector].masked(); }
    void send(unsigned vector);
    void send_released();
    u32 read_word(u64 offset) const;

    ApicMessageSink& sink_;
    u32 bar_size_;
    unsigned control_offset_ = 0;
    // guest-visible state; control_ mirrors the capability's message control
    std::vector<Entry> table_;
    std::vector<u8> pending_;  // one byte a vector: 0 or 1
    u16 control_ = 0;
};

}  // namespace shadowbox
