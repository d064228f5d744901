// SPDX-License-Identifier: MIT
// User-mode networking over libslirp: NAT, DHCP (10.0.2.15), DNS, and host forwards. One thread a network;
// frames for the guest go through the VM's journal, so that they arrive at a known guest time.
#pragma once

#include <memory>

#include "core/error.h"
#include "devices/virtio/net_backend.h"
#include "vmm/config/machine_config.h"
#include "vmm/journal/journal.h"

namespace shadowbox {

class SlirpNet final : public NetBackend {
 public:
    /// Fails when a forwarded host port is in use. `journal` before the VM starts.
    static Expected<std::unique_ptr<SlirpNet>> create(const NicConfig& config, Journal& journal,
                                                      const std::string& host_name);
    ~SlirpNet() override;
    void send(std::span<const u8> frame) override;

 private:
    struct Impl;
    explicit SlirpNet(Journal& journal);
    std::unique_ptr<Impl> impl_;
};

}  // namespace shadowbox
