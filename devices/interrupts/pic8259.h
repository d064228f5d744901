// SPDX-License-Identifier: MIT
// The two cascaded 8259A interrupt controllers of a PC with the PIIX3's edge/level registers (4D0h, 4D1h).
// The irq_router drives the inputs, the board connects INTR to the boot processor and acknowledge() to its
// INTA cycle. 8259A data sheet (Intel 231468), PIIX3 data sheet 2.5.
#pragma once

#include <functional>

#include "devices/bus/device.h"

namespace shadowbox {

/// One 8259A chip; Pic8259Pair connects two.
class Pic8259 {
 public:
    explicit Pic8259(bool master) : master_(master) {}

    void reset();
    void set_input(unsigned pin, bool level);
    u8 read(unsigned offset);
    void write(unsigned offset, u8 value);
    u8 edge_level() const { return state_.elcr; }
    /// An unmasked request of `pin` was not yet acknowledged.
    bool request_waits(unsigned pin) const { return (requests() & ~state_.imr) >> pin & 1; }
    void set_edge_level(u8 value);
    /// The pin that INT is raised for, or -1.
    int pending() const;
    /// Second INTA pulse: the vector, in service from now on; spurious IR7 if nothing is pending.
    u8 acknowledge();
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;

 private:
    u8 requests() const;
    int highest(u8 mask) const;
    void accept(int pin);
    void begin_initialization(u8 icw1);
    void write_ocw2(u8 value);
    void write_ocw3(u8 value);
    void write_initialization_word(u8 value);
    u8 poll();

    bool master_;
    struct State {
        u8 inputs;   // levels of the pins
        u8 latched;  // edges seen and not yet accepted
        u8 imr, isr, elcr;
        u8 vector_base;  // ICW2, low three bits 0
        u8 icw1, icw3, icw4;
        u8 next_word;   // initialization word expected at A0=1: 0 none, else 2, 3, 4
        u8 lowest_pin;  // pin with the lowest priority, 7 unless rotated
        bool read_isr, poll_next, special_mask, rotate_auto_eoi;
    } state_{};
};

class Pic8259Pair final : public Device {
 public:
    explicit Pic8259Pair(std::function<void(bool)> intr);

    std::string_view name() const override { return "pic"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& master_ports() { return master_ports_; }  ///< 2 ports
    PortHandler& slave_ports() { return slave_ports_; }    ///< 2 ports
    PortHandler& elcr_ports() { return elcr_ports_; }      ///< 2 ports

    /// IRQ 0-15; 2 is the cascade and has no wire.
    void set_irq(unsigned irq, bool level);
    bool intr() const { return intr_level_; }
    bool request_waits(unsigned irq) const { return (irq < 8 ? master_ : slave_).request_waits(irq & 7); }
    /// The INTA cycle: a vector, in every case (spurious IRQ 7 or 15 if the request went away).
    u8 acknowledge();

 private:
    static constexpr unsigned kCascadePin = 2;
    void update();

    std::function<void(bool)> intr_;
    PortFunctions master_ports_, slave_ports_, elcr_ports_;
    Pic8259 master_{true}, slave_{false};
    bool intr_level_ = false;
};

}  // namespace shadowbox
