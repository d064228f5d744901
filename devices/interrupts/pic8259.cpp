// SPDX-License-Identifier: MIT
// 8259A: initialization words, operation words, priorities and the INTA cycle.
#include "devices/interrupts/pic8259.h"

namespace shadowbox {

namespace {
constexpr u8 kIcw1 = 0x10, kIcw1NeedsIcw4 = 0x01, kIcw1Single = 0x02;
constexpr u8 kIcw4AutoEoi = 0x02, kIcw4FullyNested = 0x10;
constexpr u8 kOcw3 = 0x08;
constexpr u8 kMasterLevelPins = 0xF8, kSlaveLevelPins = 0xDE;  // PIIX3: IRQ 0, 1, 2, 8, 13 are always edge
}  // namespace

void Pic8259::reset() {
    u8 inputs = state_.inputs;  // wires are not ours to reset
    state_ = State{};
    state_.inputs = inputs;
    state_.imr = 0xFF;
    state_.lowest_pin = 7;
}

void Pic8259::set_input(unsigned pin, bool level) {
    u8 bit = static_cast<u8>(1u << pin);
    if (level && !(state_.inputs & bit)) state_.latched |= bit;
    // The latch outlives the pulse: PC devices pulse their lines shorter than a CPU needs to acknowledge.
    state_.inputs = static_cast<u8>(level ? state_.inputs | bit : state_.inputs & ~bit);
}

u8 Pic8259::requests() const {
    u8 level = state_.elcr;
    // The slave's INT output is followed as a level, so that no request behind another one gets lost.
    if (master_) level |= 1u << 2;
    return static_cast<u8>((state_.inputs & level) | (state_.latched & ~level));
}

int Pic8259::highest(u8 mask) const {
    for (unsigned i = 1; i <= 8; ++i) {
        unsigned pin = (state_.lowest_pin + i) & 7;
        if (mask & (1u << pin)) return static_cast<int>(pin);
    }
    return -1;
}

int Pic8259::pending() const {
    if (state_.next_word != 0) return -1;
    int pin = highest(requests() & static_cast<u8>(~state_.imr));
    if (pin < 0) return -1;
    u8 blocking = state_.isr;
    if (state_.special_mask) blocking &= static_cast<u8>(~state_.imr);
    // Special fully nested mode: the slave may interrupt its own service (8259A DS, "special fully nested").
    if (master_ && (state_.icw4 & kIcw4FullyNested)) blocking &= static_cast<u8>(~(1u << 2));
    int serviced = highest(blocking);
    auto rank = [&](int p) { return (p - state_.lowest_pin - 1) & 7; };
    if (serviced >= 0 && rank(serviced) <= rank(pin)) return -1;
    return pin;
}

void Pic8259::accept(int pin) {
    u8 bit = static_cast<u8>(1u << pin);
    state_.latched &= static_cast<u8>(~bit);
    if (state_.icw4 & kIcw4AutoEoi) {
        if (state_.rotate_auto_eoi) state_.lowest_pin = static_cast<u8>(pin);
    } else {
        state_.isr |= bit;
    }
}

u8 Pic8259::acknowledge() {
    int pin = pending();
    if (pin < 0) return state_.vector_base + 7;  // 8259A DS: default IR7, ISR stays clear
    accept(pin);
    return static_cast<u8>(state_.vector_base + pin);
}

u8 Pic8259::poll() {
    state_.poll_next = false;
    int pin = pending();
    if (pin < 0) return 0;
    accept(pin);
    return static_cast<u8>(0x80 | pin);
}

u8 Pic8259::read(unsigned offset) {
    if (state_.poll_next) return poll();
    if (offset & 1) return state_.imr;
    return state_.read_isr ? state_.isr : requests();
}

void Pic8259::write(unsigned offset, u8 value) {
    if (offset & 1) {
        if (state_.next_word)
            write_initialization_word(value);
        else
            state_.imr = value;
    } else if (value & kIcw1) {
        begin_initialization(value);
    } else if (value & kOcw3) {
        write_ocw3(value);
    } else {
        write_ocw2(value);
    }
}

void Pic8259::begin_initialization(u8 icw1) {
    state_.icw1 = icw1;
    state_.latched = 0;  // the edge sense circuit is reset: a new low-high transition is needed
    state_.imr = state_.isr = 0;
    state_.lowest_pin = 7;
    state_.special_mask = state_.read_isr = state_.poll_next = state_.rotate_auto_eoi = false;
    if (!(icw1 & kIcw1NeedsIcw4)) state_.icw4 = 0;
    state_.next_word = 2;
}

void Pic8259::write_initialization_word(u8 value) {
    u8 word = state_.next_word;
    if (word == 2) {
        state_.vector_base = value & 0xF8;
        state_.next_word = state_.icw1 & kIcw1Single ? 4 : 3;
    } else if (word == 3) {
        state_.icw3 = value;
        state_.next_word = 4;
    } else {
        state_.icw4 = value;
        state_.next_word = 0;
    }
    if (state_.next_word == 4 && !(state_.icw1 & kIcw1NeedsIcw4)) state_.next_word = 0;
}

void Pic8259::write_ocw2(u8 value) {
    unsigned pin = value & 7;
    bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;
    if (eoi) {
        int ended = static_cast<int>(pin);
        if (!specific) {
            // In special mask mode a masked in-service bit is not cleared by a non-specific EOI.
            u8 candidates = state_.isr;
            if (state_.special_mask) candidates &= static_cast<u8>(~state_.imr);
            ended = highest(candidates);
        }
        if (ended < 0) return;
        state_.isr &= static_cast<u8>(~(1u << ended));
        if (rotate) state_.lowest_pin = static_cast<u8>(ended);
    } else if (specific) {
        if (rotate) state_.lowest_pin = static_cast<u8>(pin);  // set priority; 010 is no operation
    } else {
        state_.rotate_auto_eoi = rotate;
    }
}

void Pic8259::write_ocw3(u8 value) {
    if (value & 0x04) state_.poll_next = true;
    if (value & 0x02) state_.read_isr = value & 0x01;
    if (value & 0x40) state_.special_mask = value & 0x20;
}

void Pic8259::set_edge_level(u8 value) {
    state_.elcr = value & (master_ ? kMasterLevelPins : kSlaveLevelPins);
    state_.latched &= static_cast<u8>(~state_.elcr);
}

void Pic8259::serialize(Archive& archive) {
    State& s = state_;
    archive(s.inputs, s.latched, s.imr, s.isr, s.elcr, s.vector_base, s.icw1, s.icw3, s.icw4, s.next_word,
            s.lowest_pin, s.read_isr, s.poll_next, s.special_mask, s.rotate_auto_eoi);
    s.lowest_pin &= 7;
}

void Pic8259::inspect(Inspector& inspector) const {
    inspector.hex("IRR", requests());
    inspector.hex("IMR", state_.imr);
    inspector.hex("ISR", state_.isr);
    inspector.hex("ELCR", state_.elcr);
    inspector.hex("inputs", state_.inputs);
    inspector.hex("vector base", state_.vector_base);
    inspector.field("lowest priority", state_.lowest_pin);
    inspector.field("auto EOI", bool(state_.icw4 & kIcw4AutoEoi));
    inspector.field("special mask", state_.special_mask);
}

Pic8259Pair::Pic8259Pair(std::function<void(bool)> intr)
    : intr_(std::move(intr)),
      master_ports_(
          [this](u16 offset, unsigned) {
              u8 value = master_.read(offset);
              update();  // a poll read accepts an interrupt
              return value;
          },
          [this](u16 offset, unsigned, u32 value) {
              master_.write(offset, static_cast<u8>(value));
              update();
          }),
      slave_ports_(
          [this](u16 offset, unsigned) {
              u8 value = slave_.read(offset);
              update();
              return value;
          },
          [this](u16 offset, unsigned, u32 value) {
              slave_.write(offset, static_cast<u8>(value));
              update();
          }),
      elcr_ports_([this](u16 offset, unsigned) { return (offset ? slave_ : master_).edge_level(); },
                  [this](u16 offset, unsigned, u32 value) {
                      (offset ? slave_ : master_).set_edge_level(static_cast<u8>(value));
                      update();
                  }) {
    reset();
}

void Pic8259Pair::reset() {
    master_.reset();
    slave_.reset();
    update();
}

void Pic8259Pair::set_irq(unsigned irq, bool level) {
    if (irq >= 16 || irq == kCascadePin) return;
    (irq < 8 ? master_ : slave_).set_input(irq & 7, level);
    update();
}

void Pic8259Pair::update() {
    master_.set_input(kCascadePin, slave_.pending() >= 0);
    bool level = master_.pending() >= 0;
    if (level == intr_level_) return;
    intr_level_ = level;
    if (intr_) intr_(level);
}

u8 Pic8259Pair::acknowledge() {
    bool from_slave = master_.pending() == static_cast<int>(kCascadePin);
    u8 vector = master_.acknowledge();
    if (from_slave) vector = slave_.acknowledge();
    update();
    return vector;
}

void Pic8259Pair::serialize(Archive& archive) {
    archive.section(name(), 1);
    master_.serialize(archive);
    slave_.serialize(archive);
    archive(intr_level_);
}

void Pic8259Pair::inspect(Inspector& inspector) const {
    inspector.field("INTR", intr_level_);
    Inspector master = inspector.group("master");
    master_.inspect(master);
    Inspector slave = inspector.group("slave");
    slave_.inspect(slave);
}

}  // namespace shadowbox
