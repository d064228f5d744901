// SPDX-License-Identifier: MIT
// 82077AA: the commands that move data. One command is one run of consecutive sectors: one block request.
//
//   read:  transfer -> read_disk  -> disk_done -> DMA or FIFO -> data_moved -> end_transfer
//   write: transfer -> DMA or FIFO -> write_disk -> disk_done -> data_moved -> end_transfer
#include <algorithm>

#include "devices/storage/floppy82077.h"
#include "devices/storage/floppy82077_bits.h"

namespace shadowbox {

using namespace floppy82077;

namespace {
constexpr u32 kSectorBytes = 512;
constexpr u8 kSectorCode = 2;  // N of 512 bytes
}  // namespace

void Floppy82077::end_transfer(u8 status0, u8 status1, u8 status2) {
    const auto& c = state_.command;
    status0 |= static_cast<u8>(c[1] & 7);
    bool format = state_.formatting;
    abandon_transfer();
    if (format)
        result({status0, status1, status2, 0, 0, 0, kSectorCode});
    else
        result({status0, status1, status2, c[2], c[3], c[4], c[5]});
    raise_irq();
}

/// Ends the command with the status of a drive that cannot do it. True: the medium is there and readable.
bool Floppy82077::check_medium(bool writing) {
    if (!drive_exists() || !selected().disk() || !(selected().geometry().rates >> state_.rate & 1)) {
        end_transfer(kAbnormal, kMissingMark, 0);  // no index, or nothing legible at this data rate
        return false;
    }
    if (writing && selected().write_protected()) {
        end_transfer(kAbnormal, kNotWritable, 0);
        return false;
    }
    return true;
}

void Floppy82077::read_id() {
    if (!check_medium(false)) return;
    auto& c = state_.command;
    c[2] = static_cast<u8>(selected().cylinder());
    c[3] = static_cast<u8>(head());
    c[4] = 1;
    c[5] = kSectorCode;
    if (!selected().offset(c[2], c[3], 1)) return end_transfer(kAbnormal, kMissingMark, 0);
    end_transfer(0, 0, 0);
}

/// Sectors from the addressed one to EOT, on both sides with MT.
unsigned Floppy82077::sectors_ahead() {
    const auto& c = state_.command;
    unsigned last = std::min<unsigned>(c[6], selected().geometry().sectors);
    if (c[4] > last) return 0;
    unsigned sectors = last - c[4] + 1;
    bool both_sides = (c[0] & kMultiTrack) && c[3] == 0 && selected().geometry().heads == 2;
    // Past a short EOT the second side is not contiguous in the image: such a run ends with the side.
    if (both_sides && last == selected().geometry().sectors) sectors += last;
    return sectors;
}

void Floppy82077::transfer() {
    auto& c = state_.command;
    u8 opcode = c[0] & 0x1F;
    bool writing = opcode == kWriteData || opcode == kWriteDeleted;
    if (opcode == kReadTrack) c[4] = 1;  // from the index hole, whatever R says
    state_.verifying = opcode == kVerify;
    // EIS in CONFIGURE: seek by the way.
    if ((state_.configure[1] & 0x40) && drive_exists()) selected().step_to(c[2]);
    if (!check_medium(writing)) return;
    if (c[2] != selected().cylinder()) return end_transfer(kAbnormal, kNoData, kWrongCylinder);
    if (c[5] != kSectorCode || c[3] != head() || !selected().offset(c[2], c[3], c[4]))
        return end_transfer(kAbnormal, kNoData, 0);
    unsigned sectors = sectors_ahead();
    if (sectors == 0) return end_transfer(kAbnormal, kNoData, 0);
    start_data(sectors * kSectorBytes, writing);
}

void Floppy82077::format_track() {
    auto& c = state_.command;  // 2 N, 3 sectors per track, 4 gap, 5 fill byte
    state_.formatting = true;
    state_.verifying = false;
    if (!check_medium(true)) return;
    bool fits = c[2] == kSectorCode && c[3] == selected().geometry().sectors;
    if (!fits || !selected().offset(selected().cylinder(), head(), 1))
        return end_transfer(kAbnormal, kNotWritable, 0);
    start_data(c[3] * 4u, true);  // C, H, R, N of each sector
}

void Floppy82077::start_data(std::size_t bytes, bool to_disk) {
    State& s = state_;
    s.transfer_bytes = static_cast<u32>(bytes);
    s.position = 0;
    s.terminal_count = s.filled = false;
    s.to_disk = to_disk;
    buffer_->assign(bytes, 0);
    bool programmed = s.specify[1] & kSpecifyNonDma;
    if (s.verifying) return read_disk();
    if (programmed && to_disk) {
        s.phase = Phase::kPioWrite;
        return raise_irq();
    }
    if (programmed) return read_disk();
    s.phase = Phase::kWaitDma;
    if (dma_.ready(kDmaChannel)) dma_ready();
}

/// The DMA channel serves our request: now, or as soon as the guest unmasks it.
void Floppy82077::dma_ready() {
    State& s = state_;
    if (s.phase != Phase::kWaitDma) return;
    if (s.filled) return fill_memory();
    s.transfer_bytes = std::min(s.transfer_bytes, dma_.remaining(kDmaChannel));
    if (!s.to_disk) return read_disk();
    DmaResult moved = dma_.from_memory(kDmaChannel, std::span<u8>(*buffer_).first(s.transfer_bytes));
    if (moved.waits) return;  // comes again
    s.terminal_count = moved.terminal_count;
    write_disk(moved.bytes);
}

void Floppy82077::read_disk() {
    State& s = state_;
    if (!selected().disk())
        return end_transfer(kAbnormal, kMissingMark, 0);  // taken out while DMA was masked
    s.phase = Phase::kDisk;
    const auto& c = s.command;
    u64 from = selected().offset(c[2], c[3], c[4]).value_or(0);
    u32 sectors = (s.transfer_bytes + kSectorBytes - 1) / kSectorBytes;
    buffer_->assign(std::size_t{sectors} * kSectorBytes, 0);
    // An image may be smaller than its format; what it lacks reads as zeros.
    u64 size = selected().disk()->size_bytes();
    u64 present = std::min<u64>(buffer_->size(), size > from ? size - from : 0) / kSectorBytes * kSectorBytes;
    if (present == 0) return disk_done(IoStatus::kOk);
    selected().disk()->read(from, std::span<u8>(*buffer_).first(present),
                            [this, generation = generation_, keep = buffer_](IoStatus status) {
                                if (generation == generation_) disk_done(status);
                            });
}

void Floppy82077::write_disk(std::size_t bytes) {
    State& s = state_;
    const auto& c = s.command;
    s.transfer_bytes = static_cast<u32>(bytes);
    s.phase = Phase::kDisk;
    u64 to = 0;
    if (s.formatting) {
        to = selected().offset(selected().cylinder(), head(), 1).value_or(0);
        buffer_->assign(std::size_t{c[3]} * kSectorBytes, c[5]);
    } else {
        // A sector that TC cuts short is filled with zeros (82077AA DS 5.1.3).
        to = selected().offset(c[2], c[3], c[4]).value_or(0);
        buffer_->resize((bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes);
        std::fill(buffer_->begin() + static_cast<std::ptrdiff_t>(bytes), buffer_->end(), u8{0});
    }
    u64 size = selected().disk() ? selected().disk()->size_bytes() : 0;
    if (to + buffer_->size() > size) return disk_done(IoStatus::kError);
    if (buffer_->empty()) return disk_done(IoStatus::kOk);
    selected().disk()->write(to, std::span<u8>(*buffer_),
                             [this, generation = generation_, keep = buffer_](IoStatus status) {
                                 if (generation == generation_) disk_done(status);
                             });
}

void Floppy82077::disk_done(IoStatus status) {
    State& s = state_;
    if (status == IoStatus::kReadOnly) return end_transfer(kAbnormal, kNotWritable, 0);
    if (status != IoStatus::kOk) return end_transfer(kAbnormal, kDataError, kDataErrorInData);
    bool programmed = s.specify[1] & kSpecifyNonDma;
    if (s.verifying) return data_moved(s.transfer_bytes, true);
    if (s.to_disk) return data_moved(s.transfer_bytes, s.terminal_count);
    if (programmed) {
        s.phase = Phase::kPioRead;
        return raise_irq();
    }
    s.filled = true;
    s.phase = Phase::kWaitDma;
    if (dma_.ready(kDmaChannel)) fill_memory();  // else masked meanwhile: the request stays up
}

void Floppy82077::fill_memory() {
    State& s = state_;
    DmaResult moved = dma_.to_memory(kDmaChannel, std::span<const u8>(*buffer_).first(s.transfer_bytes));
    if (moved.waits) return;  // comes again
    s.filled = false;
    data_moved(moved.bytes, moved.terminal_count);
}

/// C, H, R of the sector after the last one moved (82077AA DS table 6-5).
void Floppy82077::advance_address(unsigned sectors) {
    auto& c = state_.command;
    for (; sectors > 0; --sectors) {
        if (c[4] != c[6] && c[4] < selected().geometry().sectors) {
            ++c[4];
            continue;
        }
        c[4] = 1;
        if (!(c[0] & kMultiTrack)) {
            ++c[2];
        } else if (c[3] == 0) {
            c[3] = 1;
        } else {
            c[3] = 0;
            ++c[2];
        }
    }
}

void Floppy82077::data_moved(std::size_t bytes, bool terminal_count) {
    if (state_.formatting) return end_transfer(0, 0, 0);
    advance_address(static_cast<unsigned>((bytes + kSectorBytes - 1) / kSectorBytes));
    // Without TC the command runs into the end of the cylinder, as every programmed transfer does.
    if (terminal_count)
        end_transfer(0, 0, 0);
    else
        end_transfer(kAbnormal, kEndOfCylinder, 0);
}

}  // namespace shadowbox
