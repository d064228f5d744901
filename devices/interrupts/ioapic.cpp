// SPDX-License-Identifier: MIT
// 82093AA: redirection table, remote IRR, EOI broadcast.
#include "devices/interrupts/ioapic.h"

namespace shadowbox {

namespace {
constexpr u64 kSelect = 0x00, kWindow = 0x10, kEoi = 0x40;
constexpr u32 kVersion = 0x20;

// Redirection entry, 82093AA DS 3.2.4.
constexpr u64 kVectorMask = 0xFF, kLogical = 1u << 11, kRemoteIrr = 1u << 14, kLevel = 1u << 15,
              kMasked = 1u << 16;
constexpr u64 kWritable = 0xFF00'0000'0001'AFFFull;  // delivery status (12) and remote IRR (14) are read-only

ApicDelivery delivery_of(u64 entry) { return static_cast<ApicDelivery>((entry >> 8) & 7); }

/// Only fixed and lowest-priority interrupts have level semantics; NMI, SMI, INIT and ExtINT act on the edge.
bool is_level(u64 entry) {
    ApicDelivery delivery = delivery_of(entry);
    return (entry & kLevel) &&
           (delivery == ApicDelivery::kFixed || delivery == ApicDelivery::kLowestPriority);
}
}  // namespace

IoApic::IoApic(ApicMessageSink& sink) : sink_(sink) { reset(); }

void IoApic::reset() {
    std::lock_guard lock(mutex_);
    state_.entries.fill(kMasked);
    state_.select = state_.id = 0;
}

void IoApic::send(unsigned pin, Outbox& outbox) {
    u64 entry = state_.entries[pin];
    ApicMessage message;
    message.destination = static_cast<u32>(entry >> 56);
    message.logical = entry & kLogical;
    message.delivery = delivery_of(entry);
    message.vector = entry & kVectorMask;
    message.level_triggered = is_level(entry);
    outbox.messages[outbox.count++] = message;
}

void IoApic::service_level_pin(unsigned pin, Outbox& outbox) {
    u64& entry = state_.entries[pin];
    if (!is_level(entry) || (entry & (kMasked | kRemoteIrr)) || !(state_.inputs & (1u << pin))) return;
    entry |= kRemoteIrr;
    send(pin, outbox);
}

void IoApic::set_pin(unsigned pin, bool asserted) {
    if (pin >= kPins) return;
    Outbox outbox;
    {
        std::lock_guard lock(mutex_);
        bool was = state_.inputs & (1u << pin);
        if (was == asserted) return;
        state_.inputs ^= 1u << pin;
        if (!asserted) return;
        if (is_level(state_.entries[pin])) {
            service_level_pin(pin, outbox);
        } else if (!(state_.entries[pin] & kMasked)) {
            send(pin, outbox);  // an edge on a masked pin is lost (82093AA DS 3.2.4, interrupt mask)
        }
    }
    deliver(outbox);
}

void IoApic::end_vector(u8 vector, Outbox& outbox) {
    for (unsigned pin = 0; pin < kPins; ++pin) {
        u64& entry = state_.entries[pin];
        if ((entry & kVectorMask) != vector || !(entry & kRemoteIrr)) continue;
        entry &= ~kRemoteIrr;
        service_level_pin(pin, outbox);  // the line may still be asserted
    }
}

void IoApic::end_of_interrupt(u8 vector) {
    Outbox outbox;
    {
        std::lock_guard lock(mutex_);
        end_vector(vector, outbox);
    }
    deliver(outbox);
}

void IoApic::deliver(const Outbox& outbox) {
    for (unsigned i = 0; i < outbox.count; ++i) sink_.deliver(outbox.messages[i]);
}

u32 IoApic::read_register(u8 index) const {
    if (index == 0 || index == 2) return u32{state_.id} << 24;  // ID and arbitration ID
    if (index == 1) return kVersion | (kPins - 1) << 16;
    unsigned pin = (index - 0x10u) / 2;
    if (index < 0x10 || pin >= kPins) return 0;
    return static_cast<u32>(state_.entries[pin] >> (index & 1 ? 32 : 0));
}

void IoApic::write_register(u8 index, u32 value, Outbox& outbox) {
    if (index == 0) {
        state_.id = (value >> 24) & 0x0F;
        return;
    }
    unsigned pin = (index - 0x10u) / 2;
    if (index < 0x10 || pin >= kPins) return;
    u64& entry = state_.entries[pin];
    unsigned shift = index & 1 ? 32 : 0;
    u64 writable = kWritable & (u64{0xFFFF'FFFF} << shift);
    entry = (entry & ~writable) | ((u64{value} << shift) & writable);
    // Linux without a usable EOI register clears remote IRR by switching the pin to edge and back.
    if (!(entry & kLevel)) entry &= ~kRemoteIrr;
    service_level_pin(pin, outbox);
}

u64 IoApic::mmio_read(u64 offset, unsigned size) {
    std::lock_guard lock(mutex_);
    if (offset == kSelect) return state_.select;
    if (offset == kWindow) return read_register(state_.select);
    return 0;
}

void IoApic::mmio_write(u64 offset, unsigned size, u64 value) {
    Outbox outbox;
    {
        std::lock_guard lock(mutex_);
        if (offset == kSelect) state_.select = static_cast<u8>(value);
        if (offset == kWindow) write_register(state_.select, static_cast<u32>(value), outbox);
        if (offset == kEoi) end_vector(static_cast<u8>(value), outbox);
    }
    deliver(outbox);
}

void IoApic::serialize(Archive& archive) {
    archive.section(name(), 1);
    std::lock_guard lock(mutex_);
    archive(state_.entries, state_.inputs, state_.select, state_.id);
}

void IoApic::inspect(Inspector& inspector) const {
    std::lock_guard lock(mutex_);
    inspector.field("id", state_.id);
    inspector.hex("inputs", state_.inputs);
    for (unsigned pin = 0; pin < kPins; ++pin) {
        u64 entry = state_.entries[pin];
        inspector.text(
            fmt::format("pin {}", pin),
            fmt::format("0x{:016x} vector {:02x} {} {}{}{}", entry, entry & kVectorMask,
                        entry & kLevel ? "level" : "edge", entry & kLogical ? "logical" : "physical",
                        entry & kMasked ? " masked" : "", entry & kRemoteIrr ? " remote-irr" : ""));
    }
}

}  // namespace shadowbox
