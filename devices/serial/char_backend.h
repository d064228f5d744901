// SPDX-License-Identifier: MIT
// Where the bytes of a serial line go to and come from. vmm/ implements it (stdio, pty, file, GUI terminal,
// virtio-console likewise); devices only see this. Every call happens under the VM's device lock: input
// from outside arrives through the VM's journal, so that it lands at a known guest time.
#pragma once

#include <span>

#include "core/integers.h"

namespace shadowbox {

/// The device side: takes input.
class CharReceiver {
 public:
    virtual ~CharReceiver() = default;
    /// Bytes that receive() would take now.
    virtual unsigned can_receive() const = 0;
    /// At most can_receive() bytes; what is too much is lost as on a real line (overrun).
    virtual void receive(std::span<const u8> bytes) = 0;
};

/// The outside.
class CharBackend {
 public:
    virtual ~CharBackend() = default;
    /// The guest sent these bytes. Must not block and must not call back into the device.
    virtual void write(std::span<const u8> bytes) = 0;
    /// Where input goes; nullptr detaches.
    virtual void set_receiver(CharReceiver* receiver) { receiver_ = receiver; }
    /// The receiver has room again after can_receive() was 0. May be called inside a port access, so an
    /// implementation only notes it and delivers later.
    virtual void receiver_ready() {}

 protected:
    CharReceiver* receiver_ = nullptr;
};

}  // namespace shadowbox
