// SPDX-License-Identifier: MIT
// HPET registers, comparators and interrupt routes.
#include "devices/timers/hpet.h"

#include "devices/bus/layout.h"
#include "devices/timers/tick_math.h"

namespace shadowbox {

namespace {

// Offsets, HPET 1.0a table 3.
constexpr u64 kCapabilities = 0x000, kConfig = 0x010, kStatus = 0x020, kCounter = 0x0F0, kFirstTimer = 0x100;
constexpr u64 kFemtosecondsPerTick = 10'000'000;
constexpr u64 kVendor = 0x8086, kRevision = 1, kLegacyCapable = 1u << 15, kCounter64 = 1u << 13;
constexpr u64 kEnable = 1, kLegacy = 2;
// Timer configuration, HPET 1.0a 2.3.8.
constexpr u64 kLevelType = 1u << 1, kInterruptEnable = 1u << 2, kPeriodicType = 1u << 3,
              kPeriodicCapable = 1u << 4, kSizeCapable = 1u << 5, kValueSet = 1u << 6, kForce32 = 1u << 8;
constexpr u64 kTimerWritable = 0x3F4E;  // type, enable, periodic, value set, 32-bit mode, route
constexpr u64 kTimerCapabilities = u64{layout::kHpetRoutes} << 32 | kPeriodicCapable | kSizeCapable;

constexpr unsigned route_of(u64 config) { return (config >> 9) & 31; }

}  // namespace

Hpet::Hpet(TimerQueue& timers, IrqLine irq0, IrqLine irq8, const std::function<IrqLine(unsigned)>& gsi_line,
           std::function<void(bool)> legacy_route)
    : timers_(timers),
      legacy_route_(std::move(legacy_route)),
      irq0_(std::move(irq0)),
      irq8_(std::move(irq8)) {
    for (unsigned i = 0; i < kTimers; ++i) {
        host_timers_.push_back(
            std::make_unique<Timer>(timers, fmt::format("hpet{}", i), [this, i] { expire(i); }));
        for (unsigned pin = 0; pin < 32; ++pin)
            lines_[i].push_back(layout::kHpetRoutes >> pin & 1 ? gsi_line(pin) : IrqLine());
    }
    reset();
}

void Hpet::reset() {
    bool was_legacy = legacy();
    for (auto& timer : host_timers_) timer->cancel();
    lower_all();
    state_ = State{};
    for (Comparator& timer : state_.timers) timer = {kTimerCapabilities, ~u64{0}, 0};
    if (was_legacy && legacy_route_) legacy_route_(false);
}

bool Hpet::enabled() const { return state_.config & kEnable; }
bool Hpet::legacy() const { return state_.config & kLegacy; }

u64 Hpet::counter() const {
    return enabled() ? timers_.now() / kNsPerTick - state_.started_tick : state_.held_counter;
}

void Hpet::lower_all() {
    irq0_.lower();
    irq8_.lower();
    for (auto& lines : lines_)
        for (IrqLine& line : lines) line.lower();
}

IrqLine& Hpet::line_of(unsigned index) {
    if (legacy() && index == 0) return irq0_;
    if (legacy() && index == 1) return irq8_;
    return lines_[index][route_of(state_.timers[index].config)];
}

void Hpet::drive_level(unsigned index) {
    bool level = state_.timers[index].config & kLevelType;
    bool wanted = level && (state_.timers[index].config & kInterruptEnable) && (state_.status >> index & 1) &&
                  enabled();
    line_of(index).set(wanted);
}

void Hpet::assert_timer(unsigned index) {
    Comparator& timer = state_.timers[index];
    // In level mode the status bit is set even with the interrupt disabled (HPET 1.0a 2.3.6).
    if (timer.config & kLevelType) {
        state_.status |= u64{1} << index;
        drive_level(index);
    } else if (timer.config & kInterruptEnable) {
        line_of(index).pulse();
    }
}

/// Counter ticks until the comparator matches next: 1 up to a full turn.
u64 Hpet::ticks_until(const Comparator& timer) const {
    u64 distance = timer.value - counter();
    if (timer.config & kForce32) {
        distance &= 0xFFFF'FFFF;
        return distance ? distance : u64{1} << 32;
    }
    return distance ? distance : ~u64{0};
}

void Hpet::arm(unsigned index) {
    Comparator& timer = state_.timers[index];
    Timer& host = *host_timers_[index];
    bool observable = timer.config & (kInterruptEnable | kLevelType);
    if (!enabled() || !observable) return host.cancel();
    u64 ticks = ticks_until(timer);
    u64 now_tick = timers_.now() / kNsPerTick;
    u64 horizon = (kNever - 1) / kNsPerTick;  // centuries away is never
    if (ticks > horizon - now_tick) return host.cancel();
    host.arm((now_tick + ticks) * kNsPerTick);
}

void Hpet::expire(unsigned index) {
    Comparator& timer = state_.timers[index];
    if ((timer.config & kPeriodicType) && timer.period) {
        // The next multiple of the period that lies ahead; missed ones are lost.
        u64 mask = timer.config & kForce32 ? 0xFFFF'FFFF : ~u64{0};
        u64 shortest = kShortestPeriodNs / kNsPerTick;
        u64 behind = (counter() - timer.value) & mask;
        u64 period = timer.period;
        u64 steps = behind / period + 1;
        if (index == 0 && period >= kShortestMadeUpPeriod / kNsPerTick) count_due(steps);
        if (steps * period - behind < shortest && period < shortest) steps += shortest / period;
        timer.value = (timer.value + steps * period) & mask;
    }
    assert_timer(index);
    arm(index);
}

void Hpet::tick_again() {
    const Comparator& timer = state_.timers[0];
    if (enabled() && (timer.config & kPeriodicType) && timer.period && !(timer.config & kLevelType))
        assert_timer(0);
}

u64 Hpet::read_register(u64 offset) const {
    switch (offset) {
        case kCapabilities:
            return kFemtosecondsPerTick << 32 | kVendor << 16 | kLegacyCapable | kCounter64 |
                   (kTimers - 1) << 8 | kRevision;
        case kConfig: return state_.config;
        case kStatus: return state_.status;
        case kCounter: return counter();
    }
    if (offset < kFirstTimer) return 0;
    unsigned index = static_cast<unsigned>((offset - kFirstTimer) / 0x20);
    if (index >= kTimers) return 0;
    const Comparator& timer = state_.timers[index];
    switch ((offset - kFirstTimer) % 0x20) {
        case 0x00: return timer.config;
        case 0x08: return timer.config & kForce32 ? timer.value & 0xFFFF'FFFF : timer.value;
        default: return 0;
    }
}

u64 Hpet::mmio_read(u64 offset, unsigned size) {
    u64 value = read_register(offset & ~u64{7});
    value >>= (offset & 7) * 8;
    return size == 8 ? value : value & ((u64{1} << (size * 8)) - 1);
}

void Hpet::mmio_write(u64 offset, unsigned size, u64 value) {
    u64 base = offset & ~u64{7};
    unsigned shift = static_cast<unsigned>(offset & 7) * 8;
    u64 written = (size >= 8 ? ~u64{0} : (u64{1} << (size * 8)) - 1) << shift;
    u64 merged = (read_register(base) & ~written) | ((value << shift) & written);
    write_register(base, merged, written);
}

void Hpet::write_register(u64 offset, u64 value, u64 written) {
    switch (offset) {
        case kConfig: return write_config(value);
        case kStatus:
            state_.status &= ~(value & written);  // write one to clear
            for (unsigned i = 0; i < kTimers; ++i) drive_level(i);
            return;
        case kCounter:
            state_.held_counter = value;
            state_.started_tick = timers_.now() / kNsPerTick - value;
            for (unsigned i = 0; i < kTimers; ++i) arm(i);
            return;
    }
    if (offset < kFirstTimer) return;
    unsigned index = static_cast<unsigned>((offset - kFirstTimer) / 0x20);
    if (index < kTimers) write_timer(index, (offset - kFirstTimer) % 0x20, value, written);
}

void Hpet::write_config(u64 value) {
    bool was_legacy = legacy();
    u64 count = counter();
    lower_all();
    state_.config = value & (kEnable | kLegacy);
    state_.held_counter = count;
    state_.started_tick = timers_.now() / kNsPerTick - count;
    if (was_legacy != legacy() && legacy_route_) legacy_route_(legacy());
    for (unsigned i = 0; i < kTimers; ++i) {
        drive_level(i);
        arm(i);
    }
}

void Hpet::write_timer(unsigned index, unsigned reg, u64 value, u64 written) {
    Comparator& timer = state_.timers[index];
    if (reg == 0x00) {
        line_of(index).lower();  // the route may change
        timer.config = (timer.config & ~kTimerWritable) | (value & kTimerWritable);
        unsigned route = route_of(timer.config);
        if (!(layout::kHpetRoutes >> route & 1))
            timer.config &= ~u64{0x3E00};  // an unsupported route reads back as 0
        if (timer.config & kForce32) timer.value &= 0xFFFF'FFFF;
        if (!(timer.config & kLevelType)) state_.status &= ~(u64{1} << index);
        drive_level(index);
    } else if (reg == 0x08) {
        write_comparator(timer, value, written);
    }
    arm(index);
}

void Hpet::write_comparator(Comparator& timer, u64 value, u64 written) {
    u64 mask = timer.config & kForce32 ? 0xFFFF'FFFF : ~u64{0};
    bool periodic = timer.config & kPeriodicType;
    // Periodic mode: with TN_VAL_SET the write sets the accumulator, the next one the period
    // (HPET 1.0a 2.3.9.2.2). Guests that write once mean both.
    if (periodic) timer.period = ((timer.period & ~written) | (value & written)) & mask;
    if (!periodic || (timer.config & kValueSet)) timer.value = value & mask;
    timer.config &= ~kValueSet;
}

void Hpet::serialize(Archive& archive) {
    archive.section(name(), 1);
    archive(state_.config, state_.status, state_.held_counter, state_.started_tick);
    for (Comparator& timer : state_.timers) archive(timer.config, timer.value, timer.period);
    archive(irq0_, irq8_);
    for (auto& lines : lines_)
        for (IrqLine& line : lines) archive(line);
    for (auto& timer : host_timers_) serialize_timer(archive, *timer);
}

void Hpet::inspect(Inspector& inspector) const {
    inspector.hex("config", state_.config);
    inspector.hex("status", state_.status);
    inspector.field("counter", counter());
    for (unsigned i = 0; i < kTimers; ++i) {
        Inspector group = inspector.group(fmt::format("timer {}", i));
        group.hex("config", state_.timers[i].config);
        group.field("comparator", state_.timers[i].value);
        group.field("period", state_.timers[i].period);
        group.field("route", route_of(state_.timers[i].config));
    }
}

}  // namespace shadowbox
