// SPDX-License-Identifier: MIT
// PM1a registers, PM timer, SCI, S5.
#include "devices/chipset/acpi_pm.h"

#include "core/log.h"
#include "devices/bus/layout.h"
#include "devices/timers/tick_math.h"

namespace shadowbox {

namespace {
// PM1 status and enable bits, ACPI 6.4 tables 4.13 and 4.14.
constexpr u16 kTimerBit = 1u << 0, kBusMaster = 1u << 4, kGlobal = 1u << 5, kPowerButton = 1u << 8,
              kSleepButton = 1u << 9, kRtc = 1u << 10, kWake = 1u << 15;
constexpr u16 kStatusBits = kTimerBit | kBusMaster | kGlobal | kPowerButton | kSleepButton | kRtc | kWake;
constexpr u16 kEnableBits = kTimerBit | kGlobal | kPowerButton | kSleepButton | kRtc;
// PM1 control, ACPI 6.4 table 4.15.
constexpr u16 kSciEnable = 1u << 0, kSleepTypeShift = 10, kSleepEnable = 1u << 13;
constexpr u16 kControlKept = 0x1C03;  // SCI_EN, BM_RLD, SLP_TYP; GBL_RLS and SLP_EN read as 0
constexpr u64 kTimerBits = 24;
}  // namespace

AcpiPm::AcpiPm(TimerQueue& timers, IrqLine sci, std::function<void()> power_off)
    : sci_(std::move(sci)),
      power_off_(std::move(power_off)),
      timers_(timers),
      overflow_(timers, "pm-timer",
                [this] {
                    update_sci();
                    arm();
                }),
      pm_ports_([this](u16 offset, unsigned size) { return pm_read(offset, size); },
                [this](u16 offset, unsigned size, u32 value) { pm_write(offset, size, value); }, 4),
      gpe_ports_(
          [this](u16 offset, unsigned) {
              u16 word = offset & 2 ? state_.gpe_enable : state_.gpe_status;
              return u32{static_cast<u8>(word >> (offset & 1) * 8)};
          },
          [this](u16 offset, unsigned, u32 value) { gpe_write(offset, static_cast<u8>(value)); }),
      apm_ports_(
          [this](u16 offset, unsigned) { return u32{offset ? state_.apm_status : state_.apm_command}; },
          [this](u16 offset, unsigned, u32 value) { apm_write(offset, static_cast<u8>(value)); }) {
    reset();
}

void AcpiPm::reset() {
    state_ = State{};
    state_.seen_overflows = timer_ticks() >> (kTimerBits - 1);
    overflow_.cancel();
    sci_.lower();
}

u64 AcpiPm::timer_ticks() const { return ticks_at(timers_.now(), kTimerHz); }

/// TMR_STS is set when bit 23 of the timer changes: worked out here, not by a timer, unless it may interrupt.
u16 AcpiPm::pm1_status() {
    u64 overflows = timer_ticks() >> (kTimerBits - 1);
    if (overflows != state_.seen_overflows) state_.status |= kTimerBit;
    state_.seen_overflows = overflows;
    return state_.status;
}

/// All registers as they are at one moment: bytes of the timer read one after the other would not be one
/// value of it.
u32 AcpiPm::pm_read(u16 offset, unsigned size) {
    const u64 first = pm1_status() | u64{state_.enable} << 16 | u64{state_.control} << 32;
    const u64 timer = timer_ticks() & ((u64{1} << kTimerBits) - 1);
    u32 value = 0;
    for (unsigned i = 0, at = offset; i < size; ++i, ++at) {
        const u64 byte = at < 8 ? first >> at * 8 : at < 12 ? timer >> (at - 8) * 8 : 0;
        value |= static_cast<u32>(byte & 0xFF) << (i * 8);
    }
    return value;
}

void AcpiPm::pm_write(u16 offset, unsigned size, u32 value) {
    if (offset & 1) return pm_write16(offset & ~1, static_cast<u16>(value << 8), 0xFF00);
    pm_write16(offset, static_cast<u16>(value), size == 1 ? 0x00FF : 0xFFFF);
    if (size == 4) pm_write16(static_cast<u16>(offset + 2), static_cast<u16>(value >> 16), 0xFFFF);
}

void AcpiPm::pm_write16(u16 offset, u16 value, u16 written) {
    switch (offset) {
        case 0x00: state_.status = pm1_status() & static_cast<u16>(~(value & written & kStatusBits)); break;
        case 0x02:
            pm1_status();
            state_.enable = static_cast<u16>(((state_.enable & ~written) | (value & written)) & kEnableBits);
            break;
        case 0x04: return write_control(static_cast<u16>((state_.control & ~written) | (value & written)));
        default: return;
    }
    update_sci();
    arm();
}

void AcpiPm::write_control(u16 value) {
    // SCI_EN belongs to the hardware in ACPI, but the PIIX4 lets software write it, and coreboot does.
    state_.control = value & kControlKept;
    update_sci();
    if (!(value & kSleepEnable)) return;
    unsigned type = (value >> kSleepTypeShift) & 7;
    if (type == layout::kS5SleepType) {
        if (power_off_) power_off_();
    } else {
        guest_oddity("acpi-sleep",
                     fmt::format("guest asked for sleep type {}, which this machine does not offer", type));
    }
}

void AcpiPm::gpe_write(u16 offset, u8 value) {
    u16 bits = static_cast<u16>(value << (offset & 1) * 8), lane = static_cast<u16>(0xFF << (offset & 1) * 8);
    if (offset & 2) {
        state_.gpe_enable = static_cast<u16>((state_.gpe_enable & ~lane) | bits);
    } else {
        state_.gpe_status &= static_cast<u16>(~bits);
    }
    update_sci();
}

void AcpiPm::apm_write(u16 offset, u8 value) {
    if (offset) {
        state_.apm_status = value;
        return;
    }
    state_.apm_command = value;
    // What an SMI handler would do on hardware; this machine has no SMM.
    if (value == layout::kAcpiEnableCommand) state_.control |= kSciEnable;
    if (value == layout::kAcpiDisableCommand) state_.control &= static_cast<u16>(~kSciEnable);
    update_sci();
}

void AcpiPm::update_sci() {
    u16 events = pm1_status() & state_.enable;
    bool general = state_.gpe_status & state_.gpe_enable;
    // Without SCI_EN these events raise SMI#, which goes nowhere here.
    sci_.set((state_.control & kSciEnable) && (events || general));
}

void AcpiPm::arm() {
    if (!(state_.enable & kTimerBit) || (state_.status & kTimerBit)) return overflow_.cancel();
    overflow_.arm(tick_deadline((state_.seen_overflows + 1) << (kTimerBits - 1), kTimerHz));
}

void AcpiPm::press_power_button() {
    state_.status |= kPowerButton;
    update_sci();
}

void AcpiPm::press_sleep_button() {
    state_.status |= kSleepButton;
    update_sci();
}

void AcpiPm::raise_gpe(unsigned bit) {
    state_.gpe_status |= static_cast<u16>(1u << (bit & 15));
    update_sci();
}

void AcpiPm::serialize(Archive& archive) {
    archive.section(name(), 1);
    State& s = state_;
    archive(s.status, s.enable, s.control, s.seen_overflows, s.gpe_status, s.gpe_enable, s.apm_command,
            s.apm_status, sci_);
    serialize_timer(archive, overflow_);
}

void AcpiPm::inspect(Inspector& inspector) const {
    inspector.hex("PM1 status", state_.status);
    inspector.hex("PM1 enable", state_.enable);
    inspector.hex("PM1 control", state_.control);
    inspector.hex("GPE0 status", state_.gpe_status);
    inspector.hex("GPE0 enable", state_.gpe_enable);
    inspector.field("ACPI mode", bool(state_.control & kSciEnable));
    inspector.field("SCI", sci_.level());
    inspector.field("timer", timer_ticks() & ((u64{1} << kTimerBits) - 1));
}

}  // namespace shadowbox
