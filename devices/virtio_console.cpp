// SPDX-License-Identifier: MIT
#include "devices/virtio_console.h"

#include <algorithm>

namespace shadowbox {

namespace {
constexpr unsigned kReceiveQueue = 0, kTransmitQueue = 1;
constexpr unsigned kInputLimit = 4096;
}  // namespace

VirtioConsole::VirtioConsole(CharBackend* backend, GuestMemory& memory, ApicMessageSink& sink)
    : VirtioPci("virtio-console", 3, 0x078000, 0, 2, memory, sink), backend_(backend) {
    if (backend_) backend_->set_receiver(this);
}
VirtioConsole::~VirtioConsole() {
    if (backend_) backend_->set_receiver(nullptr);
}

unsigned VirtioConsole::can_receive() const { return ready() ? kInputLimit - static_cast<unsigned>(std::min<std::size_t>(input_.size(), kInputLimit)) : 0; }
void VirtioConsole::receive(std::span<const u8> bytes) {
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    deliver();
}

void VirtioConsole::queue_notified(unsigned index) {
    if (index == kReceiveQueue) {
        deliver();
        if (backend_ && can_receive()) backend_->receiver_ready();
        return;
    }
    while (auto chain = queue(kTransmitQueue).pop()) {
        std::vector<u8> bytes(std::min<u64>(chain->readable_bytes(), 1 << 20));
        u64 got = queue(kTransmitQueue).read(*chain, 0, bytes);
        if (backend_) backend_->write(std::span(bytes).first(got));
        finish(kTransmitQueue, *chain, 0);
    }
}

void VirtioConsole::deliver() {
    while (!input_.empty() && ready()) {
        auto chain = queue(kReceiveQueue).pop();
        if (!chain) return;
        std::vector<u8> bytes(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(std::min<u64>(input_.size(), chain->writable_bytes())));
        input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(bytes.size()));
        finish(kReceiveQueue, *chain, static_cast<u32>(queue(kReceiveQueue).write(*chain, 0, bytes)));
    }
}

}  // namespace shadowbox
