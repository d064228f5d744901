// SPDX-License-Identifier: MIT
// MC146818 real-time clock with 128 bytes of CMOS RAM at ports 70h/71h, and the configuration bytes that
// SeaBIOS reads there. Time follows the guest clock from clock.wall_base_seconds(); nothing runs while no
// interrupt is enabled: registers and flags are worked out when somebody looks. MC146818A data sheet
// (Motorola), registers A-D.
#pragma once

#include <array>

#include "devices/bus/device.h"

namespace shadowbox {

/// What firmware learns from CMOS instead of fw_cfg.
struct CmosConfiguration {
    u64 ram_below_4g = 0, ram_above_4g = 0;  // bytes
    unsigned cpus = 1;
    u8 floppy_types[2] = {0, 0};               // 0 none, 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M
    std::array<u8, 3> boot_order = {2, 3, 0};  // 1 floppy, 2 hard disk, 3 CD-ROM, 4 network, 0 nothing
    bool check_floppy_signature = true;        // off: boot from floppies without the 55AA signature
};

class RtcCmos final : public Device, public PortHandler {
 public:
    RtcCmos(TimerQueue& timers, IrqLine irq8);

    std::string_view name() const override { return "rtc"; }
    void reset() override;  ///< RESET pin: the battery keeps time and RAM
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    u32 port_read(u16 offset, unsigned size) override;
    void port_write(u16 offset, unsigned size, u32 value) override;
    unsigned widest_port_access() const override { return 1; }

    void configure(const CmosConfiguration& configuration);
    /// The three places of 3Dh and 38h (CmosConfiguration::boot_order) alone.
    void set_boot_order(const std::array<u8, 3>& order);
    u8 cmos(u8 index) const { return state_.ram[index & 0x7F]; }
    void set_cmos(u8 index, u8 value) { state_.ram[index & 0x7F] = value; }
    /// HPET legacy replacement takes IRQ 8 away.
    void set_irq_enabled(bool enabled);

 private:
    bool stopped() const;  // SET bit, or divider chain held in reset
    bool divider_reset() const;
    i64 second_at(GuestNs now) const;
    u64 periodic_clocks() const;  // 32768 Hz clocks per periodic interrupt, 0 when off
    bool update_in_progress(GuestNs now) const;
    u8 read_register(u8 index);
    void write_register(u8 index, u8 value);
    void write_time(u8 index, u8 value);
    void write_a(u8 value);
    void write_b(u8 value);
    void store_time(i64 seconds);
    i64 load_time() const;
    u8 encode(unsigned value) const;
    unsigned decode(u8 value) const;
    u8 encode_hour(unsigned hour) const;
    unsigned decode_hour(u8 value) const;
    bool alarm_matches(unsigned value, u8 alarm, bool hour) const;
    i64 next_alarm(i64 after) const;
    void collect_flags();
    void drive_irq();
    void arm();

    IrqLine irq_;
    TimerQueue& timers_;
    Timer timer_;
    bool irq_enabled_ = true;
    struct State {
        std::array<u8, 128> ram;
        u8 index;
        i64 base_seconds;  // time of day, in seconds since 1970, at base_ns
        i64 base_ns;       // guest time of a second boundary; may be negative
        i64 seen_second;   // flags are collected up to here
        u64 seen_period;
        u8 weekday_offset;  // guests may number weekdays as they like
    } state_{};
};

}  // namespace shadowbox
