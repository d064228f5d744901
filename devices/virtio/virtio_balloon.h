// SPDX-License-Identifier: MIT
// virtio memory balloon (virtio 1.1, 5.5): target, inflate, deflate and statistics. For now it keeps account
// only: which PPNs the guest has given up is known here, and policy (vmm/) may take them later. PFNs of the
// driver are checked, never trusted.
#pragma once

#include <map>

#include "devices/virtio/virtio_pci.h"

namespace shadowbox {

class VirtioBalloon final : public VirtioPci {
 public:
    VirtioBalloon(u64 memory_bytes, GuestMemory& memory, ApicMessageSink& sink);
    void serialize(Archive& archive) override;
    void inspect(Inspector& inspector) const override;

    /// Pages that the guest should give up.
    void set_target(u64 pages);
    u64 target() const { return target_; }
    /// Pages that the driver says it holds, and that it has really named.
    u64 actual() const { return actual_; }
    u64 ballooned() const { return ballooned_; }
    /// Asks for statistics; they arrive later, by tag (0 swap-in, 1 swap-out, 2 major faults, 3 minor faults,
    /// 4 free, 5 total, 6 available, 7 caches), in bytes or counts.
    void request_statistics();
    const std::map<u16, u64>& statistics() const { return statistics_; }

 protected:
    void queue_notified(unsigned queue) override;
    void device_reset() override;
    u8 config_byte(u32 offset) const override;
    void config_byte_written(u32 offset, u8 value) override;

 private:
    void take_pages(unsigned queue, bool inflate);
    void take_statistics();
    u64 pages_;
    u32 target_ = 0, actual_ = 0;
    u64 ballooned_ = 0;
    std::vector<u8> in_balloon_;  // one byte a PPN below the RAM's end
    std::map<u16, u64> statistics_;
    std::optional<VirtqChain> statistics_buffer_;
};

}  // namespace shadowbox
