// SPDX-License-Identifier: MIT
// virtio console (virtio 1.1, 5.3), one port: hvc0 in Linux.
#pragma once

#include <deque>

#include "devices/serial/char_backend.h"
#include "devices/virtio/virtio_pci.h"

namespace shadowbox {

class VirtioConsole final : public VirtioPci, public CharReceiver {
 public:
    VirtioConsole(std::string name, CharBackend* backend, GuestMemory& memory, ApicMessageSink& sink);
    ~VirtioConsole() override;
    unsigned can_receive() const override;
    void receive(std::span<const u8> bytes) override;
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

 protected:
    void queue_notified(unsigned queue) override;
    void device_reset() override { input_.clear(); }

 private:
    void deliver();
    CharBackend* backend_;
    u64 sent_ = 0, received_ = 0;
    std::deque<u8> input_;  // arrived, and no buffer yet; at most kInputLimit
};

}  // namespace shadowbox
