// SPDX-License-Identifier: MIT
// The local APIC of one vCPU: xAPIC page and x2APIC MSRs, timer with TSC deadline (SDM 3A chapter 11). Part
// of the vCPU, not a device: EOI, TPR and the deadline take no lock. Other threads only call post() (an
// atomic posted-interrupt bitmap) and the INIT/SIPI posts; everything else belongs to the vCPU thread.
#pragma once

#include <atomic>
#include <utility>

#include "core/archive.h"
#include "core/inspect.h"
#include "mmu/machine_bus.h"

namespace shadowbox {

class Vcpu;

class LocalApic {
 public:
    static constexpr u32 kCrystalHz = 25'000'000;  ///< CPUID leaf 15H
    static constexpr u64 kBusHz = 1'000'000'000;   ///< timer input before the divider
    static constexpr u64 kDefaultBase = 0xFEE00000;

    LocalApic(Vcpu& cpu, u32 id, ApicMessageSink& sink, EoiListener& eoi);
    void reset(bool keep_base);

    // --- any thread ---
    /// Accepts a fixed or lowest-priority interrupt: IRR by way of the posted bitmap, and attention.
    void post(u8 vector, bool level_triggered);
    void post_init();
    void post_sipi(u8 page);
    /// Destination match (physical or logical, xAPIC or x2APIC).
    bool matches(u32 destination, bool logical) const;
    bool enabled() const { return (base_.load(std::memory_order_relaxed) & 1 << 11) != 0; }
    bool software_enabled() const { return svr_.load(std::memory_order_relaxed) & 0x100; }
    u32 id() const { return id_; }
    u64 base() const { return base_.load(std::memory_order_relaxed); }

    // --- the vCPU thread ---
    bool set_base(u64 value);
    bool read_x2apic(u32 msr, u64& value);
    bool write_x2apic(u32 msr, u64 value);
    /// xAPIC page accesses; `offset` in the 4 KiB page. 32-bit aligned accesses only, others read 0 and are
    /// dropped. In x2APIC mode nobody answers: all ones.
    u32 mmio_read(u32 offset);
    void mmio_write(u32 offset, u32 value);
    u8 task_priority() const { return static_cast<u8>(tpr_); }
    void set_task_priority(u8 priority) { tpr_ = priority; }
    /// A vector above the processor priority is pending.
    bool has_deliverable() const;
    /// Moves the highest pending vector to in-service and returns it; -1 if none.
    int acknowledge();
    /// LINT0 lets the 8259's interrupts through (ExtINT unmasked, or the APIC disabled).
    bool accepts_pic() const;
    void nmi_from_lint1();
    bool take_init() { return init_.exchange(false, std::memory_order_acq_rel); }
    bool take_sipi(u8& page);
    bool init_pending() const { return init_.load(std::memory_order_acquire); }
    bool sipi_pending() const { return sipi_.load(std::memory_order_acquire) >= 0; }
    u64 tsc_deadline() const;
    void set_tsc_deadline(u64 tsc);
    /// Guest time of the next timer interrupt, kNever if none.
    GuestNs next_deadline() const { return timer_deadline_; }
    /// Fires the timer if due at `now`.
    void run_timer(GuestNs now);
    /// Periods of the timer that run_timer() came too late for, since this was last asked.
    u64 take_missed_ticks() { return std::exchange(missed_ticks_, 0); }
    /// Another interrupt of the timer, if it is still periodic and not masked.
    void tick_again();
    bool timer_tick_waits() const { return waits(static_cast<u8>(lvt_[1])); }
    /// Some interrupt was accepted and not yet taken.
    bool any_waits() const;

    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;

 private:
    bool x2apic() const { return (base_.load(std::memory_order_relaxed) & 1 << 10) != 0; }
    u32 read_register(u32 number) const;  ///< number = xAPIC offset / 16
    bool write_register(u32 number, u32 value);
    void end_of_interrupt();
    void send_icr(u64 icr);
    void send_ipi(u32 low, u32 destination);
    void start_timer(u32 count);
    u32 current_count() const;
    unsigned divider() const;
    void fire_lvt(u32 lvt);
    void note_error(u32 bit);
    void collect_posted() const;
    bool waits(u8 vector) const;
    unsigned processor_priority() const;
    int highest(const u32* bits) const;

    Vcpu& cpu_;
    const u32 id_;
    ApicMessageSink& sink_;
    EoiListener& eoi_;

    std::atomic<u64> base_;
    std::atomic<u32> svr_{0xFF};
    std::atomic<u32> ldr_{0}, dfr_{~0u};
    std::atomic<u32> posted_[8] = {}, posted_level_[8] = {};
    std::atomic<bool> init_{false};
    std::atomic<int> sipi_{-1};

    u32 tpr_ = 0;
    mutable u32 irr_[8] = {}, tmr_[8] = {};
    u32 isr_[8] = {};
    u32 esr_ = 0, esr_pending_ = 0;
    u64 icr_ = 0;
    u32 lvt_[7] = {};  ///< CMCI, timer, thermal, performance, LINT0, LINT1, error
    u32 initial_count_ = 0, divide_ = 0;
    u64 tsc_deadline_ = 0;
    GuestNs timer_start_ = 0, timer_deadline_ = kNever;
    u64 missed_ticks_ = 0;
};

}  // namespace shadowbox
