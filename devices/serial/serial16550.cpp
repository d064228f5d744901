// SPDX-License-Identifier: MIT
// 16550A registers and interrupt priorities.
#include "devices/serial/serial16550.h"

namespace shadowbox {

namespace {
constexpr u8 kIerReceive = 1, kIerTransmit = 2, kIerLine = 4, kIerModem = 8;
constexpr u8 kIirNone = 0x01, kIirModem = 0x00, kIirTransmit = 0x02, kIirReceive = 0x04, kIirLine = 0x06,
             kIirTimeout = 0x0C, kIirFifos = 0xC0;
constexpr u8 kFcrEnable = 0x01, kFcrClearReceive = 0x02, kFcrKept = 0xC9;
constexpr u8 kLcrDivisor = 0x80;
constexpr u8 kMcrDtr = 0x01, kMcrRts = 0x02, kMcrOut1 = 0x04, kMcrOut2 = 0x08, kMcrLoop = 0x10;
constexpr u8 kLsrData = 0x01, kLsrOverrun = 0x02, kLsrErrors = 0x1E, kLsrBreak = 0x10,
             kLsrTransmitEmpty = 0x60;
constexpr u8 kMsrRingTrailing = 0x04, kMsrCts = 0x10, kMsrDsr = 0x20, kMsrRing = 0x40, kMsrCarrier = 0x80;
constexpr u64 kBaudClock = 115200;  // 1.8432 MHz / 16
}  // namespace

Serial16550::Serial16550(std::string name, TimerQueue& timers, IrqLine irq, CharBackend* backend)
    : name_(std::move(name)),
      irq_(std::move(irq)),
      backend_(backend),
      timers_(timers),
      timeout_timer_(timers, name_, [this] {
          state_.receive_timeout = !state_.receive_fifo.empty();
          update_irq();
      }) {
    reset();
    if (backend_) backend_->set_receiver(this);
}

Serial16550::~Serial16550() {
    if (backend_) backend_->set_receiver(nullptr);
}

void Serial16550::reset() {
    state_ = State{};
    state_.divisor = 12;  // 9600 baud
    state_.transmit_empty_pending = true;
    state_.modem_lines = backend_ ? kMsrCts | kMsrDsr | kMsrCarrier : 0;
    timeout_timer_.cancel();
    irq_.lower();
    if (backend_) backend_->receiver_ready();
}

bool Serial16550::fifos() const { return state_.fcr & kFcrEnable; }
bool Serial16550::loopback() const { return state_.mcr & kMcrLoop; }
bool Serial16550::divisor_access() const { return state_.lcr & kLcrDivisor; }

unsigned Serial16550::trigger() const {
    static constexpr unsigned kLevels[] = {1, 4, 8, 14};
    return fifos() ? kLevels[state_.fcr >> 6] : 1;
}

/// Four character times (NS16550AF DS 8.4, FIFO interrupt mode).
GuestNs Serial16550::timeout() const {
    unsigned bits = 1 + 5 + (state_.lcr & 3) + (state_.lcr & 8 ? 1 : 0) + (state_.lcr & 4 ? 2 : 1);
    u64 divisor = state_.divisor ? state_.divisor : 1;
    return 4 * bits * divisor * 1'000'000'000 / kBaudClock;
}

unsigned Serial16550::can_receive() const {
    if (loopback()) return 0;
    return fifos() ? state_.receive_fifo.room() : (state_.receive_fifo.empty() ? 1 : 0);
}

void Serial16550::accept(u8 byte, u8 errors) {
    State& s = state_;
    bool full = fifos() ? s.receive_fifo.full() : !s.receive_fifo.empty();
    if (full) {
        s.line_errors |= kLsrOverrun;
        if (!fifos()) {  // without FIFOs the new character replaces the old one
            s.receive_fifo.clear();
            s.receive_fifo.push(byte);
        }
    } else {
        s.receive_fifo.push(byte);
    }
    s.line_errors |= errors;
    s.receive_timeout = false;
    restart_timeout();
}

/// Counts from the last character received or read, while characters wait in the FIFO.
void Serial16550::restart_timeout() {
    if (fifos() && !state_.receive_fifo.empty()) {
        timeout_timer_.arm(timers_.now() + timeout());
    } else {
        timeout_timer_.cancel();
    }
}

void Serial16550::receive(std::span<const u8> bytes) {
    if (loopback()) return;
    for (u8 byte : bytes) accept(byte, 0);
    update_irq();
}

void Serial16550::receive_break() {
    if (loopback()) return;
    accept(0, kLsrBreak);
    update_irq();
}

u8 Serial16550::line_status() const {
    return static_cast<u8>((state_.receive_fifo.empty() ? 0 : kLsrData) | state_.line_errors |
                           kLsrTransmitEmpty);
}

u8 Serial16550::interrupt_id() const {
    const State& s = state_;
    if ((s.ier & kIerLine) && (s.line_errors & kLsrErrors)) return kIirLine;
    if ((s.ier & kIerReceive) && s.receive_fifo.size() >= trigger()) return kIirReceive;
    if ((s.ier & kIerReceive) && s.receive_timeout && !s.receive_fifo.empty()) return kIirTimeout;
    if ((s.ier & kIerTransmit) && s.transmit_empty_pending) return kIirTransmit;
    if ((s.ier & kIerModem) && s.msr_delta) return kIirModem;
    return kIirNone;
}

void Serial16550::update_irq() {
    // PC cards gate the interrupt with OUT2, QEMU's do not, and guests written against those never set it.
    irq_.set(interrupt_id() != kIirNone);
}

u8 Serial16550::read_data() {
    State& s = state_;
    bool was_full = can_receive() == 0;
    if (!s.receive_fifo.empty()) s.last_byte = s.receive_fifo.pop();
    s.receive_timeout = false;
    restart_timeout();
    if (was_full && can_receive() > 0 && backend_) backend_->receiver_ready();
    return s.last_byte;
}

u8 Serial16550::read_interrupt_id() {
    u8 id = interrupt_id();
    if (id == kIirTransmit) state_.transmit_empty_pending = false;  // reading IIR acknowledges THRE
    return static_cast<u8>(id | (fifos() ? kIirFifos : 0));
}

u8 Serial16550::read_line_status() {
    u8 status = line_status();
    state_.line_errors = 0;
    return status;
}

u8 Serial16550::read_modem_status() {
    u8 status = static_cast<u8>(state_.modem_lines | state_.msr_delta);
    state_.msr_delta = 0;
    return status;
}

u32 Serial16550::port_read(u16 offset, unsigned size) {
    State& s = state_;
    u8 value = 0xFF;
    switch (offset) {
        case 0: value = divisor_access() ? static_cast<u8>(s.divisor) : read_data(); break;
        case 1: value = divisor_access() ? static_cast<u8>(s.divisor >> 8) : s.ier; break;
        case 2: value = read_interrupt_id(); break;
        case 3: value = s.lcr; break;
        case 4: value = s.mcr; break;
        case 5: value = read_line_status(); break;
        case 6: value = read_modem_status(); break;
        case 7: value = s.scr; break;
    }
    update_irq();
    return value;
}

void Serial16550::write_data(u8 byte) {
    // A byte for the transmitter acknowledges THRE (16550D DS, table IV). The chip would be busy for a
    // character time; ours has sent it already, so THRE rises again at once: an edge for the controller.
    state_.transmit_empty_pending = false;
    update_irq();
    state_.transmit_empty_pending = true;
    if (loopback()) {
        accept(byte, 0);
    } else if (backend_) {
        backend_->write(std::span<const u8>(&byte, 1));
    }
}

void Serial16550::write_interrupt_enable(u8 value) {
    // Enabling THRE interrupts with an empty transmitter raises one (Linux' autodetection relies on it).
    if ((value & kIerTransmit) && !(state_.ier & kIerTransmit)) state_.transmit_empty_pending = true;
    state_.ier = value & 0x0F;
}

void Serial16550::write_fifo_control(u8 value) {
    State& s = state_;
    bool switched = (s.fcr ^ value) & kFcrEnable;
    bool enable = value & kFcrEnable;  // without it the other bits are not programmed
    if (switched || (enable && (value & kFcrClearReceive))) {
        s.receive_fifo.clear();
        s.receive_timeout = false;
        timeout_timer_.cancel();
    }
    s.fcr = enable ? value & kFcrKept : 0;
    if (backend_ && can_receive() > 0) backend_->receiver_ready();
}

void Serial16550::write_modem_control(u8 value) {
    bool was_loopback = loopback();
    state_.mcr = value & 0x1F;
    modem_lines_changed();
    if (was_loopback && !loopback() && backend_ && can_receive() > 0) backend_->receiver_ready();
}

void Serial16550::modem_lines_changed() {
    State& s = state_;
    u8 lines = backend_ ? kMsrCts | kMsrDsr | kMsrCarrier : 0;
    if (loopback()) {  // the four outputs feed the four inputs (NS16550AF DS 8.7)
        lines = static_cast<u8>((s.mcr & kMcrRts ? kMsrCts : 0) | (s.mcr & kMcrDtr ? kMsrDsr : 0) |
                                (s.mcr & kMcrOut1 ? kMsrRing : 0) | (s.mcr & kMcrOut2 ? kMsrCarrier : 0));
    }
    u8 changed = static_cast<u8>((lines ^ s.modem_lines) >> 4);
    bool ring_ended = (s.modem_lines & kMsrRing) && !(lines & kMsrRing);
    changed = static_cast<u8>((changed & ~kMsrRingTrailing) | (ring_ended ? kMsrRingTrailing : 0));
    s.msr_delta |= changed;
    s.modem_lines = lines;
}

void Serial16550::port_write(u16 offset, unsigned size, u32 wide) {
    State& s = state_;
    u8 value = static_cast<u8>(wide);
    switch (offset) {
        case 0:
            if (divisor_access())
                s.divisor = static_cast<u16>((s.divisor & 0xFF00) | value);
            else
                write_data(value);
            break;
        case 1:
            if (divisor_access())
                s.divisor = static_cast<u16>((s.divisor & 0x00FF) | value << 8);
            else
                write_interrupt_enable(value);
            break;
        case 2: write_fifo_control(value); break;
        case 3: s.lcr = value; break;
        case 4: write_modem_control(value); break;
        case 7: s.scr = value; break;
    }
    update_irq();
}

void Serial16550::serialize(Archive& archive) {
    archive.section(name(), 1);
    State& s = state_;
    archive(s.ier, s.lcr, s.mcr, s.scr, s.fcr, s.msr_delta, s.modem_lines, s.line_errors, s.divisor,
            s.last_byte, s.transmit_empty_pending, s.receive_timeout, s.receive_fifo, irq_);
    serialize_timer(archive, timeout_timer_);
}

void Serial16550::inspect(Inspector& inspector) const {
    inspector.field("baud", state_.divisor ? kBaudClock / state_.divisor : 0);
    inspector.field("FIFOs", fifos());
    inspector.field("bytes waiting", state_.receive_fifo.size());
    inspector.hex("IER", state_.ier);
    inspector.hex("IIR", interrupt_id());
    inspector.hex("LCR", state_.lcr);
    inspector.hex("MCR", state_.mcr);
    inspector.hex("LSR", line_status());
    inspector.hex("MSR", static_cast<u8>(state_.modem_lines | state_.msr_delta));
    inspector.field("irq", irq_.level());
}

}  // namespace shadowbox
