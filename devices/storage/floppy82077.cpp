// SPDX-License-Identifier: MIT
// 82077AA: registers, phases and the commands without data.
#include "devices/storage/floppy82077.h"

#include <algorithm>

#include "devices/storage/floppy82077_bits.h"

namespace shadowbox {

using namespace floppy82077;

/// Opcode bits, bytes of the command phase, handler (82077AA DS table 5-1).
struct Floppy82077::Row {
    u8 mask, opcode;
    u8 bytes;
    void (Floppy82077::*run)();
};

const Floppy82077::Row Floppy82077::kCommands[] = {
    {0x1F, kReadData, 9, &Floppy82077::transfer},
    {0x1F, kReadDeleted, 9, &Floppy82077::transfer},
    {0x3F, kWriteData, 9, &Floppy82077::transfer},
    {0x3F, kWriteDeleted, 9, &Floppy82077::transfer},
    {0x9F, kReadTrack, 9, &Floppy82077::transfer},
    {0x1F, kVerify, 9, &Floppy82077::transfer},
    {0xBF, kFormat, 6, &Floppy82077::format_track},
    {0xBF, kReadId, 2, &Floppy82077::read_id},
    {0xFF, kSpecify, 3, &Floppy82077::specify},
    {0xFF, kSenseDrive, 2, &Floppy82077::sense_drive},
    {0xFF, kRecalibrate, 2, &Floppy82077::recalibrate},
    {0xFF, kSenseInterrupt, 1, &Floppy82077::sense_interrupt},
    {0xBF, kRelativeSeek, 3, &Floppy82077::seek},
    {0xFF, kSeek, 3, &Floppy82077::seek},
    {0xFF, kVersion, 1, &Floppy82077::version},
    {0xFF, kDumpRegisters, 1, &Floppy82077::dump_registers},
    {0xFF, kPerpendicular, 2, &Floppy82077::perpendicular},
    {0xFF, kConfigure, 4, &Floppy82077::configure},
    {0x7F, kLock, 1, &Floppy82077::lock},
};

const Floppy82077::Row* Floppy82077::find_command(u8 byte) {
    for (const Row& row : kCommands)
        if ((byte & row.mask) == row.opcode) return &row;
    return nullptr;
}

Floppy82077::Floppy82077(Dma8237& dma, IrqLine irq6)
    : dma_(dma),
      irq_(std::move(irq6)),
      ports_([this](u16 offset, unsigned) { return u32{read(offset)}; },
             [this](u16 offset, unsigned, u32 value) { write(offset, static_cast<u8>(value)); }),
      direction_port_([this](u16, unsigned) { return u32{read(7)}; },
                      [this](u16, unsigned, u32 value) { write(7, static_cast<u8>(value)); }) {
    reset();
    dma_.on_ready(kDmaChannel, [this] { dma_ready(); });
}

Floppy82077::~Floppy82077() { dma_.on_ready(kDmaChannel, nullptr); }

void Floppy82077::reset() {
    abandon_transfer();
    state_ = State{};
    state_.rate = 2;  // 250 Kbit/s after a hardware reset (82077AA DS 2.2.5)
    irq_.lower();
}

/// DOR or DSR reset: keeps DOR, and SPECIFY's and (locked) CONFIGURE's parameters.
void Floppy82077::controller_reset() {
    abandon_transfer();
    state_.phase = Phase::kCommand;
    state_.command_size = state_.result_size = state_.result_position = 0;
    state_.perpendicular &= 0x3C;
    if (!state_.locked) {
        state_.configure[1] = 0;
        state_.configure[2] = 0;
    }
    // Polling finds all four drives changed their ready state: four SENSE INTERRUPTs (82077AA DS 5.2.4).
    for (unsigned i = 0; i < 4; ++i) state_.seek_status[i] = static_cast<u8>(kPollingChanged | i);
    raise_irq();
}

void Floppy82077::abandon_transfer() {
    ++generation_;
    buffer_ = std::make_shared<std::vector<u8>>();
    state_.formatting = state_.verifying = false;
}

void Floppy82077::raise_irq() {
    state_.irq_pending = true;
    update_irq();
}

void Floppy82077::update_irq() { irq_.set(state_.irq_pending && (state_.dor & kDorIrqDma)); }

u8 Floppy82077::main_status() const {
    if (!(state_.dor & kDorNotReset)) return 0;
    switch (state_.phase) {
        case Phase::kCommand: return static_cast<u8>(kMsrReady | (state_.command_size ? kMsrBusy : 0));
        case Phase::kDisk:
        case Phase::kWaitDma: return kMsrBusy;
        case Phase::kPioRead: return kMsrReady | kMsrToHost | kMsrNonDma | kMsrBusy;
        case Phase::kPioWrite: return kMsrReady | kMsrNonDma | kMsrBusy;
        case Phase::kResult: return kMsrReady | kMsrToHost | kMsrBusy;
    }
    return 0;
}

u8 Floppy82077::read(u16 offset) {
    switch (offset) {
        case 0: return static_cast<u8>(state_.irq_pending ? 0x80 : 0);  // status A: interrupt pending
        case 1: return static_cast<u8>(0xC0 | (state_.dor & 1) << 5 | (state_.dor >> 4 & 3));
        case 2: return state_.dor;
        case 3: return state_.tdr;
        case 4: return main_status();
        case 5: return read_fifo();
        case 7: {
            unsigned drive = state_.dor & 3;
            bool motor = state_.dor >> (4 + drive) & 1;
            return drive < 2 && motor && drives_[drive].changed() ? kDirChanged : 0;
        }
        default: return 0xFF;
    }
}

void Floppy82077::write(u16 offset, u8 value) {
    switch (offset) {
        case 2: return write_digital_output(value);
        case 3: state_.tdr = value & 3; return;
        case 4:
            state_.rate = value & 3;
            if (value & kDsrReset) controller_reset();
            return;
        case 5: return write_fifo(value);
        case 7: state_.rate = value & 3; return;
    }
}

void Floppy82077::write_digital_output(u8 value) {
    u8 old = state_.dor;
    state_.dor = value;
    if ((old & kDorNotReset) && !(value & kDorNotReset)) {
        abandon_transfer();
        state_.phase = Phase::kCommand;
        state_.command_size = 0;
        state_.irq_pending = false;
    }
    if (!(old & kDorNotReset) && (value & kDorNotReset)) controller_reset();
    update_irq();
}

u8 Floppy82077::read_fifo() {
    State& s = state_;
    if (s.phase == Phase::kPioRead) {
        u8 byte = s.position < buffer_->size() ? (*buffer_)[s.position] : 0;
        if (++s.position >= s.transfer_bytes) data_moved(s.transfer_bytes, false);
        return byte;
    }
    if (s.phase != Phase::kResult) return 0;
    s.irq_pending = false;  // the first result byte acknowledges the interrupt
    update_irq();
    u8 byte = s.results[s.result_position & 15];
    if (++s.result_position >= s.result_size) {
        s.phase = Phase::kCommand;
        s.command_size = 0;
    }
    return byte;
}

void Floppy82077::write_fifo(u8 value) {
    State& s = state_;
    if (!(s.dor & kDorNotReset)) return;
    if (s.phase == Phase::kPioWrite) {
        if (s.position < buffer_->size()) (*buffer_)[s.position] = value;
        if (++s.position >= s.transfer_bytes) write_disk(s.transfer_bytes);
        return;
    }
    if (s.phase != Phase::kCommand) return;
    s.command[s.command_size++ & 15] = value;
    const Row* row = find_command(s.command[0]);
    if (!row) return result({kInvalidCommand});
    if (s.command_size < row->bytes) return;
    s.command_size = 0;
    (this->*row->run)();
}

void Floppy82077::result(std::initializer_list<u8> bytes) {
    std::copy(bytes.begin(), bytes.end(), state_.results.begin());
    state_.result_size = static_cast<u8>(bytes.size());
    state_.result_position = 0;
    state_.phase = Phase::kResult;
}

void Floppy82077::specify() {
    state_.specify[0] = state_.command[1];
    state_.specify[1] = state_.command[2];
}

void Floppy82077::sense_drive() {
    u8 status3 = kStatus3TwoSides | (state_.command[1] & 7);
    if (drive_exists()) {
        if (selected().cylinder() == 0) status3 |= kStatus3Track0;
        if (selected().write_protected()) status3 |= kStatus3WriteProtected;
    }
    result({status3});
}

void Floppy82077::finish_seek(unsigned cylinder) {
    u8 unit = state_.command[1] & 3;
    u8 status0 = static_cast<u8>(kSeekEnd | (state_.command[1] & 7));
    if (drive_exists())
        selected().step_to(cylinder);
    else
        status0 |= kAbnormal | kEquipmentCheck;  // no drive answers with its track 0 signal
    state_.seek_status[unit] = status0;
    raise_irq();
}

void Floppy82077::recalibrate() {
    state_.command[1] &= 3;
    finish_seek(0);
}

void Floppy82077::seek() {
    int target = state_.command[2];
    if (state_.command[0] & 0x80) {  // relative: bit 6 says inward
        int step = state_.command[0] & 0x40 ? target : -target;
        target = drive_exists() ? std::max(0, static_cast<int>(selected().cylinder()) + step) : 0;
    }
    finish_seek(static_cast<unsigned>(target));
}

void Floppy82077::sense_interrupt() {
    state_.irq_pending = false;
    update_irq();
    for (unsigned i = 0; i < 4; ++i) {
        u8 status0 = std::exchange(state_.seek_status[i], u8{0});
        if (status0) return result({status0, i < 2 ? static_cast<u8>(drives_[i].cylinder()) : u8{0}});
    }
    result({kInvalidCommand});  // nothing to sense
}

void Floppy82077::version() { result({kVersionEnhanced}); }

void Floppy82077::dump_registers() {
    auto cylinder = [this](unsigned i) { return static_cast<u8>(drives_[i].cylinder()); };
    const State& s = state_;
    result({cylinder(0), cylinder(1), 0, 0, s.specify[0], s.specify[1], s.command[6],
            static_cast<u8>(s.locked << 7 | (s.perpendicular & 0x7F)), s.configure[1], s.configure[2]});
}

void Floppy82077::perpendicular() {
    // Bit 7 (OW) allows the drive bits to change.
    u8 value = state_.command[1];
    state_.perpendicular =
        static_cast<u8>((value & 0x80 ? value & 0x3C : state_.perpendicular & 0x3C) | (value & 3));
}

void Floppy82077::configure() { std::copy_n(state_.command.begin() + 1, 3, state_.configure); }

void Floppy82077::lock() {
    state_.locked = state_.command[0] & 0x80;
    result({static_cast<u8>(state_.locked << 4)});
}

void Floppy82077::serialize(Archive& archive) {
    const u32 version = archive.section(name(), 2);
    State& s = state_;
    archive(s.dor, s.tdr, s.rate, s.phase, s.command, s.results, s.command_size, s.result_size,
            s.result_position, s.seek_status, s.irq_pending, s.specify, s.configure, s.perpendicular,
            s.locked, s.position, s.transfer_bytes, s.to_disk, s.formatting, s.verifying, s.terminal_count,
            *buffer_, irq_);
    for (FloppyDrive& drive : drives_) drive.serialize(archive);
    if (version >= 2) archive(s.filled);
    if (!archive.loading()) return;
    ++generation_;
    s.transfer_bytes = std::min<u32>(s.transfer_bytes, static_cast<u32>(buffer_->size()));
}

void Floppy82077::inspect(Inspector& inspector) const {
    static constexpr const char* kNames[] = {"command",  "disk",      "waiting for DMA",
                                             "PIO read", "PIO write", "result"};
    inspector.text("phase", kNames[std::min<unsigned>(static_cast<unsigned>(state_.phase), 5)]);
    inspector.hex("DOR", state_.dor);
    inspector.hex("MSR", main_status());
    inspector.hex("last command", state_.command[0]);
    for (unsigned i = 0; i < 2; ++i) {
        Inspector group = inspector.group(fmt::format("drive {}", i));
        group.text("disk", drives_[i].disk() ? drives_[i].disk()->label() : "none");
        group.field("cylinder", drives_[i].cylinder());
        group.field("changed", drives_[i].changed());
    }
}

}  // namespace shadowbox
