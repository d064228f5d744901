// SPDX-License-Identifier: MIT
// 8254 counter arithmetic for modes 0-5.
#include "devices/timers/pit_channel.h"

#include <algorithm>

namespace shadowbox {

namespace {

u32 from_bcd(u16 value) {
    u32 number = 0;
    for (int digit = 3; digit >= 0; --digit) number = number * 10 + std::min((value >> (digit * 4)) & 15, 9);
    return number;
}

u16 to_bcd(u32 value) {
    u32 bcd = 0;
    for (int digit = 0; digit < 4; ++digit, value /= 10) bcd |= (value % 10) << (digit * 4);
    return static_cast<u16>(bcd);
}

}  // namespace

void PitChannel::reset(bool gate) {
    state_ = State{};
    state_.gate = gate;
    state_.access = 3;
    state_.reload = 65536;
}

void PitChannel::set_control(unsigned mode, unsigned access, bool bcd) {
    bool gate = state_.gate;
    state_ = State{};
    state_.gate = gate;
    state_.mode = static_cast<u8>(mode > 5 ? mode & 3 : mode);  // modes 6 and 7 are 2 and 3
    state_.access = static_cast<u8>(access);
    state_.bcd = bcd;
    state_.reload = static_cast<u32>(modulus());
    state_.frozen = !gate && !retriggerable();
}

u64 PitChannel::elapsed(u64 tick) const {
    if (state_.frozen) return state_.frozen_elapsed;
    return tick > state_.start ? tick - state_.start : 0;
}

/// Takes a new count that waited for the end of its period (modes 2 and 3).
void PitChannel::settle(u64 tick) {
    State& s = state_;
    if (!s.pending || !oscillates() || s.frozen || tick < s.switch_tick) return;
    bool low_half = s.mode == 3 && !output_now(s.switch_tick);
    s.reload = s.next_reload;
    s.pending = false;
    // A count taken at the middle of a square wave goes on with the low half of the new one.
    s.start = s.switch_tick - (low_half ? (s.reload + 1) / 2 : 0);
}

/// When a count written at `tick` is taken: mode 2 at the end of the period, mode 3 of the half period.
u64 PitChannel::next_switch(u64 tick) const {
    u64 n = state_.reload, phase = elapsed(tick) % n, base = tick - phase;
    if (state_.mode == 3 && phase < (n + 1) / 2) return base + (n + 1) / 2;
    return base + n;
}

void PitChannel::load(u64 tick, u32 value) {
    State& s = state_;
    if (value == 0) value = static_cast<u32>(modulus());
    if (oscillates() && value == 1) value = 2;  // 1 is illegal there; 2 is the fastest there is
    if (retriggerable()) {
        s.pending = true;  // taken by the next trigger
        s.next_reload = value;
        return;
    }
    if (oscillates() && s.loaded && !s.frozen && tick >= s.start) {
        s.pending = true;
        s.next_reload = value;
        s.switch_tick = next_switch(tick);
        return;
    }
    s.reload = value;
    s.loaded = true;
    s.pending = false;
    s.start = tick + 1;  // the count enters the counting element on the next CLK
    s.frozen_elapsed = 0;
}

void PitChannel::write(u64 tick, u8 value) {
    State& s = state_;
    settle(tick);
    u32 raw = 0;
    if (s.access == 3 && !s.write_high_next) {
        s.write_low = value;
        s.write_high_next = true;
        if (s.mode == 0) s.loaded = false;  // the first byte stops counting and sets OUT low
        return;
    }
    if (s.access == 3) raw = u32{value} << 8 | s.write_low;
    if (s.access == 2) raw = u32{value} << 8;
    if (s.access == 1) raw = value;
    s.write_high_next = false;
    load(tick, s.bcd ? from_bcd(static_cast<u16>(raw)) : raw);
}

void PitChannel::set_gate(u64 tick, bool level) {
    State& s = state_;
    settle(tick);
    if (level == s.gate) return;
    s.gate = level;
    if (!level) {
        if (retriggerable()) return;
        s.frozen_elapsed = elapsed(tick);
        s.frozen = true;
        return;
    }
    if (retriggerable()) {
        if (!s.pending && !s.loaded) return;  // no count yet
        if (s.pending) s.reload = s.next_reload;
        s.pending = false;
        s.loaded = true;
        s.start = tick + 1;
    } else if (s.frozen) {
        s.frozen = false;
        if (oscillates()) {  // the rising edge of GATE reloads
            if (s.pending) s.reload = s.next_reload;
            s.pending = false;
            s.start = tick + 1;
        } else {
            s.start = tick >= s.frozen_elapsed ? tick - s.frozen_elapsed : 0;
        }
    }
}

bool PitChannel::output_now(u64 tick) const {
    const State& s = state_;
    u64 n = s.reload, passed = elapsed(tick);
    if (!s.loaded) return s.mode != 0;
    bool started = s.frozen || tick >= s.start;
    switch (s.mode) {
        case 0: return passed >= n;
        case 1: return !(started && passed < n);
        case 2: return s.frozen || !started || passed % n != n - 1;
        case 3: return s.frozen || !started || passed % n < (n + 1) / 2;
        default: return passed != n;  // 4 and 5: low for one clock
    }
}

bool PitChannel::output(u64 tick) {
    settle(tick);
    return output_now(tick);
}

u64 PitChannel::next_rising_edge(u64 tick) {
    settle(tick);
    const State& s = state_;
    if (!s.loaded || s.frozen) return kNoEdge;
    u64 n = s.reload, edge = kNoEdge;
    if (oscillates()) {
        u64 periods = tick >= s.start ? (tick - s.start) / n + 1 : 1;
        edge = s.start + periods * n;
        if (s.pending && s.switch_tick < edge) {
            PitChannel after = *this;
            after.settle(s.switch_tick);
            return after.next_rising_edge(std::max(tick, s.switch_tick));
        }
    } else {
        edge = s.start + n + (s.mode >= 4 ? 1 : 0);
        if (edge <= tick) edge = kNoEdge;
    }
    return edge;
}

u64 PitChannel::count(u64 tick) const {
    const State& s = state_;
    u64 n = s.reload, passed = elapsed(tick);
    if (!s.loaded) return n;
    if (s.mode == 2) return n - passed % n;
    if (s.mode != 3) return (n + modulus() - passed % modulus()) % modulus();
    // Mode 3 counts by two; an odd count starts from n-1 and its high half is one clock longer.
    u64 phase = passed % n, high = (n + 1) / 2;
    u64 into_half = phase < high ? phase : phase - high;
    u64 top = n & 1 ? n - 1 : n;
    return top - 2 * into_half;
}

u16 PitChannel::encoded_count(u64 tick) {
    settle(tick);
    u64 value = count(tick);
    return state_.bcd ? to_bcd(static_cast<u32>(value % 10000)) : static_cast<u16>(value);
}

void PitChannel::latch_count(u64 tick) {
    if (state_.count_latched) return;  // the first of several latch commands holds
    state_.latched_count = encoded_count(tick);
    state_.count_latched = true;
    state_.latch_high_next = false;
}

void PitChannel::latch_status(u64 tick) {
    State& s = state_;
    if (s.status_latched) return;
    settle(tick);
    bool null_count = !s.loaded || s.pending || (!s.frozen && tick < s.start);
    s.latched_status =
        static_cast<u8>(output_now(tick) << 7 | null_count << 6 | s.access << 4 | s.mode << 1 | s.bcd);
    s.status_latched = true;
}

u8 PitChannel::read(u64 tick) {
    State& s = state_;
    if (s.status_latched) {
        s.status_latched = false;
        return s.latched_status;
    }
    if (s.count_latched) {
        bool high = s.access == 2 || (s.access == 3 && s.latch_high_next);
        if (s.access == 3 && !s.latch_high_next)
            s.latch_high_next = true;
        else
            s.count_latched = false;
        return static_cast<u8>(high ? s.latched_count >> 8 : s.latched_count);
    }
    u16 value = encoded_count(tick);
    bool high = s.access == 2;
    if (s.access == 3) {
        high = s.read_high_next;
        s.read_high_next = !high;
    }
    return static_cast<u8>(high ? value >> 8 : value);
}

u32 PitChannel::period() const { return oscillates() && state_.loaded && !state_.frozen ? state_.reload : 0; }

void PitChannel::serialize(Archive& archive) {
    State& s = state_;
    archive(s.mode, s.access, s.bcd, s.gate, s.loaded, s.frozen, s.reload, s.start, s.frozen_elapsed,
            s.pending, s.next_reload, s.switch_tick, s.write_high_next, s.read_high_next, s.write_low,
            s.count_latched, s.latch_high_next, s.status_latched, s.latched_count, s.latched_status);
    if (!archive.loading()) return;
    s.mode = std::min<u8>(s.mode, 5);
    s.reload = std::clamp<u32>(s.reload, 1, 65536);  // divided by
    s.next_reload = std::clamp<u32>(s.next_reload, 0, 65536);
    if (s.pending && s.next_reload == 0) s.next_reload = 65536;
}

void PitChannel::inspect(Inspector& inspector) const {
    inspector.field("mode", state_.mode);
    inspector.field("reload", state_.reload);
    inspector.field("bcd", state_.bcd);
    inspector.field("gate", state_.gate);
    inspector.field("counting", state_.loaded && !state_.frozen);
}

}  // namespace shadowbox
