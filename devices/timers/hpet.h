// SPDX-License-Identifier: MIT
// High precision event timers: a 100 MHz 64-bit counter and three comparators, periodic, level or edge, with
// the legacy replacement route (timer 0 as IRQ 0, timer 1 as IRQ 8). No FSB delivery. IA-PC HPET
// specification 1.0a.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "devices/bus/device.h"
#include "devices/timers/tick_source.h"

namespace shadowbox {

class Hpet final : public Device, public MmioHandler, public TickSource {
 public:
    static constexpr unsigned kTimers = 3;
    static constexpr u64 kHz = 100'000'000;
    static constexpr u64 kNsPerTick = 10;

    /// `gsi_line(n)` makes a line to IOAPIC pin n; asked once for each pin that timers may be routed to.
    /// `legacy_route` hears of LEG_RT: true takes IRQ 0 and 8 away from PIT and RTC.
    Hpet(TimerQueue& timers, IrqLine irq0, IrqLine irq8, const std::function<IrqLine(unsigned)>& gsi_line,
         std::function<void(bool)> legacy_route);

    std::string_view name() const override { return "hpet"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    u64 mmio_read(u64 offset, unsigned size) override;
    void mmio_write(u64 offset, unsigned size, u64 value) override;
    void tick_again() override;

 private:
    struct Comparator {
        u64 config, value, period;
    };
    bool enabled() const;
    bool legacy() const;
    u64 counter() const;
    u64 read_register(u64 offset) const;
    void write_register(u64 offset, u64 value, u64 written);
    void write_config(u64 value);
    void write_timer(unsigned index, unsigned reg, u64 value, u64 written);
    void write_comparator(Comparator& timer, u64 value, u64 written);
    u64 ticks_until(const Comparator& timer) const;
    void arm(unsigned index);
    void expire(unsigned index);
    void lower_all();
    IrqLine& line_of(unsigned index);
    void assert_timer(unsigned index);
    void drive_level(unsigned index);

    TimerQueue& timers_;
    std::function<void(bool)> legacy_route_;
    IrqLine irq0_, irq8_;
    // One line per timer and pin: timers that share a pin are ORed by the router.
    std::array<std::vector<IrqLine>, kTimers> lines_;
    std::vector<std::unique_ptr<Timer>> host_timers_;
    IrqLine unconnected_;
    struct State {
        u64 config, status;
        u64 held_counter;  // the value while stopped
        u64 started_tick;  // guest tick at which the counter was 0
        std::array<Comparator, kTimers> timers;
    } state_{};
};

}  // namespace shadowbox
