// SPDX-License-Identifier: MIT
#include "devices/virtio/virtio_console.h"

#include <algorithm>

namespace shadowbox {

namespace {
constexpr unsigned kReceiveQueue = 0, kTransmitQueue = 1;
constexpr unsigned kInputLimit = 4096;
constexpr u64 kOutputLimit = 1 << 20;  // of one request; a driver sends a page at most
}  // namespace

VirtioConsole::VirtioConsole(std::string name, CharBackend* backend, GuestMemory& memory,
                             ApicMessageSink& sink)
    : VirtioPci(std::move(name), 3, 0x078000, 0, 2, memory, sink), backend_(backend) {
    if (backend_) backend_->set_receiver(this);
}
VirtioConsole::~VirtioConsole() {
    if (backend_) backend_->set_receiver(nullptr);
}

unsigned VirtioConsole::can_receive() const {
    return ready() ? kInputLimit - static_cast<unsigned>(input_.size()) : 0;
}
void VirtioConsole::receive(std::span<const u8> bytes) {
    bytes = bytes.first(std::min<std::size_t>(bytes.size(), kInputLimit - input_.size()));  // more is overrun
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    deliver();
}

void VirtioConsole::queue_notified(unsigned index) {
    if (index == kReceiveQueue) {
        deliver();
        if (backend_ && can_receive()) backend_->receiver_ready();
        return;
    }
    for_each_request(kTransmitQueue, [this](const VirtqChain& chain) {
        std::vector<u8> bytes(std::min<u64>(chain.readable_bytes(), kOutputLimit));
        u64 got = queue(kTransmitQueue).read(chain, 0, bytes);
        if (queue(kTransmitQueue).stalled()) return;
        if (backend_) backend_->write(std::span(bytes).first(got));
        sent_ += got;
        finish(kTransmitQueue, chain, 0);
    });
}

void VirtioConsole::deliver() {
    while (!input_.empty() && ready() && bus_master() && !returning(kReceiveQueue)) {
        auto chain = take(kReceiveQueue);
        if (!chain) return;
        std::vector<u8> bytes(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(std::min<u64>(
                                                                   input_.size(), chain->writable_bytes())));
        input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(bytes.size()));
        received_ += bytes.size();
        finish_filled(kReceiveQueue, *chain, [this, chain = *chain, bytes = std::move(bytes)] {
            return static_cast<u32>(queue(kReceiveQueue).write(chain, 0, bytes));
        });
    }
}

void VirtioConsole::serialize(Archive& archive) {
    VirtioPci::serialize(archive);
    archive.section("virtio-console", 1);
    std::vector<u8> input(input_.begin(), input_.end());
    archive(input);
    if (!archive.loading()) return;
    if (input.size() > kInputLimit) input.resize(kInputLimit);
    input_.assign(input.begin(), input.end());
}

void VirtioConsole::inspect(Inspector& inspector) const {
    VirtioPci::inspect(inspector);
    inspector.field("sent (bytes)", sent_);
    inspector.field("received (bytes)", received_);
    inspector.field("waiting (bytes)", input_.size());
}

}  // namespace shadowbox
