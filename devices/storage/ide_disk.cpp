// SPDX-License-Identifier: MIT
// ATA commands that move sectors.
//
//   PIO in:   read_chunk -> (backend) -> next_block_in -> data_in_done -> ... next block, chunk or end
//   PIO out:  next_block_out -> data_out_done -> ... -> write_chunk -> (backend) -> next block or end
//   DMA:      wait_for_dma -> run_dma -> (backend) -> dma_finished
#include "devices/storage/ide_disk.h"

#include <algorithm>

namespace shadowbox {

using namespace ata;

namespace {

enum class Way : u8 { kPio, kMultiple, kDma, kVerify };
struct TransferRow {
    u8 code;
    Way way;
    bool writes, extended;
};
constexpr TransferRow kTransfers[] = {
    {kReadSectors, Way::kPio, false, false},         {kReadSectorsNoRetry, Way::kPio, false, false},
    {kReadSectorsExt, Way::kPio, false, true},       {kReadMultiple, Way::kMultiple, false, false},
    {kReadMultipleExt, Way::kMultiple, false, true}, {kReadDma, Way::kDma, false, false},
    {kReadDmaNoRetry, Way::kDma, false, false},      {kReadDmaExt, Way::kDma, false, true},
    {kWriteSectors, Way::kPio, true, false},         {kWriteSectorsNoRetry, Way::kPio, true, false},
    {kWriteSectorsExt, Way::kPio, true, true},       {kWriteMultiple, Way::kMultiple, true, false},
    {kWriteMultipleExt, Way::kMultiple, true, true}, {kWriteDma, Way::kDma, true, false},
    {kWriteDmaNoRetry, Way::kDma, true, false},      {kWriteDmaExt, Way::kDma, true, true},
    {kVerify, Way::kVerify, false, false},           {kVerifyNoRetry, Way::kVerify, false, false},
    {kVerifyExt, Way::kVerify, false, true},
};

}  // namespace

IdeDisk::IdeDisk(std::string label, BlockBackend& disk, std::string serial)
    : IdeDrive(std::move(label)),
      disk_(disk),
      serial_(std::move(serial)),
      sectors_(disk.size_bytes() / kSector) {
    power_on();
}

void IdeDisk::execute(u8 code) {
    if (!execute_transfer(code)) execute_other(code);
}

bool IdeDisk::execute_transfer(u8 code) {
    auto row = std::find_if(std::begin(kTransfers), std::end(kTransfers),
                            [code](const TransferRow& r) { return r.code == code; });
    if (row == std::end(kTransfers)) return false;
    Settings& s = settings_;
    s.left = 0;
    bool multiple = row->way == Way::kMultiple;
    if (multiple && s.multiple == 0) return complete(kAborted), true;
    s.writing = row->writes;
    s.block = multiple ? s.multiple : 1;
    if (!take_address(row->extended)) {
        s.left = 0;
        return complete(kIdNotFound), true;
    }
    if (s.writing && disk_.read_only()) return complete(kAborted), true;
    switch (row->way) {
        case Way::kVerify: complete(); break;
        case Way::kDma: wait_for_dma(); break;
        default:
            if (s.writing)
                next_block_out(false);
            else
                read_chunk();
    }
    return true;
}

/// Decodes the task file into lba and left; false if any sector is beyond the disk.
bool IdeDisk::take_address(bool extended) {
    Settings& s = settings_;
    const Registers& r = state_;
    s.extended = extended;
    s.lba_mode = r.device & kDeviceLba;
    u64 low = r.lba[0] | u64{r.lba[1]} << 8 | u64{r.lba[2]} << 16;
    if (extended) {
        s.lba = low | u64{r.old_lba[0]} << 24 | u64{r.old_lba[1]} << 32 | u64{r.old_lba[2]} << 40;
        s.left = u32{r.old_count} << 8 | r.count;
        if (s.left == 0) s.left = 65536;
        s.lba_mode = true;
    } else {
        s.left = r.count ? r.count : 256;
        if (s.lba_mode) {
            s.lba = low | u64{r.device & 15u} << 24;
        } else {
            u32 sector = r.lba[0], cylinder = r.lba[1] | u32{r.lba[2]} << 8, head = r.device & 15;
            if (sector == 0 || sector > s.track || head >= s.heads) return false;
            s.lba = (u64{cylinder} * s.heads + head) * s.track + sector - 1;
        }
    }
    return s.lba < sectors_ && s.left <= sectors_ - s.lba;
}

/// The task file names a sector: the one that failed, or the last one moved.
void IdeDisk::report_address(u64 lba) {
    Registers& r = state_;
    const Settings& s = settings_;
    if (!s.lba_mode) {
        u64 cylinder = lba / s.track / s.heads;
        r.lba[0] = static_cast<u8>(lba % s.track + 1);
        r.lba[1] = static_cast<u8>(cylinder);
        r.lba[2] = static_cast<u8>(cylinder >> 8);
        r.device = static_cast<u8>((r.device & 0xF0) | (lba / s.track % s.heads));
        return;
    }
    for (unsigned i = 0; i < 3; ++i) r.lba[i] = static_cast<u8>(lba >> (i * 8));
    if (s.extended)
        for (unsigned i = 0; i < 3; ++i) r.old_lba[i] = static_cast<u8>(lba >> (24 + i * 8));
    else
        r.device = static_cast<u8>((r.device & 0xF0) | (lba >> 24 & 15));
}

// --- PIO ---

u32 IdeDisk::block_bytes() const { return settings_.block * kSector; }

void IdeDisk::read_chunk() {
    Settings& s = settings_;
    // Whole blocks, so that a block never crosses chunks.
    u32 sectors = std::min(s.left, kChunk / s.block * s.block);
    buffer().resize(sectors * kSector);
    state_.position = state_.block_end = 0;
    disk_.read(s.lba * kSector, std::span<u8>(buffer()), when_done([this](IoStatus status) {
                   if (status != IoStatus::kOk) {
                       report_address(settings_.lba);
                       return complete(kUncorrectable);
                   }
                   next_block_in();
               }));
}

void IdeDisk::next_block_in() {
    u32 from = state_.block_end;
    data_in(from, std::min<u32>(from + block_bytes(), static_cast<u32>(buffer().size())));
}

void IdeDisk::data_in_done() {
    Settings& s = settings_;
    if (s.left == 0) return set_idle(kReady | kSeekDone);  // the buffer was IDENTIFY data or the like
    u32 moved = std::min(s.block, s.left);
    s.lba += moved;
    s.left -= moved;
    if (s.left == 0) {
        report_address(s.lba - 1);
        set_idle(kReady | kSeekDone);
    } else if (state_.block_end < buffer().size()) {
        next_block_in();
    } else {
        read_chunk();
    }
}

void IdeDisk::next_block_out(bool with_interrupt) {
    const Settings& s = settings_;
    u32 from = state_.block_end;
    if (from == 0) buffer().resize(std::min(s.left, kChunk / s.block * s.block) * kSector);
    data_out(from, std::min<u32>(from + block_bytes(), static_cast<u32>(buffer().size())), with_interrupt);
}

void IdeDisk::data_out_done() {
    if (state_.block_end < buffer().size())
        next_block_out(true);
    else
        write_chunk();
}

void IdeDisk::write_chunk() {
    Settings& s = settings_;
    disk_.write(s.lba * kSector, std::span<u8>(buffer()), when_done([this](IoStatus status) {
                    Settings& s = settings_;
                    if (status != IoStatus::kOk) {
                        report_address(s.lba);
                        return complete(kAborted);
                    }
                    u32 moved = std::min(s.left, static_cast<u32>(buffer().size() / kSector));
                    s.lba += moved;
                    s.left -= moved;
                    state_.position = state_.block_end = 0;
                    if (s.left > 0) return next_block_out(true);
                    report_address(s.lba - 1);
                    complete();
                }));
}

// --- DMA ---

void IdeDisk::run_dma() {
    Settings& s = settings_;
    std::shared_ptr<DmaPages> pages = gather(u64{s.left} * kSector, !s.writing);
    if (!pages) return;
    auto done = when_done([this, pages](IoStatus status) {
        Settings& s = settings_;
        pages->pins.clear();  // the guest sees the data before the interrupt
        u8 failure = s.writing ? kAborted : kUncorrectable;
        report_address(status == IoStatus::kOk ? s.lba + s.left - 1 : s.lba);
        s.left = 0;
        dma_finished(status == IoStatus::kOk ? 0 : failure);
    });
    // An abandoned request keeps its pages pinned until it completes: `pages` lives in the completion.
    if (s.writing)
        disk_.write(s.lba * kSector, pages->pieces, std::move(done));
    else
        disk_.read(s.lba * kSector, pages->pieces, std::move(done));
}

void IdeDisk::flush() {
    disk_.flush(when_done([this](IoStatus status) { complete(status == IoStatus::kOk ? 0 : kAborted); }));
}

void IdeDisk::serialize_settings(Archive& archive) {
    Settings& s = settings_;
    archive(s.heads, s.track, s.multiple, s.dma_mode, s.write_cache, s.look_ahead, s.smart, s.lba, s.left,
            s.block, s.writing, s.extended, s.lba_mode);
    if (!archive.loading()) return;
    s.heads = std::clamp<u32>(s.heads, 1, 16);
    s.track = std::clamp<u32>(s.track, 1, 255);
    s.multiple = std::min(s.multiple, kMostMultiple);
    s.block = std::clamp<u32>(s.block, 1, kMostMultiple);
    s.left = std::min<u32>(s.left, 65536);
    if (s.left > 0 && (s.lba >= sectors_ || s.left > sectors_ - s.lba)) s.lba = s.left = 0;
}

void IdeDisk::inspect(Inspector& inspector) const {
    IdeDrive::inspect(inspector);
    inspector.field("image", disk_.label());
    inspector.field("sectors", sectors_);
    inspector.field("sectors left", settings_.left);
}

}  // namespace shadowbox
