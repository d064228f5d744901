// SPDX-License-Identifier: MIT
// virtio network card (virtio 1.1, 5.1): one receive and one transmit queue, no offloads. Frames that find no
// buffer wait in a short queue, then are dropped, as on a real wire.
#pragma once

#include <array>
#include <deque>

#include "devices/virtio/net_backend.h"
#include "devices/virtio/virtio_pci.h"

namespace shadowbox {

class VirtioNet final : public VirtioPci {
 public:
    using Mac = std::array<u8, 6>;
    VirtioNet(NetBackend* backend, const Mac& mac, GuestMemory& memory, ApicMessageSink& sink);
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

 protected:
    void queue_notified(unsigned queue) override;
    void device_reset() override { waiting_.clear(); }
    u8 config_byte(u32 offset) const override;

 private:
    void transmit();
    void deliver();
    NetBackend* backend_;
    Mac mac_;
    std::deque<std::vector<u8>> waiting_;
    u64 sent_ = 0, received_ = 0, dropped_ = 0;
};

}  // namespace shadowbox
