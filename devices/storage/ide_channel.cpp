// SPDX-License-Identifier: MIT
// Ports of an IDE channel.
#include "devices/storage/ide_channel.h"

namespace shadowbox {

using namespace ata;

IdeChannel::IdeChannel(GuestMemory& memory, IrqLine irq, std::function<bool()> may_master)
    : irq_(std::move(irq)),
      may_master_(std::move(may_master)),
      master_(memory),
      command_ports_(*this),
      control_port_(
          [this](u16, unsigned) { return selected() ? u32{selected()->status()} : 0u; },  // INTRQ stays
          [this](u16, unsigned, u32 value) { write_control(static_cast<u8>(value)); }) {
    master_.on_start([this] {
        if (selected() && may_master_()) selected()->dma_started();
    });
}

void IdeChannel::attach(unsigned unit, std::unique_ptr<IdeDrive> drive) {
    drives_[unit & 1] = std::move(drive);
    if (drives_[unit & 1]) drives_[unit & 1]->connect(*this);
}

IdeBusMaster* IdeChannel::bus_master() { return may_master_() ? &master_ : nullptr; }

void IdeChannel::interrupt_changed() {
    bool level = selected() && selected()->interrupt() && !(state_.control & kControlNoInterrupt);
    if (level && !irq_.level()) master_.interrupt();
    irq_.set(level);
}

// --- command block ---

u32 IdeChannel::read(u16 offset, unsigned size) {
    if (offset == kData) return selected() ? selected()->read_data(size) : ~u32{0};
    u32 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u32{read_register(static_cast<u16>(offset + i))} << (i * 8);
    return value;
}

u32 IdeChannel::CommandPorts::port_read_run(u16 offset, unsigned size, std::span<u8> to) {
    return offset == kData && channel_.selected() ? channel_.selected()->read_run(size, to) : 0;
}

u32 IdeChannel::CommandPorts::port_write_run(u16 offset, unsigned size, std::span<const u8> from) {
    return offset == kData && channel_.selected() ? channel_.selected()->write_run(size, from) : 0;
}

u8 IdeChannel::read_register(u16 offset) {
    IdeDrive* drive = selected();
    // Zeros from an absent drive: no BSY, no DRDY, so nobody waits for it.
    if (!drive) return 0;
    if (offset == kStatusCommand) drive->acknowledge();
    return drive->read_register(offset, state_.control & kControlHighOrder);
}

void IdeChannel::write(u16 offset, unsigned size, u32 value) {
    if (offset == kData) {
        if (selected()) selected()->write_data(size, value);
        return;
    }
    for (unsigned i = 0; i < size; ++i)
        write_register(static_cast<u16>(offset + i), static_cast<u8>(value >> (i * 8)));
}

void IdeChannel::write_register(u16 offset, u8 value) {
    state_.control &= static_cast<u8>(~kControlHighOrder);
    if (offset == kStatusCommand) return run_command(value);
    if (offset == kDevice) state_.selected = value & kDeviceSelect ? 1 : 0;
    for (auto& drive : drives_)
        if (drive) drive->write_register(offset, value);
    if (offset == kDevice) interrupt_changed();
}

void IdeChannel::run_command(u8 code) {
    if (code != kDiagnostic) {
        if (selected()) selected()->command(code);
        return;
    }
    // Both drives execute it, whichever is selected, absent or not; drive 0 answers for both
    // (ATA/ATAPI-7 6.13).
    for (auto& drive : drives_)
        if (drive && (drive->status() & kBusy)) return;
    for (auto& drive : drives_)
        if (drive) drive->begin_reset(), drive->end_reset();
    state_.selected = 0;
    if (drives_[0]) drives_[0]->finish_diagnostic();
}

void IdeChannel::write_control(u8 value) {
    bool was_reset = state_.control & kControlReset, is_reset = value & kControlReset;
    state_.control = value & (kControlHighOrder | kControlReset | kControlNoInterrupt);
    for (auto& drive : drives_) {
        if (!drive) continue;
        if (is_reset && !was_reset) drive->begin_reset();
        if (!is_reset && was_reset) drive->end_reset();
    }
    if (!is_reset && was_reset) state_.selected = 0;
    interrupt_changed();
}

// --- state ---

void IdeChannel::reset() {
    state_ = State{};
    master_.reset();
    for (auto& drive : drives_)
        if (drive) drive->power_on();
    irq_.lower();
}

void IdeChannel::serialize(Archive& archive) {
    archive(state_.selected, state_.control, irq_);
    state_.selected &= 1;
    master_.serialize(archive);
    for (auto& drive : drives_)
        if (drive) drive->serialize(archive);
}

void IdeChannel::inspect(Inspector& inspector) const {
    inspector.field("selected", state_.selected);
    inspector.hex("device control", state_.control);
    master_.inspect(inspector);
    for (auto& drive : drives_) {
        if (!drive) continue;
        Inspector group = inspector.group(drive->label());
        drive->inspect(group);
    }
}

}  // namespace shadowbox
