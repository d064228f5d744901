// SPDX-License-Identifier: MIT
// Task file, PIO and DMA of any IDE drive.
#include "devices/storage/ide_drive.h"

#include <algorithm>

#include "mmu/guest_access.h"

namespace shadowbox {

using namespace ata;

namespace {
constexpr u64 kLargestBuffer = 1 << 20;  // more than any chunk of ide_disk and atapi_cdrom
}

IdeDrive::~IdeDrive() = default;

// --- task file ---

u8 IdeDrive::read_register(u16 offset, bool high_order) const {
    const Registers& r = state_;
    switch (offset) {
        case kErrorFeatures: return high_order ? r.old_features : r.error;
        case kCount: return high_order ? r.old_count : r.count;
        case kLbaLow:
        case kLbaMid:
        case kLbaHigh: return high_order ? r.old_lba[offset - kLbaLow] : r.lba[offset - kLbaLow];
        case kDevice: return r.device | kDeviceObsolete;
        default: return r.status;
    }
}

void IdeDrive::write_register(u16 offset, u8 value) {
    Registers& r = state_;
    if (r.status & kBusy) return;
    switch (offset) {
        case kErrorFeatures: r.old_features = r.features, r.features = value; break;
        case kCount: r.old_count = r.count, r.count = value; break;
        case kLbaLow:
        case kLbaMid:
        case kLbaHigh:
            r.old_lba[offset - kLbaLow] = r.lba[offset - kLbaLow];
            r.lba[offset - kLbaLow] = value;
            break;
        case kDevice: r.device = value; break;
        default: break;
    }
}

void IdeDrive::command(u8 code) {
    if (state_.phase == Phase::kInReset) return;
    if ((state_.status & kBusy) && !interrupts_anything(code)) return;
    acknowledge();
    abandon();
    state_.error = 0;
    execute(code);
}

void IdeDrive::raise() {
    state_.interrupt = true;
    if (host_) host_->interrupt_changed();
}

void IdeDrive::acknowledge() {
    state_.interrupt = false;
    if (host_) host_->interrupt_changed();
}

void IdeDrive::set_idle(u8 status, u8 error) {
    state_.phase = Phase::kIdle;
    state_.error = error;
    state_.status = status;
}

void IdeDrive::complete(u8 error) {
    set_idle(kReady | kSeekDone | (error ? kErrorBit : 0), error);
    raise();
}

void IdeDrive::abandon() {
    ++generation_;
    if (buffer_.use_count() > 1) buffer_ = std::make_shared<std::vector<u8>>();
    state_.phase = Phase::kIdle;
    state_.position = state_.block_end = 0;
}

// --- PIO ---

void IdeDrive::data_in(u32 from, u32 to, bool with_interrupt) {
    state_.phase = Phase::kDataIn;
    state_.position = from;
    state_.block_end = to;
    state_.status = kReady | kSeekDone | kDataRequest;
    if (with_interrupt) raise();
}

void IdeDrive::data_out(u32 from, u32 to, bool with_interrupt) {
    data_in(from, to, with_interrupt);
    state_.phase = Phase::kDataOut;
}

u32 IdeDrive::read_data(unsigned size) {
    Registers& r = state_;
    if (r.phase != Phase::kDataIn) return ~u32{0};
    u32 value = 0;
    for (unsigned i = 0; i < size && r.position < r.block_end; ++i)
        value |= u32{(*buffer_)[r.position++]} << (i * 8);
    if (r.position == r.block_end) data_in_done();
    return value;
}

void IdeDrive::write_data(unsigned size, u32 value) {
    Registers& r = state_;
    if (r.phase != Phase::kDataOut) return;
    for (unsigned i = 0; i < size && r.position < r.block_end; ++i)
        (*buffer_)[r.position++] = static_cast<u8>(value >> (i * 8));
    if (r.position == r.block_end) data_out_done();
}

/// The element that ends a block interrupts or starts the next request, so it is moved alone, at its own
/// time.
u32 IdeDrive::elements_before_end(unsigned size, std::size_t bytes) const {
    u32 room = state_.block_end - state_.position;
    return room ? static_cast<u32>(std::min<std::size_t>((room - 1) / size, bytes / size)) : 0;
}

u32 IdeDrive::read_run(unsigned size, std::span<u8> to) {
    if (state_.phase != Phase::kDataIn) return 0;
    u32 elements = elements_before_end(size, to.size());
    guest_copy_in(to.data(), buffer_->data() + state_.position, std::size_t{elements} * size);
    state_.position += elements * size;
    return elements;
}

u32 IdeDrive::write_run(unsigned size, std::span<const u8> from) {
    if (state_.phase != Phase::kDataOut) return 0;
    u32 elements = elements_before_end(size, from.size());
    guest_copy_out(buffer_->data() + state_.position, from.data(), std::size_t{elements} * size);
    state_.position += elements * size;
    return elements;
}

// --- DMA and block requests ---

void IdeDrive::wait_for_dma() {
    state_.phase = Phase::kDmaWait;
    state_.status = kReady | kBusy;
    IdeBusMaster* master = host_ ? host_->bus_master() : nullptr;
    if (master && master->running()) run_dma();
}

void IdeDrive::dma_started() {
    if (state_.phase == Phase::kDmaWait) run_dma();
}

std::shared_ptr<DmaPages> IdeDrive::gather(u64 bytes, bool to_memory) {
    IdeBusMaster* master = host_ ? host_->bus_master() : nullptr;
    if (!master) return nullptr;  // still waiting
    auto pages = std::make_shared<DmaPages>();
    switch (master->gather(bytes, to_memory, *pages)) {
        case IdeBusMaster::Gathered::kAll: return pages;
        case IdeBusMaster::Gathered::kShort:
            master->stalled();  // no interrupt: the driver's timeout resets the drive (BM IDE 1.0, 3.1)
            return nullptr;
        case IdeBusMaster::Gathered::kWaits: return nullptr;  // and starts this again
    }
    return nullptr;
}

void IdeDrive::dma_finished(u8 error) {
    if (IdeBusMaster* master = host_ ? host_->bus_master() : nullptr) master->finished();
    complete(error);
}

void IdeDrive::begin_backend() {
    state_.phase = Phase::kBackend;
    state_.status = kReady | kBusy;
}

// --- resets ---

void IdeDrive::begin_reset() {
    abandon();
    state_.phase = Phase::kInReset;
    state_.status = kBusy;
    acknowledge();
}

void IdeDrive::end_reset() {
    abandon();
    reset_settings(false);
    state_.device = 0;
    state_.features = 0;
    write_signature();
    set_idle(status_after_reset(), 0x01);  // diagnostic code: passed
    acknowledge();
}

void IdeDrive::power_on() {
    state_ = Registers{};
    reset_settings(true);
    end_reset();
}

void IdeDrive::serialize(Archive& archive) {
    archive.section(label_, 1);
    Registers& r = state_;
    archive(r.error, r.features, r.count, r.lba, r.device, r.status, r.old_features, r.old_count, r.old_lba,
            r.interrupt, r.phase, r.position, r.block_end);
    archive(*buffer_);
    serialize_settings(archive);
    if (!archive.loading()) return;
    ++generation_;
    if (buffer_->size() > kLargestBuffer) buffer_->resize(kLargestBuffer);
    r.block_end = std::min(r.block_end, static_cast<u32>(buffer_->size()));
    r.position = std::min(r.position, r.block_end);
    bool moves_data = r.phase == Phase::kDataIn || r.phase == Phase::kDataOut;
    bool stuck = moves_data && r.position == r.block_end;
    if (r.phase == Phase::kBackend || r.phase > Phase::kInReset || stuck)
        set_idle(kReady | kErrorBit, kAborted);
}

void IdeDrive::inspect(Inspector& inspector) const {
    const Registers& r = state_;
    inspector.hex("status", r.status);
    inspector.hex("error", r.error);
    inspector.hex("device", r.device);
    inspector.field("interrupt", r.interrupt);
    if (r.block_end) inspector.field("data", fmt::format("{} of {} bytes", r.position, r.block_end));
}

}  // namespace shadowbox
