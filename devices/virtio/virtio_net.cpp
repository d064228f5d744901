// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_net.h"

#include "core/log.h"

namespace shadowbox {

namespace {
constexpr u64 kMac = 1 << 5, kStatus = 1 << 16;
constexpr unsigned kReceiveQueue = 0, kTransmitQueue = 1;
constexpr u64 kHeader = 12, kLargestFrame = 65550;
constexpr std::size_t kMaxWaiting = 256;
}  // namespace

VirtioNet::VirtioNet(NetBackend* backend, const Mac& mac, GuestMemory& memory, ApicMessageSink& sink)
    : VirtioPci("virtio-net", 1, 0x020000, kMac | kStatus, 2, memory, sink), backend_(backend), mac_(mac) {
    if (!backend_) return;
    backend_->set_receiver([this](std::span<const u8> frame) {
        if (!ready()) return;
        if (waiting_.size() >= kMaxWaiting) {
            ++dropped_;
            return;
        }
        waiting_.emplace_back(frame.begin(), frame.end());
        deliver();
    });
}

u8 VirtioNet::config_byte(u32 offset) const {
    if (offset < 6) return mac_[offset];
    return offset == 6 && backend_ ? 1 : 0;  // link up
}

void VirtioNet::queue_notified(unsigned index) { index == kTransmitQueue ? transmit() : deliver(); }

void VirtioNet::transmit() {
    for_each_request(kTransmitQueue, [this](const VirtqChain& chain) {
        u64 bytes = chain.readable_bytes();
        std::vector<u8> frame(bytes > kHeader && bytes <= kLargestFrame ? bytes - kHeader : 0);
        if (frame.empty())
            guest_oddity("virtio-net-frame",
                         fmt::format("the driver sends a frame of {} bytes; dropped", bytes));
        const bool whole = queue(kTransmitQueue).read(chain, kHeader, frame) == frame.size();
        if (queue(kTransmitQueue).stalled()) return;
        if (!frame.empty() && whole && backend_) {
            backend_->send(frame);
            ++sent_;
        } else {
            ++dropped_;
        }
        finish(kTransmitQueue, chain, 0);
    });
}

void VirtioNet::deliver() {
    while (!waiting_.empty() && ready() && bus_master() && !returning(kReceiveQueue)) {
        auto chain = take(kReceiveQueue);
        if (!chain) return;
        std::vector<u8> packet(kHeader);
        packet[10] = 1;  // num_buffers
        packet.insert(packet.end(), waiting_.front().begin(), waiting_.front().end());
        waiting_.pop_front();
        if (packet.size() > chain->writable_bytes()) {
            ++dropped_;
            finish(kReceiveQueue, *chain, 0);
            continue;
        }
        ++received_;
        finish_filled(kReceiveQueue, *chain, [this, chain = *chain, packet = std::move(packet)] {
            return static_cast<u32>(queue(kReceiveQueue).write(chain, 0, packet));
        });
    }
}

void VirtioNet::serialize(Archive& archive) {
    VirtioPci::serialize(archive);
    archive.section("virtio-net", 1);
    std::vector<std::vector<u8>> waiting(waiting_.begin(), waiting_.end());
    archive(mac_, waiting);
    if (!archive.loading()) return;
    if (waiting.size() > kMaxWaiting) waiting.resize(kMaxWaiting);
    waiting_.assign(waiting.begin(), waiting.end());
}

void VirtioNet::inspect(Inspector& inspector) const {
    VirtioPci::inspect(inspector);
    inspector.field("MAC", fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac_[0], mac_[1], mac_[2],
                                       mac_[3], mac_[4], mac_[5]));
    inspector.field("sent", sent_);
    inspector.field("received", received_);
    inspector.field("dropped", dropped_);
}

}  // namespace shadowbox
