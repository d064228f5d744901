// SPDX-License-Identifier: MIT
// Bus-master registers and scatter/gather.
#include "devices/storage/ide_bus_master.h"

#include <algorithm>

#include "core/log.h"

namespace shadowbox {

namespace {
// A table may not cross a 64 KiB boundary: this many entries at most. Bounds a walk without an end mark.
constexpr u32 kMostEntries = 65536 / 8;
}  // namespace

u32 IdeBusMaster::read(u16 offset) const {
    switch (offset) {
        case 0: return state_.command;
        case 2: return state_.status;
        case 4:
        case 5:
        case 6:
        case 7: return state_.table >> (offset - 4) * 8 & 0xFF;
        default: return 0;
    }
}

void IdeBusMaster::write(u16 offset, unsigned size, u32 value) {
    State& s = state_;
    for (unsigned i = 0; i < size; ++i, value >>= 8) {
        u8 byte = static_cast<u8>(value);
        u16 at = static_cast<u16>(offset + i);
        if (at >= 4 && at < 8) {
            unsigned shift = (at - 4u) * 8;
            s.table = ((s.table & ~(0xFFu << shift)) | u32{byte} << shift) & ~u32{3};
        } else if (at == 2) {
            s.status = static_cast<u8>((s.status & kActive) | (byte & kDriveCapable) |
                                       (s.status & ~byte & (kError | kInterrupt)));
        } else if (at == 0) {
            bool starts = (byte & kStart) && !(s.command & kStart);
            s.command = byte & (kStart | kToMemory);
            if (!(byte & kStart)) s.status &= static_cast<u8>(~kActive);
            if (!starts) continue;
            s.status |= kActive;
            s.entries_read = s.left = 0;
            s.last = false;
            if (started_) started_();
        }
    }
}

MemoryAnswer IdeBusMaster::next_entry() {
    State& s = state_;
    u8 entry[8];
    u32 where = (s.table & 0xFFFF0000) | ((s.table + s.entries_read * 8) & 0xFFFF);
    const MemoryAnswer answer = memory_.try_read(Gpa(where), entry);
    if (answer.must_wait()) return answer;
    ++s.entries_read;
    s.base = (entry[0] & ~1u) | u32{entry[1]} << 8 | u32{entry[2]} << 16 | u32{entry[3]} << 24;
    s.left = (entry[4] & ~1u) | u32{entry[5]} << 8;
    if (s.left == 0) s.left = 65536;
    s.last = entry[7] & 0x80;
    return {};
}

MemoryAnswer IdeBusMaster::pin_piece(Gpa where, u32 size, bool to_memory, DmaPages& pages) {
    PageAccess access = !to_memory          ? PageAccess::kRead
                        : size == kPageSize ? PageAccess::kOverwrite
                                            : PageAccess::kWrite;
    auto pin = memory_.try_pin(where.ppn(), access);
    if (pin) {
        pages.add(std::move(*pin), where.offset(), size);
        return {};
    }
    if (pin.error().must_wait()) return pin.error();
    guest_oddity("ide-dma-nowhere", fmt::format("IDE DMA at 0x{:x}, which is not RAM", where.value));
    pages.add_nowhere(size);
    return {};
}

IdeBusMaster::Gathered IdeBusMaster::walk(u64 bytes, bool to_memory, DmaPages& pages, MemoryAnswer& answer) {
    State& s = state_;
    while (bytes > 0) {
        if (s.left == 0) {
            if (s.last || s.entries_read >= kMostEntries) return Gathered::kShort;
            answer = next_entry();
            if (!answer.ready()) return Gathered::kWaits;
        }
        Gpa where(s.base);
        u32 size = static_cast<u32>(std::min<u64>({bytes, s.left, kPageSize - where.offset()}));
        answer = pin_piece(where, size, to_memory, pages);
        if (!answer.ready()) return Gathered::kWaits;
        bytes -= size;
        s.left -= size;
        s.base += size;
    }
    return Gathered::kAll;
}

/// What waits keeps no pin, so that the page it waits for can come, and begins again where it was.
IdeBusMaster::Gathered IdeBusMaster::gather(u64 bytes, bool to_memory, DmaPages& pages) {
    const State before = state_;
    MemoryAnswer answer;
    const Gathered result = walk(bytes, to_memory, pages, answer);
    if (result != Gathered::kWaits) return result;
    pages.clear();
    state_ = before;
    parked_.wait(answer, [this] {
        if (running() && started_) started_();
    });
    return result;
}

/// Status after a transfer (Bus Master IDE 1.0, 3.1): active stays set when the table describes more memory
/// than the drive used.
void IdeBusMaster::finished() {
    State& s = state_;
    if (s.left == 0 && (s.last || s.entries_read >= kMostEntries)) stalled();
}

void IdeBusMaster::serialize(Archive& archive) {
    State& s = state_;
    archive(s.command, s.status, s.table, s.entries_read, s.base, s.left, s.last);
    s.table &= ~u32{3};
    s.entries_read = std::min(s.entries_read, kMostEntries);
    s.left = std::min<u32>(s.left, 65536);
}

void IdeBusMaster::inspect(Inspector& inspector) const {
    inspector.hex("bus master command", state_.command);
    inspector.hex("bus master status", state_.status);
    inspector.hex("descriptor table", state_.table);
}

}  // namespace shadowbox
