// SPDX-License-Identifier: MIT
// MC146818: registers, lazily computed time and flags, one timer for the three interrupt sources.
#include "devices/timers/rtc_cmos.h"

#include <algorithm>

#include "devices/timers/calendar.h"
#include "devices/timers/tick_math.h"

namespace shadowbox {

namespace {

constexpr u8 kSeconds = 0, kSecondsAlarm = 1, kMinutes = 2, kMinutesAlarm = 3, kHours = 4, kHoursAlarm = 5,
             kWeekday = 6, kDay = 7, kMonth = 8, kYear = 9, kA = 10, kB = 11, kC = 12, kD = 13,
             kCentury = 0x32;
constexpr u8 kUpdateInProgress = 0x80, kDividerMask = 0x70, kRateMask = 0x0F;
constexpr u8 kSet = 0x80, kBinary = 0x04, k24Hour = 0x02;
constexpr u8 kPeriodic = 0x40, kAlarm = 0x20, kUpdate = 0x10, kFlags = 0x70,
             kIrqFlag = 0x80;  // in B and C alike
constexpr u8 kPm = 0x80, kAlarmDontCare = 0xC0;
constexpr u64 kCrystal = 32768;
constexpr u64 kUipLeadNs = 244'000;  // UIP rises 244 us before the update (MC146818A DS, update cycle)

constexpr bool is_time(u8 index) {
    return index == kSeconds || index == kMinutes || index == kHours ||
           (index >= kWeekday && index <= kYear) || index == kCentury;
}

}  // namespace

RtcCmos::RtcCmos(TimerQueue& timers, IrqLine irq8)
    : irq_(std::move(irq8)), timers_(timers), timer_(timers, "rtc", [this] {
          collect_flags();
          arm();
      }) {
    state_.base_seconds = static_cast<i64>(timers.clock().wall_base_seconds());
    state_.ram[kA] = 0x26;  // 32768 Hz time base, 1024 Hz periodic rate
    state_.ram[kB] = k24Hour;
    state_.seen_second = second_at(timers.now());
    reset();
}

void RtcCmos::reset() {
    state_.ram[kB] &= static_cast<u8>(~(kPeriodic | kAlarm | kUpdate | 0x08));
    state_.ram[kC] = 0;
    state_.index = 0;
    irq_enabled_ = true;
    drive_irq();
    arm();
}

void RtcCmos::configure(const CmosConfiguration& configuration) {
    auto put16 = [this](u8 index, u64 value) {
        state_.ram[index] = static_cast<u8>(value);
        state_.ram[index + 1] = static_cast<u8>(value >> 8);
    };
    u64 kib = configuration.ram_below_4g >> 10;
    put16(0x15, 640);
    u64 extended = std::min<u64>(kib > 1024 ? kib - 1024 : 0, 0xFFFF);
    put16(0x17, extended);
    put16(0x30, extended);
    u64 above_16m = kib > 16384 ? (kib - 16384) / 64 : 0;  // in 64 KiB units
    put16(0x34, std::min<u64>(above_16m, 0xFFFF));
    u64 high = configuration.ram_above_4g >> 16;
    put16(0x5B, high);
    state_.ram[0x5D] = static_cast<u8>(high >> 16);
    state_.ram[0x5F] = static_cast<u8>(configuration.cpus - 1);
    state_.ram[0x10] = static_cast<u8>(configuration.floppy_types[0] << 4 | configuration.floppy_types[1]);
    unsigned drives = (configuration.floppy_types[0] != 0) + (configuration.floppy_types[1] != 0);
    u8 equipment = 0x02 | 0x04;  // FPU, PS/2 mouse
    if (drives) equipment |= static_cast<u8>(0x01 | (drives - 1) << 6);
    state_.ram[0x14] = equipment;
    state_.ram[0x38] = configuration.check_floppy_signature ? 0 : 1;
    set_boot_order(configuration.boot_order);
    unsigned sum = 0;
    for (unsigned i = 0x10; i <= 0x2D; ++i) sum += state_.ram[i];  // the AT's checksum, high byte first
    state_.ram[0x2E] = static_cast<u8>(sum >> 8);
    state_.ram[0x2F] = static_cast<u8>(sum);
}

void RtcCmos::set_boot_order(const std::array<u8, 3>& order) {
    state_.ram[0x3D] = static_cast<u8>(order[1] << 4 | order[0]);
    state_.ram[0x38] = static_cast<u8>(order[2] << 4 | (state_.ram[0x38] & 0x0F));
}

bool RtcCmos::divider_reset() const { return (state_.ram[kA] & kDividerMask) >= 0x60; }
bool RtcCmos::stopped() const { return (state_.ram[kB] & kSet) || divider_reset(); }

i64 RtcCmos::second_at(GuestNs now) const {
    i64 passed = static_cast<i64>(now) - state_.base_ns;
    return state_.base_seconds + std::max<i64>(passed, 0) / static_cast<i64>(kNsPerSecond);
}

bool RtcCmos::update_in_progress(GuestNs now) const {
    if (stopped()) return false;
    i64 into = (static_cast<i64>(now) - state_.base_ns) % static_cast<i64>(kNsPerSecond);
    if (into < 0) into += kNsPerSecond;
    return into >= static_cast<i64>(kNsPerSecond - kUipLeadNs);
}

u64 RtcCmos::periodic_clocks() const {
    unsigned rate = state_.ram[kA] & kRateMask;
    if (rate == 0 || divider_reset()) return 0;
    if (rate <= 2) rate += 7;  // with a 32768 Hz time base rates 1 and 2 are 256 and 128 Hz
    return u64{1} << (rate - 1);
}

u8 RtcCmos::encode(unsigned value) const {
    return static_cast<u8>(state_.ram[kB] & kBinary ? value : (value / 10) << 4 | value % 10);
}

unsigned RtcCmos::decode(u8 value) const {
    return state_.ram[kB] & kBinary ? value : (value >> 4) * 10u + (value & 15u);
}

u8 RtcCmos::encode_hour(unsigned hour) const {
    if (state_.ram[kB] & k24Hour) return encode(hour);
    unsigned twelve = hour % 12 ? hour % 12 : 12;
    return static_cast<u8>(encode(twelve) | (hour >= 12 ? kPm : 0));
}

unsigned RtcCmos::decode_hour(u8 value) const {
    if (state_.ram[kB] & k24Hour) return decode(value);
    unsigned twelve = decode(value & 0x7F) % 12;
    return twelve + (value & kPm ? 12 : 0);
}

void RtcCmos::store_time(i64 seconds) {
    CalendarTime t = calendar_from_seconds(seconds);
    auto& ram = state_.ram;
    ram[kSeconds] = encode(t.second);
    ram[kMinutes] = encode(t.minute);
    ram[kHours] = encode_hour(t.hour);
    ram[kWeekday] = encode((t.weekday + state_.weekday_offset) % 7 + 1);
    ram[kDay] = encode(t.day);
    ram[kMonth] = encode(t.month);
    ram[kYear] = encode(static_cast<unsigned>(t.year % 100));
    ram[kCentury] = encode(static_cast<unsigned>(t.year / 100 % 100));
}

i64 RtcCmos::load_time() const {
    const auto& ram = state_.ram;
    CalendarTime t;
    t.second = decode(ram[kSeconds]);
    t.minute = decode(ram[kMinutes]);
    t.hour = decode_hour(ram[kHours]);
    t.day = std::clamp(decode(ram[kDay]), 1u, 31u);
    t.month = std::clamp(decode(ram[kMonth]), 1u, 12u);
    t.year = static_cast<i32>(decode(ram[kCentury]) * 100 + decode(ram[kYear]));
    return seconds_from_calendar(t);
}

void RtcCmos::write_time(u8 index, u8 value) {
    collect_flags();
    GuestNs now = timers_.now();
    if (!stopped()) store_time(second_at(now));
    state_.ram[index] = value;
    i64 seconds = load_time();
    if (index == kWeekday) {
        unsigned computed = calendar_from_seconds(seconds).weekday;
        state_.weekday_offset = static_cast<u8>((decode(value) % 7 + 6 + 7 - computed) % 7);
    }
    if (stopped()) return;
    state_.base_seconds += seconds - second_at(now);
    state_.seen_second = second_at(now);
    arm();
}

void RtcCmos::write_a(u8 value) {
    collect_flags();
    bool was_stopped = stopped(), was_reset = divider_reset();
    if (!was_stopped) store_time(second_at(timers_.now()));
    state_.ram[kA] = value & 0x7F;
    if (was_stopped && !stopped()) {
        state_.base_seconds = load_time();
        state_.base_ns = static_cast<i64>(timers_.now());
        // The first update comes half a second after the divider starts (MC146818A DS, divider control).
        if (was_reset) state_.base_ns -= static_cast<i64>(kNsPerSecond / 2);
        state_.seen_second = state_.base_seconds;
    }
    state_.seen_period = periodic_clocks() ? ticks_at(timers_.now(), kCrystal) / periodic_clocks() : 0;
    arm();
}

void RtcCmos::write_b(u8 value) {
    collect_flags();
    GuestNs now = timers_.now();
    bool was_stopped = stopped();
    i64 current = was_stopped ? 0 : second_at(now);
    if (value & kSet) value &= static_cast<u8>(~kUpdate);  // SET clears UIE
    state_.ram[kB] = value;
    if (!was_stopped && stopped()) store_time(current);
    if (was_stopped && !stopped()) {
        // The divider chain went on under SET, so the phase of the second stays.
        i64 into = (static_cast<i64>(now) - state_.base_ns) % static_cast<i64>(kNsPerSecond);
        if (into < 0) into += kNsPerSecond;
        state_.base_ns = static_cast<i64>(now) - into;
        state_.base_seconds = load_time();
        state_.seen_second = state_.base_seconds;
    }
    drive_irq();
    arm();
}

u8 RtcCmos::read_register(u8 index) {
    GuestNs now = timers_.now();
    if (is_time(index)) {
        if (!stopped()) store_time(second_at(now));
        return state_.ram[index];
    }
    if (index == kA)
        return static_cast<u8>(state_.ram[kA] | (update_in_progress(now) ? kUpdateInProgress : 0));
    if (index == kD) return 0x80;  // VRT: the battery is good
    if (index != kC) return state_.ram[index];
    collect_flags();
    u8 flags = state_.ram[kC];
    state_.ram[kC] = 0;
    drive_irq();
    arm();
    return flags;
}

void RtcCmos::write_register(u8 index, u8 value) {
    if (is_time(index)) return write_time(index, value);
    if (index == kA) return write_a(value);
    if (index == kB) return write_b(value);
    if (index == kC || index == kD) return;
    if (index == kSecondsAlarm || index == kMinutesAlarm || index == kHoursAlarm) collect_flags();
    state_.ram[index] = value;
    if (index <= kHoursAlarm) arm();
}

bool RtcCmos::alarm_matches(unsigned value, u8 alarm, bool hour) const {
    if ((alarm & kAlarmDontCare) == kAlarmDontCare) return true;
    return value == (hour ? decode_hour(alarm) : decode(alarm));
}

/// The first second after `after` that the alarm registers match; -1 if none does (an impossible time of
/// day).
i64 RtcCmos::next_alarm(i64 after) const {
    const auto& ram = state_.ram;
    i64 first = after + 1;
    i64 day = first - (first % kSecondsPerDay + kSecondsPerDay) % kSecondsPerDay;
    for (i64 midnight : {day, day + kSecondsPerDay}) {
        for (unsigned hour = 0; hour < 24; ++hour) {
            if (!alarm_matches(hour, ram[kHoursAlarm], true) || midnight + hour * 3600 + 3599 < first)
                continue;
            for (unsigned minute = 0; minute < 60; ++minute) {
                i64 start = midnight + hour * 3600 + minute * 60;
                if (!alarm_matches(minute, ram[kMinutesAlarm], false) || start + 59 < first) continue;
                for (unsigned second = 0; second < 60; ++second)
                    if (start + second >= first && alarm_matches(second, ram[kSecondsAlarm], false))
                        return start + second;
            }
        }
    }
    return -1;
}

void RtcCmos::collect_flags() {
    GuestNs now = timers_.now();
    u8& flags = state_.ram[kC];
    if (!stopped()) {
        i64 second = second_at(now);
        if (second > state_.seen_second) {
            flags |= kUpdate;
            if (!(flags & kAlarm)) {
                i64 alarm = next_alarm(state_.seen_second);
                if (alarm >= 0 && alarm <= second) flags |= kAlarm;
            }
        }
        state_.seen_second = second;
    }
    if (u64 clocks = periodic_clocks()) {
        u64 period = ticks_at(now, kCrystal) / clocks;
        if (period != state_.seen_period) flags |= kPeriodic;
        state_.seen_period = period;
    }
    drive_irq();
}

void RtcCmos::drive_irq() {
    u8& flags = state_.ram[kC];
    bool active = flags & state_.ram[kB] & kFlags;
    flags = static_cast<u8>((flags & kFlags) | (active ? kIrqFlag : 0));
    irq_.set(active && irq_enabled_);
}

/// A source whose flag is set already waits for the guest to read register C and needs no timer.
void RtcCmos::arm() {
    u8 wanted = state_.ram[kB] & static_cast<u8>(~state_.ram[kC]) & kFlags;
    GuestNs deadline = kNever;
    auto second_starts = [this](i64 second) {
        i64 ns = state_.base_ns + (second - state_.base_seconds) * static_cast<i64>(kNsPerSecond);
        return ns <= 0 ? GuestNs{0} : static_cast<GuestNs>(ns);
    };
    if (!stopped() && (wanted & kUpdate)) deadline = second_starts(state_.seen_second + 1);
    if (!stopped() && (wanted & kAlarm)) {
        i64 alarm = next_alarm(state_.seen_second);
        if (alarm >= 0) deadline = std::min(deadline, second_starts(alarm));
    }
    u64 clocks = periodic_clocks();
    if (clocks && (wanted & kPeriodic))
        deadline = std::min(deadline, tick_deadline((state_.seen_period + 1) * clocks, kCrystal));
    if (deadline == kNever)
        timer_.cancel();
    else
        timer_.arm(deadline);
}

void RtcCmos::set_irq_enabled(bool enabled) {
    irq_enabled_ = enabled;
    drive_irq();
}

u32 RtcCmos::port_read(u16 offset, unsigned size) {
    return offset == 1 ? read_register(state_.index) : 0xFF;  // port 70h is write-only
}

void RtcCmos::port_write(u16 offset, unsigned size, u32 value) {
    if (offset == 0) {
        state_.index = value & 0x7F;  // bit 7 masks NMI, of which this machine has no source
    } else if (offset == 1) {
        write_register(state_.index, static_cast<u8>(value));
    }
}

void RtcCmos::serialize(Archive& archive) {
    archive.section(name(), 1);
    State& s = state_;
    archive(s.ram, s.index, s.base_seconds, s.base_ns, s.seen_second, s.seen_period, s.weekday_offset,
            irq_enabled_, irq_);
    serialize_timer(archive, timer_);
    s.index &= 0x7F;
}

void RtcCmos::inspect(Inspector& inspector) const {
    i64 seconds = stopped() ? load_time() : second_at(timers_.now());
    CalendarTime t = calendar_from_seconds(seconds);
    inspector.text("time", fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", t.year, t.month, t.day, t.hour,
                                       t.minute, t.second));
    inspector.hex("A", state_.ram[kA]);
    inspector.hex("B", state_.ram[kB]);
    inspector.hex("C", state_.ram[kC]);
    inspector.field("stopped", stopped());
    inspector.field("irq 8", irq_.level());
}

}  // namespace shadowbox
