// SPDX-License-Identifier: MIT
// virtio entropy device (virtio 1.1, 5.4). Bytes come from a source that the board gives: the host's, or the
// seed under icount.
#pragma once

#include <functional>

#include "devices/virtio/virtio_pci.h"

namespace shadowbox {

class VirtioRng final : public VirtioPci {
 public:
    VirtioRng(std::function<u64()> random, GuestMemory& memory, ApicMessageSink& sink)
        : VirtioPci("virtio-rng", 4, 0x00FF00, 0, 1, memory, sink), random_(std::move(random)) {}

 protected:
    void queue_notified(unsigned) override;

 private:
    std::function<u64()> random_;
};

}  // namespace shadowbox
