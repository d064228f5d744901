// SPDX-License-Identifier: MIT
// The two 8237A DMA controllers of a PC/AT with their page registers. Channels 0-3 move bytes, 5-7 words.
// Devices (the floppy) push and pull through to_memory() and from_memory(). Memory-to-memory transfers do not
// exist on a PC/AT. 8237A data sheet (Intel 231466).
#pragma once

#include <array>
#include <functional>
#include <span>

#include "devices/bus/device.h"
#include "devices/bus/parked_request.h"

namespace shadowbox {

/// What one burst did.
struct DmaResult {
    u32 bytes = 0;                ///< moved
    bool terminal_count = false;  ///< the count ran out: TC was signalled
    bool waits = false;  ///< nothing was moved: on_ready()'s listener is called when the memory is there
};

class Dma8237 final : public Device {
 public:
    explicit Dma8237(GuestMemory& memory);

    void set_page_waits(PageWaits& waits) {
        for (ParkedRequest& request : parked_) request.set_page_waits(waits);
    }

    std::string_view name() const override { return "dma"; }
    void reset() override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    PortHandler& low_ports() { return low_; }     ///< 16 ports at 00h: channels 0-3
    PortHandler& high_ports() { return high_; }   ///< 32 ports at C0h: channels 4-7, every other port
    PortHandler& page_ports() { return pages_; }  ///< 15 ports at 81h

    /// True if a request on the channel would be served now.
    bool ready(unsigned channel) const;
    /// Bytes until terminal count.
    u32 remaining(unsigned channel) const;
    /// Device to memory ("write transfer"); takes at most remaining() bytes.
    DmaResult to_memory(unsigned channel, std::span<const u8> bytes);
    /// Memory to device ("read transfer").
    DmaResult from_memory(unsigned channel, std::span<u8> bytes);
    /// Called when the guest makes the channel ready, or memory came that a transfer waits for: a device
    /// whose request waits goes on then.
    void on_ready(unsigned channel, std::function<void()> listener) {
        listeners_[channel & 7] = std::move(listener);
    }

 private:
    struct Channel {
        u16 base_address, base_count, address, count;
        u8 mode;
    };
    struct Controller {
        u8 command, status, mask;
        bool high_byte_next;
    };
    u8 read(unsigned controller, unsigned reg);
    void write(unsigned controller, unsigned reg, u8 value);
    void write_channel(unsigned controller, unsigned reg, u8 value);
    void master_clear(unsigned controller);
    void notify(unsigned controller);
    Gpa location(unsigned channel) const;
    template <class Move>
    DmaResult run(unsigned channel, u32 bytes, Move move);
    void finish(unsigned channel);

    GuestMemory& memory_;
    std::array<ParkedRequest, 8> parked_;
    PortFunctions low_, high_, pages_;
    std::function<void()> listeners_[8];
    struct State {
        Channel channels[8];
        Controller controllers[2];
        u8 pages[16];
    } state_{};
};

}  // namespace shadowbox
