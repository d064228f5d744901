// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_pci.h"

#include <algorithm>

#include "core/log.h"

namespace shadowbox {

namespace {
// Windows in BAR 4.
constexpr u32 kCommon = 0x0000, kIsr = 0x1000, kDevice = 0x2000, kNotify = 0x3000, kWindowSize = 0x1000,
              kBarSize = 0x4000;
constexpr u32 kNotifyMultiplier = 4;
constexpr u8 kStatusFeaturesOk = 8, kStatusNeedsReset = 0x40;
constexpr u16 kNoVector = 0xFFFF;
constexpr unsigned kWindowBar = 4, kMsixBar = 1;
PciIdentity identity(u16 type, u32 class_code) {
    return {0x1AF4, static_cast<u16>(0x1040 + type), 1, class_code, 0x1AF4, static_cast<u16>(0x1100), 1};
}
}  // namespace

VirtioPci::VirtioPci(std::string name, u16 type, u32 class_code, u64 features, unsigned queues,
                     GuestMemory& memory, ApicMessageSink& sink)
    : PciDevice(std::move(name), identity(type, class_code)),
      memory_(memory),
      offered_(features | kVersion1 | kIndirectDescriptors),
      window_(*this) {
    for (unsigned i = 0; i < queues; ++i) queues_.emplace_back(memory);
    returning_.resize(queues);
    parked_.resize(queues);
    add_mmio_bar(kWindowBar, kBarSize, window_);
    msix_ = &add_msix(sink, queues + 1, kMsixBar);
    add_window_capability(1, kCommon, 0x38, 0);
    add_window_capability(3, kIsr, 1, 0);
    add_window_capability(4, kDevice, kWindowSize, 0);
    add_window_capability(2, kNotify, kWindowSize, kNotifyMultiplier);
}

void VirtioPci::add_window_capability(u8 type, u32 offset, u32 size, u32 notify_multiplier) {
    u8 length = type == 2 ? 20 : 16;
    u8 at = add_capability(pci::kCapVendor, length);
    init_config(static_cast<u8>(at + 2), 1, length);
    init_config(static_cast<u8>(at + 3), 1, type);
    init_config(static_cast<u8>(at + 4), 1, kWindowBar);
    init_config(static_cast<u8>(at + 8), 4, offset);
    init_config(static_cast<u8>(at + 12), 4, size);
    if (type == 2) init_config(static_cast<u8>(at + 16), 4, notify_multiplier);
}

void VirtioPci::reset() {
    PciDevice::reset();
    reset_device();
}

void VirtioPci::reset_device() {
    ++epoch_;
    u8 generation = state_.generation;
    state_ = {};
    state_.generation = generation;
    for (Virtqueue& q : queues_) q.reset();
    for (auto& waiting : returning_) waiting.clear();
    std::fill(parked_.begin(), parked_.end(), 0);
    set_intx(false);
    device_reset();
}

u64 VirtioPci::Window::mmio_read(u64 offset, unsigned size) {
    u64 value = 0;
    if (offset < kIsr) {
        for (unsigned i = 0; i < size; ++i) {
            value |= (device_.common_read(static_cast<u32>(offset) + i) & 0xFF) << (8 * i);
        }
        return value;
    }
    if (offset < kDevice) {
        u8 isr = device_.state_.isr;
        device_.state_.isr = 0;
        device_.set_intx(false);
        return isr;
    }
    if (offset >= kNotify) return 0;
    for (unsigned i = 0; i < size; ++i)
        value |= static_cast<u64>(device_.config_byte(static_cast<u32>(offset - kDevice) + i)) << (8 * i);
    return value;
}

void VirtioPci::Window::mmio_write(u64 offset, unsigned size, u64 value) {
    if (offset < kIsr) return device_.common_write(static_cast<u32>(offset), size, value);
    if (offset >= kNotify) {
        u64 index = (offset - kNotify) / kNotifyMultiplier;
        if (index >= device_.queues_.size() || !device_.ready() || !device_.bus_master()) return;
        device_.resume(static_cast<unsigned>(index));
        return;
    }
    if (offset < kDevice) return;
    for (unsigned i = 0; i < size; ++i)
        device_.config_byte_written(static_cast<u32>(offset - kDevice) + i,
                                    static_cast<u8>(value >> (8 * i)));
}

/// One byte of the common configuration structure (virtio 1.1, 4.1.4.3).
u64 VirtioPci::common_read(u32 offset) const {
    const Virtqueue* q = state_.queue_select < queues_.size() ? &queues_[state_.queue_select] : nullptr;
    auto byte = [offset](u64 value, u32 first) { return value >> (8 * (offset - first)) & 0xFF; };
    if (offset < 4) return byte(state_.device_feature_select, 0);
    if (offset < 8)
        return state_.device_feature_select < 2 ? byte(offered_ >> (32 * state_.device_feature_select), 4)
                                                : 0;
    if (offset < 12) return byte(state_.driver_feature_select, 8);
    if (offset < 16)
        return state_.driver_feature_select < 2
                   ? byte(state_.driver_features >> (32 * state_.driver_feature_select), 12)
                   : 0;
    if (offset < 18) return byte(state_.config_vector, 16);
    if (offset < 20) return byte(queues_.size(), 18);
    if (offset == 20) return state_.status || !under_way() ? state_.status : kStatusNeedsReset;
    if (offset == 21) return state_.generation;
    if (offset < 24) return byte(state_.queue_select, 22);
    if (offset < 26) return q ? byte(q->size, 24) : 0;
    if (offset < 28) return byte(q ? q->msix_vector : kNoVector, 26);
    if (offset < 30) return q ? byte(q->enabled, 28) : 0;
    if (offset < 32) return q ? byte(state_.queue_select, 30) : 0;
    if (offset < 40) return q ? byte(q->descriptors, 32) : 0;
    if (offset < 48) return q ? byte(q->driver_ring, 40) : 0;
    if (offset < 56) return q ? byte(q->device_ring, 48) : 0;
    return 0;
}

void VirtioPci::common_write(u32 offset, unsigned size, u64 value) {
    Virtqueue* q = state_.queue_select < queues_.size() ? &queues_[state_.queue_select] : nullptr;
    auto address = [&](u64& field, u32 first) {
        if (q->enabled) return;
        if (size == 8)
            field = value;
        else if (offset == first)
            field = (field & ~u64{0xFFFFFFFF}) | static_cast<u32>(value);
        else
            field = (field & 0xFFFFFFFF) | value << 32;
    };
    switch (offset) {
        case 0: state_.device_feature_select = static_cast<u32>(value); return;
        case 8: state_.driver_feature_select = static_cast<u32>(value); return;
        case 12: {
            if (state_.driver_feature_select > 1 || (state_.status & kStatusFeaturesOk)) return;
            unsigned shift = 32 * state_.driver_feature_select;
            state_.driver_features = (state_.driver_features & ~(u64{0xFFFFFFFF} << shift)) |
                                     static_cast<u64>(static_cast<u32>(value)) << shift;
            return;
        }
        case 16:
            state_.config_vector =
                static_cast<u16>(value) < msix_->vectors() ? static_cast<u16>(value) : kNoVector;
            return;
        case 20: set_status(static_cast<u8>(value)); return;
        case 22: state_.queue_select = static_cast<u16>(value); return;
        default: break;
    }
    if (!q) return;
    switch (offset) {
        case 24:
            if (!q->enabled && value && value <= Virtqueue::kMaxSize && !(value & (value - 1)))
                q->size = static_cast<u16>(value);
            return;
        case 26:
            q->msix_vector = static_cast<u16>(value) < msix_->vectors() ? static_cast<u16>(value) : kNoVector;
            return;
        case 28:
            if (value == 1) q->enabled = true;
            return;
        case 32:
        case 36: address(q->descriptors, 32); return;
        case 40:
        case 44: address(q->driver_ring, 40); return;
        case 48:
        case 52: address(q->device_ring, 48); return;
        default: return;
    }
}

void VirtioPci::set_status(u8 value) {
    if (value == 0) return reset_device();
    if ((value & kStatusFeaturesOk) && !(state_.status & kStatusFeaturesOk)) {
        bool acceptable = !(state_.driver_features & ~offered_) && (state_.driver_features & kVersion1);
        if (!acceptable) value = static_cast<u8>(value & ~kStatusFeaturesOk);
    }
    state_.status = static_cast<u8>(value | (state_.status & kStatusNeedsReset));
}

void VirtioPci::interrupt(u16 vector, u8 isr_bit) {
    if (msix_->enabled()) {
        if (vector != kNoVector) msix_->notify(vector);
        return;
    }
    state_.isr |= isr_bit;
    set_intx(true);
}

void VirtioPci::finish(unsigned index, const VirtqChain& chain, u32 written) {
    finish_filled(index, chain, [written] { return written; });
}

void VirtioPci::finish_filled(unsigned index, VirtqChain chain, std::function<u32()> fill) {
    returning_[index].push_back({std::move(chain), std::move(fill)});
    if (!parked_[index]) return_filled(index);
}

void VirtioPci::return_filled(unsigned index) {
    Virtqueue& q = queues_[index];
    while (!returning_[index].empty()) {
        const Returning& first = returning_[index].front();
        const u32 written = first.fill();
        if (q.stalled()) break;
        const bool wanted = q.push(first.chain, written);
        if (q.stalled()) break;
        returning_[index].pop_front();
        if (wanted) interrupt(q.msix_vector, 1);
    }
    settle(index);
}

/// The driver notified the queue, or a page that a request waited for came.
void VirtioPci::resume(unsigned index) {
    if (parked_[index]) return;
    return_filled(index);
    if (returning_[index].empty() && !parked_[index] && ready() && bus_master()) queue_notified(index);
}

/// After work on a queue: a broken ring is told to the driver, a stalled one goes on when its page comes.
void VirtioPci::settle(unsigned index) {
    check_broken(index);
    std::optional<MemoryAnswer> stall = queues_[index].take_stall();
    if (!stall || parked_[index] || !waits_) return;
    parked_[index] = 1;
    waits_->park(memory_, *stall, [this, index, epoch = epoch_] {
        if (epoch != epoch_) return;
        parked_[index] = 0;
        resume(index);
    });
}

bool VirtioPci::settled() const {
    bool waiting = false;
    for (std::size_t i = 0; i < queues_.size(); ++i) waiting |= parked_[i] || !returning_[i].empty();
    return !waiting;
}

std::optional<VirtqChain> VirtioPci::take(unsigned index) {
    auto chain = queues_[index].pop();
    settle(index);
    return chain;
}

void VirtioPci::config_changed() {
    ++state_.generation;
    if (state_.status & 4) interrupt(state_.config_vector, 2);
}

void VirtioPci::check_broken(unsigned index) {
    if (!queues_[index].broken() || (state_.status & kStatusNeedsReset)) return;
    state_.status |= kStatusNeedsReset;
    config_changed();
}

void VirtioPci::serialize(Archive& archive) {
    PciDevice::serialize(archive);
    archive.section("virtio", 1);
    archive(state_.device_feature_select, state_.driver_feature_select, state_.driver_features,
            state_.config_vector, state_.queue_select, state_.status, state_.generation, state_.isr);
    for (Virtqueue& q : queues_) q.serialize(archive);
}

void VirtioPci::inspect(Inspector& inspector) const {
    PciDevice::inspect(inspector);
    inspector.hex("status", state_.status);
    inspector.hex("offered features", offered_);
    inspector.hex("driver features", state_.driver_features);
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        auto group = inspector.group(fmt::format("queue {}", i));
        group.field("enabled", queues_[i].enabled);
        group.field("size", queues_[i].size);
        group.hex("descriptors", queues_[i].descriptors);
    }
}

}  // namespace shadowbox
