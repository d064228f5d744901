// SPDX-License-Identifier: MIT
// A 16550A UART with 16-byte FIFOs. Transmission is instant (nobody listens to the pace), interrupts are as
// on the chip: line status, receive, receive timeout, transmit empty, modem status. NS16550AF data sheet,
// section 8.
#pragma once

#include <string>

#include "devices/bus/device.h"
#include "devices/serial/byte_queue.h"
#include "devices/serial/char_backend.h"

namespace shadowbox {

class Serial16550 final : public Device, public PortHandler, public CharReceiver {
 public:
    /// `backend` may be nullptr: a port with nothing plugged in, modem lines inactive.
    Serial16550(std::string name, TimerQueue& timers, IrqLine irq, CharBackend* backend);
    ~Serial16550() override;

    std::string_view name() const override { return name_; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    u32 port_read(u16 offset, unsigned size) override;
    void port_write(u16 offset, unsigned size, u32 value) override;
    unsigned widest_port_access() const override { return 1; }

    unsigned can_receive() const override;
    void receive(std::span<const u8> bytes) override;
    /// A break on the line, as the escape key of a terminal sends it (SysRq on Linux consoles).
    void receive_break();

 private:
    static constexpr unsigned kFifo = 16;
    bool fifos() const;
    bool loopback() const;
    bool divisor_access() const;
    unsigned trigger() const;
    GuestNs timeout() const;
    void restart_timeout();
    void accept(u8 byte, u8 errors);
    u8 line_status() const;
    u8 read_data();
    u8 read_interrupt_id();
    u8 read_line_status();
    u8 read_modem_status();
    void write_data(u8 byte);
    void write_interrupt_enable(u8 value);
    void write_fifo_control(u8 value);
    void write_modem_control(u8 value);
    void modem_lines_changed();
    u8 interrupt_id() const;
    void update_irq();

    std::string name_;
    IrqLine irq_;
    CharBackend* backend_;
    TimerQueue& timers_;
    Timer timeout_timer_;
    struct State {
        u8 ier, lcr, mcr, scr, fcr;
        u8 msr_delta;    // low four bits of MSR
        u8 modem_lines;  // high four bits of MSR
        u8 line_errors;  // OE, PE, FE, BI until LSR is read
        u16 divisor;
        u8 last_byte;
        bool transmit_empty_pending, receive_timeout;
        ByteQueue<kFifo> receive_fifo;
    } state_{};
};

}  // namespace shadowbox
