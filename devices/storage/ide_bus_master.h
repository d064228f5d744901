// SPDX-License-Identifier: MIT
// The bus-master half of one IDE channel: command, status and descriptor pointer registers, and the walk
// through the guest's table of physical regions. The drive asks for the memory of its next transfer; this
// hands out pinned pages. "Programming Interface for Bus Master IDE Controller" 1.0; 82371SB DS 2.4.
//
//   table entry: { u32 base, u16 bytes (0: 64 KiB), u16 flags (bit 15: last) }
#pragma once

#include <functional>

#include "devices/bus/device.h"
#include "devices/bus/parked_request.h"
#include "devices/storage/dma_pages.h"

namespace shadowbox {

class IdeBusMaster {
 public:
    enum class Gathered : u8 {
        kAll,
        kShort,  ///< the table describes less memory than the transfer needs
        kWaits,  ///< for a page: on_start()'s function is called when asking again makes sense
    };
    explicit IdeBusMaster(GuestMemory& memory) : memory_(memory), parked_(memory) {}
    void set_page_waits(PageWaits& waits) { parked_.set_page_waits(waits); }

    u32 read(u16 offset) const;
    void write(u16 offset, unsigned size, u32 value);
    /// Called when software starts the engine, and when the page came that gather() waits for.
    void on_start(std::function<void()> started) { started_ = std::move(started); }

    bool running() const { return state_.status & kActive; }
    /// The next `bytes` of the table, as pieces in order.
    Gathered gather(u64 bytes, bool to_memory, DmaPages& pages);
    /// The drive's side of the transfer ended.
    void finished();
    void stalled() { state_.status &= static_cast<u8>(~kActive); }
    /// INTRQ rose.
    void interrupt() { state_.status |= kInterrupt; }

    void reset() { parked_.cancel(), state_ = State{}; }
    void serialize(Archive& archive);
    void inspect(Inspector& inspector) const;

 private:
    static constexpr u8 kStart = 0x01, kToMemory = 0x08;
    static constexpr u8 kActive = 0x01, kError = 0x02, kInterrupt = 0x04, kDriveCapable = 0x60;
    MemoryAnswer next_entry();
    MemoryAnswer pin_piece(Gpa where, u32 size, bool to_memory, DmaPages& pages);
    Gathered walk(u64 bytes, bool to_memory, DmaPages& pages, MemoryAnswer& answer);

    GuestMemory& memory_;
    ParkedRequest parked_;
    std::function<void()> started_;
    struct State {
        u8 command, status;
        u32 table;
        // the walk
        u32 entries_read, base, left;
        bool last;
    } state_{};
};

}  // namespace shadowbox
