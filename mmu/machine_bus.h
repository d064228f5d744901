// SPDX-License-Identifier: MIT
// The interfaces through which a vCPU reaches the rest of the machine, and devices reach the vCPUs.
// cpu/ and devices/ both include this and never each other; vmm/ implements and connects them.
#pragma once

#include <functional>
#include <span>

#include "core/clock.h"
#include "mmu/memory_answer.h"
#include "mmu/page_types.h"

namespace shadowbox {

/// Ports, MMIO and the legacy interrupt controller as one vCPU sees them. Every call may take the VM's
/// device lock. Sizes are 1, 2 or 4 for ports and 1, 2, 4 or 8 for MMIO; what nobody answers reads as
/// all ones and writes nowhere.
class MachineBus {
 public:
    virtual ~MachineBus() = default;
    virtual u32 port_read(u16 port, unsigned size) = 0;
    virtual void port_write(u16 port, unsigned size, u32 value) = 0;
    /// REP INS and OUTS: accesses of `size` to one port, one after the other, from or to guest memory by host
    /// pointer (mmu/guest_access.h). Moves as many elements as have no effect but the data and need no
    /// waiting, and returns how many; the caller does the next one by port_read() or port_write(). 0 is
    /// always right.
    virtual u32 port_read_run(u16, unsigned, std::span<u8>) { return 0; }
    virtual u32 port_write_run(u16, unsigned, std::span<const u8>) { return 0; }
    virtual u64 mmio_read(Gpa where, unsigned size) = 0;
    virtual void mmio_write(Gpa where, unsigned size, u64 value) = 0;
    /// Before each of the two, for a device that keeps what it shows in guest pages: whether they are there,
    /// and stay. Called inside guest code, takes no lock that a waiting device holds.
    virtual MemoryAnswer hold_pages(Gpa /*where*/) { return {}; }
    /// INTA cycle: the 8259 pair's vector for the interrupt on INTR (spurious IRQ 7 if it went away).
    virtual u8 acknowledge_pic() = 0;
    /// The FERR# pin of a vCPU that reports x87 errors outside, CR0.NE = 0 (SDM 1 8.7.2). IGNNE# is the
    /// answer (Vcpu::set_ignne).
    virtual void x87_error(unsigned /*vcpu*/, bool /*asserted*/) {}
    /// Work that must run while no vCPU of this VM is inside guest code: changes of the physical map,
    /// locked accesses across a page. Runs at the caller's next instruction boundary at the latest.
    virtual void run_exclusive(std::function<void()> work) = 0;
    virtual const GuestClock& clock() const = 0;
};

/// SDM 3A 11.5.1, delivery mode field.
enum class ApicDelivery : u8 {
    kFixed = 0,
    kLowestPriority = 1,
    kSmi = 2,
    kNmi = 4,
    kInit = 5,
    kStartup = 6,
    kExtInt = 7
};

/// One interrupt message: from an IOAPIC pin, an MSI, or a local APIC's ICR.
struct ApicMessage {
    u32 destination = 0;  ///< APIC ID, or logical mask
    bool logical = false;
    ApicDelivery delivery = ApicDelivery::kFixed;
    u8 vector = 0;
    bool level_triggered = false;
    bool asserted = true;
};

/// Delivers messages to the local APICs of one VM. Thread safe, takes no device lock.
class ApicMessageSink {
 public:
    virtual ~ApicMessageSink() = default;
    virtual void deliver(const ApicMessage& message) = 0;
};

/// Hears of the end of level-triggered interrupts (the IOAPIC). Called by vCPU threads without locks.
class EoiListener {
 public:
    virtual ~EoiListener() = default;
    virtual void end_of_interrupt(u8 vector) = 0;
};

/// An MSI is a memory write to FEExxxxxH (SDM 3A 11.11): decodes it into a message.
ApicMessage msi_message(u64 msi_address, u32 msi_data);

}  // namespace shadowbox
