// SPDX-License-Identifier: MIT
// The 8254 interval timer (1193182 Hz) and port 61h: channel 0 drives IRQ 0, channel 2 the speaker and the
// delay loops of every BIOS and kernel. Needs a host timer only for channel 0. Produces no sound;
// period_of_speaker() is for whoever wants to. 8254 data sheet; PIIX3 data sheet for port 61h (NMI status and
// control).
#pragma once

#include "devices/bus/device.h"
#include "devices/timers/pit_channel.h"
#include "devices/timers/tick_source.h"

namespace shadowbox {

class Pit8254 final : public Device, public PortHandler, public TickSource {
 public:
    static constexpr u64 kHz = 1193182;

    Pit8254(TimerQueue& timers, IrqLine irq0);

    std::string_view name() const override { return "pit"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    u32 port_read(u16 offset, unsigned size) override;  ///< 40h-43h
    void port_write(u16 offset, unsigned size, u32 value) override;
    unsigned widest_port_access() const override { return 1; }
    PortHandler& port_b() { return port_b_; }  ///< 61h

    /// HPET legacy replacement takes IRQ 0 away.
    void set_irq_enabled(bool enabled);
    /// Ticks per period of the speaker's square wave, 0 when silent.
    u32 period_of_speaker() const;
    void tick_again() override;

 private:
    u64 now_tick() const;
    void write_control(u8 value);
    void read_back(u8 value);
    u8 read_port_b();
    void write_port_b(u8 value);
    void channel0_changed();
    void arm();
    void edge();
    void pulse_irq();

    IrqLine irq_;
    TimerQueue& timers_;
    Timer timer_;
    PortFunctions port_b_;
    PitChannel channels_[3];
    bool irq_enabled_ = true;
    u8 port_b_latch_ = 0;  // bits 0-3 of port 61h
    u64 armed_tick_ = 0;   // the edge that timer_ waits for
};

}  // namespace shadowbox
