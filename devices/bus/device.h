// SPDX-License-Identifier: MIT
// The contract of a device. It sees offsets, never addresses; the board (vmm/machine/board.cpp) wires it in
// one line. Every call of a Device happens under the VM's device lock, on a vCPU thread or the VM's device
// thread. Timer callbacks and backend completions come under the same lock.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "core/archive.h"
#include "core/clock.h"
#include "core/inspect.h"
#include "core/integers.h"

namespace shadowbox {

class Device {
 public:
    virtual ~Device() = default;
    /// Short, unique, stable: section tag in save states, label in views ("pit", "serial0").
    virtual std::string_view name() const = 0;
    /// Power-on state of the guest-visible part.
    virtual void reset() = 0;
    virtual void serialize(Archive& archive) = 0;
    virtual void inspect(Inspector& inspector) const = 0;
};

/// Port I/O capability. `offset` counts from the first port of the range; size 1, 2 or 4.
class PortHandler {
 public:
    virtual ~PortHandler() = default;
    virtual u32 port_read(u16 offset, unsigned size) = 0;
    virtual void port_write(u16 offset, unsigned size, u32 value) = 0;
    /// Accesses of the same port one after the other (MachineBus::port_read_run): elements moved, and only
    /// such as have no effect but the data. The bytes are guest memory: mmu/guest_access.h copies them.
    virtual u32 port_read_run(u16, unsigned, std::span<u8>) { return 0; }
    virtual u32 port_write_run(u16, unsigned, std::span<const u8>) { return 0; }
    /// The bus splits wider accesses into pieces of this size, lowest port first (what ISA did to 8-bit
    /// cards).
    virtual unsigned widest_port_access() const { return 4; }
};

/// A port range made of two functions, for chips that sit on several ranges at once.
class PortFunctions final : public PortHandler {
 public:
    using Read = std::function<u32(u16 offset, unsigned size)>;
    using Write = std::function<void(u16 offset, unsigned size, u32 value)>;
    PortFunctions(Read read, Write write, unsigned widest = 1)
        : read_(std::move(read)), write_(std::move(write)), widest_(widest) {}
    u32 port_read(u16 offset, unsigned size) override { return read_(offset, size); }
    void port_write(u16 offset, unsigned size, u32 value) override { write_(offset, size, value); }
    unsigned widest_port_access() const override { return widest_; }

 private:
    Read read_;
    Write write_;
    unsigned widest_;
};

/// Memory-mapped capability; size 1, 2, 4 or 8.
class MmioHandler {
 public:
    virtual ~MmioHandler() = default;
    virtual u64 mmio_read(u64 offset, unsigned size) = 0;
    virtual void mmio_write(u64 offset, unsigned size, u64 value) = 0;
    virtual unsigned widest_mmio_access() const { return 8; }
};

/// One interrupt wire from a device to a controller input. Level semantics; edges are the receiver's matter.
/// Movable, not copyable: two copies would disagree about the level they drive.
class IrqLine {
 public:
    IrqLine() = default;
    explicit IrqLine(std::function<void(bool)> set) : set_(std::move(set)) {}
    IrqLine(IrqLine&&) = default;
    IrqLine& operator=(IrqLine&&) = default;
    void set(bool level) {
        if (level == level_) return;
        level_ = level;
        if (set_) set_(level);
    }
    void raise() { set(true); }
    void lower() { set(false); }
    /// low-high edge for edge-triggered inputs
    void pulse() {
        set(false);
        set(true);
        set(false);
    }
    bool level() const { return level_; }
    /// The level only; the receiver saves its own inputs, so loading drives nothing.
    void serialize(Archive& archive) { archive(level_); }

 private:
    std::function<void(bool)> set_;
    bool level_ = false;
};

/// A timer in a save state is its deadline.
inline void serialize_timer(Archive& archive, Timer& timer) {
    GuestNs deadline = timer.deadline();
    archive(deadline);
    if (!archive.loading()) return;
    if (deadline == kNever)
        timer.cancel();
    else
        timer.arm(deadline);
}

}  // namespace shadowbox
