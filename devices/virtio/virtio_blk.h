// SPDX-License-Identifier: MIT
// virtio block device (virtio 1.1, 5.2): read, write, flush, identify; asynchronous, any number of requests
// under way.
#pragma once

#include "devices/storage/block_backend.h"
#include "devices/virtio/virtio_pci.h"

namespace shadowbox {

class VirtioBlk final : public VirtioPci {
 public:
    VirtioBlk(std::string name, BlockBackend& disk, std::string serial, GuestMemory& memory,
              ApicMessageSink& sink);

 protected:
    void queue_notified(unsigned queue) override;
    u8 config_byte(u32 offset) const override;
    bool under_way() const override { return under_way_ != 0; }

 private:
    struct Request;
    void start(VirtqChain chain);
    bool pin(Request& request, u64 offset, u64 bytes);
    void complete(const std::shared_ptr<Request>& request, IoStatus status);

    BlockBackend& disk_;
    std::string serial_;
    u32 under_way_ = 0;  // requests that the disk works on, in pinned guest pages
};

}  // namespace shadowbox
