// SPDX-License-Identifier: MIT
// 8254 register decoding, IRQ 0 scheduling and port 61h.
#include "devices/timers/pit8254.h"

#include <algorithm>

#include "devices/timers/tick_math.h"

namespace shadowbox {

namespace {
constexpr u8 kGate2 = 0x01, kSpeakerData = 0x02, kPortBLatched = 0x0F;
constexpr GuestNs kRefreshToggleNs = 15085;  // bit 4 of port 61h flips with each DRAM refresh
}  // namespace

Pit8254::Pit8254(TimerQueue& timers, IrqLine irq0)
    : irq_(std::move(irq0)),
      timers_(timers),
      timer_(timers, "pit", [this] { edge(); }),
      port_b_([this](u16, unsigned) { return read_port_b(); },
              [this](u16, unsigned, u32 value) { write_port_b(static_cast<u8>(value)); }) {
    reset();
}

void Pit8254::reset() {
    timer_.cancel();
    for (unsigned i = 0; i < 3; ++i) channels_[i].reset(i != 2);
    port_b_latch_ = 0;
    irq_enabled_ = true;
    irq_.lower();
}

u64 Pit8254::now_tick() const { return ticks_at(timers_.now(), kHz); }

u32 Pit8254::port_read(u16 offset, unsigned size) {
    if (offset >= 3) return 0xFF;  // the control register cannot be read
    return channels_[offset].read(now_tick());
}

void Pit8254::port_write(u16 offset, unsigned size, u32 value) {
    if (offset == 3) return write_control(static_cast<u8>(value));
    if (offset > 3) return;
    channels_[offset].write(now_tick(), static_cast<u8>(value));
    if (offset == 0) channel0_changed();
}

void Pit8254::write_control(u8 value) {
    unsigned select = value >> 6, access = (value >> 4) & 3;
    if (select == 3) return read_back(value);
    if (access == 0) return channels_[select].latch_count(now_tick());
    channels_[select].set_control((value >> 1) & 7, access, value & 1);
    if (select == 0) channel0_changed();
}

void Pit8254::read_back(u8 value) {
    u64 tick = now_tick();
    for (unsigned i = 0; i < 3; ++i) {
        if (!(value & (2u << i))) continue;
        if (!(value & 0x20)) channels_[i].latch_count(tick);
        if (!(value & 0x10)) channels_[i].latch_status(tick);
    }
}

void Pit8254::channel0_changed() {
    if (irq_enabled_) irq_.set(channels_[0].output(now_tick()));
    arm();
}

void Pit8254::arm() {
    u64 next = irq_enabled_ ? channels_[0].next_rising_edge(now_tick()) : PitChannel::kNoEdge;
    if (next == PitChannel::kNoEdge) return timer_.cancel();
    armed_tick_ = next;
    timer_.arm(tick_deadline(next, kHz));
}

/// OUT's low phase before the edge needs no timer of its own: controllers only see the transition.
void Pit8254::pulse_irq() {
    irq_.lower();
    irq_.raise();
}

void Pit8254::tick_again() {
    if (irq_enabled_ && channels_[0].period()) pulse_irq();
}

void Pit8254::edge() {
    pulse_irq();
    u64 tick = now_tick();
    u64 shortest = ticks_at(kShortestPeriodNs, kHz);
    u32 period = channels_[0].period();
    if (period >= ticks_at(kShortestMadeUpPeriod, kHz))
        count_due(1 + (tick > armed_tick_ ? (tick - armed_tick_) / period : 0));
    u64 skipped = period && period < shortest ? tick + shortest : tick;
    u64 next = channels_[0].next_rising_edge(std::max(tick, skipped));
    if (next == PitChannel::kNoEdge) return;
    armed_tick_ = next;
    timer_.arm(tick_deadline(next, kHz));
}

void Pit8254::set_irq_enabled(bool enabled) {
    if (enabled == irq_enabled_) return;
    irq_enabled_ = enabled;
    if (enabled) return channel0_changed();
    timer_.cancel();
    irq_.lower();
}

u8 Pit8254::read_port_b() {
    u8 refresh = (timers_.now() / kRefreshToggleNs) & 1;
    return static_cast<u8>(port_b_latch_ | refresh << 4 | channels_[2].output(now_tick()) << 5);
}

void Pit8254::write_port_b(u8 value) {
    port_b_latch_ = value & kPortBLatched;
    channels_[2].set_gate(now_tick(), value & kGate2);
}

u32 Pit8254::period_of_speaker() const { return port_b_latch_ & kSpeakerData ? channels_[2].period() : 0; }

void Pit8254::serialize(Archive& archive) {
    archive.section(name(), 1);
    for (PitChannel& channel : channels_) channel.serialize(archive);
    archive(port_b_latch_, irq_enabled_, irq_);
    serialize_timer(archive, timer_);
    if (archive.loading()) armed_tick_ = now_tick();
}

void Pit8254::inspect(Inspector& inspector) const {
    for (unsigned i = 0; i < 3; ++i) {
        Inspector group = inspector.group(fmt::format("channel {}", i));
        channels_[i].inspect(group);
    }
    inspector.hex("port 61h", port_b_latch_);
    inspector.field("irq 0", irq_.level());
    inspector.field("irq 0 enabled", irq_enabled_);
}

}  // namespace shadowbox
