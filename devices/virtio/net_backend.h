// SPDX-License-Identifier: MIT
// Where a network card's Ethernet frames go to and come from. vmm/ implements it over libslirp; called under
// the VM's device lock.
#pragma once

#include <functional>
#include <span>

#include "core/integers.h"

namespace shadowbox {

class NetBackend {
 public:
    using Receive = std::function<void(std::span<const u8> frame)>;
    virtual ~NetBackend() = default;
    /// The guest sent a frame. Must not block.
    virtual void send(std::span<const u8> frame) = 0;
    /// Frames for the guest; called under the device lock.
    void set_receiver(Receive receive) { receive_ = std::move(receive); }

 protected:
    Receive receive_;
};

}  // namespace shadowbox
